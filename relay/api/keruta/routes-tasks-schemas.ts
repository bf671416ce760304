import {
  arrayOf,
  COUNT,
  FLAG,
  guardedErrors,
  jsonAnswer,
  NUMBER,
  objectOf,
  orNull,
  TASK_PARAMS,
  TEXT,
  TEXTS_BY_NAME,
  TIME,
  type Schema,
} from '../openapi-schemas.ts';
import { COUNTS, TASK_STATUS } from './routes-words-schemas.ts';

export const TASK_MEMBERS: Record<string, Schema> = {
  taskId: TEXT,
  name: orNull(TEXT),
  status: TASK_STATUS,
  pipelineId: orNull(TEXT),
  labels: { ...TEXTS_BY_NAME, description: 'Of the newest run' },
  runCount: COUNT,
  openRuns: { ...COUNT, description: 'Runs that have not ended' },
  exitCode: { ...orNull({ type: 'integer' }), description: 'Of the newest run, when it has ended' },
  signal: orNull(TEXT),
  lines: COUNT,
  missing: { ...COUNT, description: 'Lines that gaps stand for' },
  firstLine: { ...COUNT, description: 'The first line number that was not trimmed' },
  lastLine: { ...COUNT, description: 'The last line number, 0 before the first line' },
  bytes: { ...COUNT, description: 'Of text' },
  storedBytes: { ...COUNT, description: 'As it is stored' },
  ...COUNTS,
  message: { ...orNull(TEXT), description: 'What was said of the task last' },
  progress: { ...orNull(NUMBER), description: '0 to 100' },
  errorCode: orNull(TEXT),
  pinned: { ...FLAG, description: 'Kept by retention' },
  createdAt: TIME,
  updatedAt: TIME,
};

const RUN = objectOf(
  {
    run: { ...TEXT, description: 'A ULID' },
    status: { type: 'string', enum: ['running', 'succeeded', 'failed', 'cancelled', 'lost'] },
    pipelineId: orNull(TEXT),
    workerId: TEXT,
    labels: TEXTS_BY_NAME,
    command: orNull(TEXT),
    agentVersion: TEXT,
    startedAt: TIME,
    endedAt: orNull(TIME),
    lastSeen: TIME,
    exitCode: orNull({ type: 'integer' }),
    signal: orNull(TEXT),
    reason: orNull(TEXT),
    verified: { ...orNull(FLAG), description: 'Whether counts and digest agreed at the end; null before it' },
    lines: COUNT,
    bytes: COUNT,
    missing: COUNT,
    behind: { ...COUNT, description: 'Lines that the agent has and the relay has not, as far as is known' },
  },
  { title: 'Run' },
);

/** A task and its runs. */
export const TASK_WITH_RUNS = objectOf({ ...TASK_MEMBERS, runs: arrayOf(RUN) }, { title: 'TaskWithRuns' });

export const LIST_TASKS = {
  tags: ['tasks'],
  summary: 'Lists tasks, the newest first',
  description: "Shows only those that the token may read. Go on with after=, the answer's next, until that is null.",
  querystring: objectOf(
    {
      status: TASK_STATUS,
      label: { ...TEXT, description: 'key:value; several by commas, all must match' },
      q: { ...TEXT, description: 'A part of the task id or name, in any case' },
      pipelineId: TEXT,
      since: { ...TIME, description: 'Created then or later' },
      size: { type: 'integer', minimum: 1, maximum: 1000, default: 100 },
      after: { ...TEXT, description: 'The next of the page before' },
    },
    { optional: ['status', 'label', 'q', 'pipelineId', 'since', 'size', 'after'] },
  ),
  response: {
    200: jsonAnswer(
      'A page of tasks',
      objectOf({ content: arrayOf(objectOf(TASK_MEMBERS, { title: 'Task' })), size: COUNT, next: orNull(TEXT) }),
    ),
    ...guardedErrors('INVALID_INPUT', 'INVALID_CURSOR'),
  },
};

export const GET_TASK = {
  tags: ['tasks'],
  summary: 'Shows a task and its runs',
  params: TASK_PARAMS,
  response: { 200: jsonAnswer('The task', TASK_WITH_RUNS), ...guardedErrors('TASK_NOT_FOUND') },
};

export const PIN_TASK = {
  tags: ['tasks'],
  summary: 'Exempts a task from retention, or no longer',
  description: 'Wants the scope admin.',
  params: TASK_PARAMS,
  body: objectOf({ pinned: FLAG }),
  response: {
    200: jsonAnswer('Done', objectOf({ taskId: TEXT, pinned: FLAG })),
    ...guardedErrors('INVALID_INPUT', 'TASK_NOT_FOUND', 'TOO_LARGE'),
  },
};
