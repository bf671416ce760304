import { LEVELS, SOURCES } from '../../../shared/line.ts';
import { GAP_REASONS } from '../../../shared/gap-reasons.ts';
import { COUNT, FLAG, objectOf, TEXT, TIME, type Schema } from '../openapi-schemas.ts';

export const SOURCE: Schema = { type: 'string', enum: [...SOURCES] };
export const LEVEL: Schema = { type: 'string', enum: [...LEVELS] };
export const TASK_STATUS: Schema = {
  type: 'string',
  enum: ['pending', 'running', 'succeeded', 'failed', 'cancelled', 'lost'],
};

/** A line as lists and exports show it. */
export const LINE = objectOf(
  {
    context: { ...FLAG, description: 'It only stands around a line that matches' },
    id: { ...TEXT, description: 'The cursor of the line' },
    taskId: TEXT,
    timestamp: TIME,
    source: SOURCE,
    level: LEVEL,
    message: TEXT,
    lineNumber: { type: 'integer', minimum: 1 },
    metadata: { type: 'object' },
    more: { ...FLAG, description: 'It goes on in another line of the same run and source' },
    rest: { ...FLAG, description: 'It continues a line of the same run and source' },
    run: { ...TEXT, description: 'Of such a piece' },
  },
  { title: 'Line', optional: ['context', 'more', 'rest', 'run'] },
);

const LINE_NUMBER: Schema = { type: 'integer', minimum: 1 };

/** Lines that are missing, the first and the last of them. */
export const GAP = objectOf(
  { fromLine: LINE_NUMBER, toLine: LINE_NUMBER, reason: { type: 'string', enum: [...GAP_REASONS] } },
  { title: 'Gap' },
);

/** How many lines there are of each kind, and from when. */
export const COUNTS: Record<string, Schema> = {
  logCounts: objectOf(Object.fromEntries(SOURCES.map((source) => [source, COUNT]))),
  levelCounts: objectOf(Object.fromEntries(LEVELS.map((level) => [level, COUNT]))),
  timeRange: {
    ...objectOf({ start: TIME, end: TIME }),
    type: ['object', 'null'],
    description: 'Null without lines',
  },
};

/** What picks lines, wherever lines are read. */
export const FILTER_MEMBERS: Record<string, Schema> = {
  level: { ...TEXT, description: 'DEBUG, INFO, WARN, ERROR; several by commas' },
  source: { ...TEXT, description: 'stdout, stderr, agent; several by commas' },
  run: { ...TEXT, description: 'Run ids; several by commas' },
  worker: { ...TEXT, description: 'Worker ids, whose runs they are; given several times: any of them' },
  from: { ...TIME, description: 'The earliest time, itself included' },
  to: { ...TIME, description: 'The latest time, itself included' },
  q: { ...TEXT, description: 'A part of the message, ASCII in any case; given several times: any of them' },
  regex: { ...TEXT, description: 'RE2 syntax, anywhere in the message' },
};

/** Names can't be listed in a schema. */
export const META_HINT = 'meta.KEY=VALUE picks lines whose metadata has that value; nested keys are joined by dots.';
