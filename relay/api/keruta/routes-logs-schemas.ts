import {
  arrayOf,
  COUNT,
  guardedErrors,
  jsonAnswer,
  objectOf,
  orNull,
  TASK_PARAMS,
  TEXT,
  TIME,
} from '../openapi-schemas.ts';
import { COUNTS, FILTER_MEMBERS, GAP, LINE, META_HINT } from './routes-words-schemas.ts';

const PAGE_MEMBERS = {
  page: { type: 'integer', minimum: 0, default: 0, description: 'Counted from the end that order names' },
  size: { type: 'integer', minimum: 1, maximum: 1000, default: 100 },
  order: { type: 'string', enum: ['asc', 'desc'], default: 'asc' },
  after: { ...TEXT, description: 'Lines behind this one: start, now, a line number, a cursor' },
  before: { ...TEXT, description: 'Lines before this one' },
  context: { type: 'integer', minimum: 0, maximum: 100, default: 0, description: 'Lines around each that matches' },
};
const ALL_OPTIONAL = { optional: [...Object.keys(FILTER_MEMBERS), ...Object.keys(PAGE_MEMBERS)] };

export const LIST_LOGS = {
  tags: ['logs'],
  summary: 'Reads lines, page by page',
  description: [
    'By number (page, size) with exact totals, or by cursor (after or before) with the next cursor in the answer, null',
    `at the end. Lines that are missing are named in gaps. ${META_HINT}`,
  ].join(' '),
  params: TASK_PARAMS,
  querystring: objectOf({ ...FILTER_MEMBERS, ...PAGE_MEMBERS }, ALL_OPTIONAL),
  response: {
    200: jsonAnswer(
      'A page of lines',
      objectOf(
        {
          content: arrayOf(LINE),
          totalElements: COUNT,
          totalPages: COUNT,
          size: COUNT,
          number: COUNT,
          next: { ...orNull(TEXT), description: 'Of a page by cursor' },
          gaps: arrayOf(GAP),
          gapsLeftOut: { ...COUNT, description: 'How many more gaps there are' },
        },
        { title: 'Page', optional: ['totalElements', 'totalPages', 'number', 'next', 'gaps', 'gapsLeftOut'] },
      ),
    ),
    ...guardedErrors('INVALID_INPUT', 'INVALID_CURSOR', 'TASK_NOT_FOUND'),
  },
};

export const COUNT_LOGS = {
  tags: ['logs'],
  summary: 'Counts the lines that match',
  description: META_HINT,
  params: TASK_PARAMS,
  querystring: objectOf(FILTER_MEMBERS, ALL_OPTIONAL),
  response: {
    200: jsonAnswer('How many', objectOf({ count: COUNT })),
    ...guardedErrors('INVALID_INPUT', 'TASK_NOT_FOUND'),
  },
};

export const LOG_STATS = {
  tags: ['logs'],
  summary: 'Counts all lines by source and level',
  description: 'Takes no filter.',
  params: TASK_PARAMS,
  response: {
    200: jsonAnswer(
      'The counts',
      objectOf({ taskId: TEXT, totalLogs: COUNT, ...COUNTS, missing: COUNT, lastUpdated: TIME }),
    ),
    ...guardedErrors('INVALID_INPUT', 'TASK_NOT_FOUND'),
  },
};

export const DELETE_LOGS = {
  tags: ['logs'],
  summary: 'Deletes the oldest lines',
  description: [
    'All up to the last line before which, itself included, none is later than before. They show as a gap from then on;',
    'numbers are not used again. Wants the scope admin.',
  ].join(' '),
  params: TASK_PARAMS,
  querystring: objectOf({ before: { ...TIME, description: 'Lines of this time or earlier' } }),
  response: {
    200: jsonAnswer('Deleted', objectOf({ deletedCount: COUNT, message: TEXT })),
    ...guardedErrors('INVALID_INPUT', 'TASK_NOT_FOUND'),
  },
};
