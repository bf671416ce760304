import { MAX_METADATA_BYTES } from '../../senders/log-entry.ts';
import {
  arrayOf,
  COUNT,
  guardedErrors,
  jsonAnswer,
  NUMBER,
  objectOf,
  orNull,
  TASK_PARAMS,
  TEXT,
  TIME,
  type Schema,
} from '../openapi-schemas.ts';
import { TASK_WITH_RUNS } from './routes-tasks-schemas.ts';
import { SOURCE } from './routes-words-schemas.ts';

/** What somebody may send as a line. */
const ENTRY = objectOf(
  {
    level: {
      ...TEXT,
      description: 'DEBUG, INFO, WARN, ERROR, or another word for one: TRACE, WARNING, FATAL; in any case',
    },
    message: { ...TEXT, description: 'One line of the log, also if it holds line ends' },
    source: { ...SOURCE, default: 'agent' },
    timestamp: { ...TIME, description: 'Or a number of ms since 1970; without it, now' },
    metadata: { type: 'object', description: `At most ${MAX_METADATA_BYTES} bytes of JSON` },
  },
  { title: 'Entry', optional: ['source', 'timestamp', 'metadata'] },
);

const json = (schema: Schema): Schema => ({ 'application/json': { schema } });

export const POST_LOGS = {
  tags: ['logs'],
  summary: 'Adds lines',
  description: [
    'Answered when the lines are durable, all of them or none: up to 1 MiB and 65,535 lines. A list, NDJSON and plain',
    'text (each line of which is one of the log) are answered with their number, one entry with its id. To be able to',
    'send the same again without storing it twice, give the header Idempotency-Key, or number the lines yourself with',
    'run and seq. Wants the scope ingest.',
  ].join(' '),
  params: TASK_PARAMS,
  querystring: objectOf(
    {
      run: { ...TEXT, description: 'A ULID: the run whose lines the sender numbers' },
      seq: { ...COUNT, description: 'The number of the first line within that run, from 0 on' },
    },
    { optional: ['run', 'seq'] },
  ),
  headers: objectOf(
    {
      'idempotency-key': { ...TEXT, maxLength: 255, description: 'What comes again with the same key is stored once' },
    },
    { optional: ['idempotency-key'] },
  ),
  body: {
    content: {
      ...json({ oneOf: [ENTRY, arrayOf(ENTRY)] }),
      'application/x-ndjson': { schema: { ...TEXT, description: 'An entry a line' } },
      'text/plain': { schema: { ...TEXT, description: 'Lines of the log' } },
    },
  },
  response: {
    201: jsonAnswer('Stored', {
      oneOf: [
        objectOf(
          {
            id: { ...TEXT, description: 'The cursor of the line' },
            taskId: TEXT,
            timestamp: TIME,
            success: { const: true },
          },
          { title: 'Added' },
        ),
        objectOf({ accepted: { ...COUNT, description: 'How many lines' } }, { title: 'AddedSeveral' }),
      ],
    }),
    ...guardedErrors(
      'INVALID_INPUT',
      'INVALID_LOG_FORMAT',
      'CONFLICT',
      'TOO_LARGE',
      'RATE_LIMIT_EXCEEDED',
      'OVERLOADED',
      'DRAINING',
      'STORE_FULL',
    ),
  },
};

export const PUT_STATUS = {
  tags: ['tasks'],
  summary: 'Says what a task does, or how it came out',
  description: [
    'PENDING announces a task. PROCESSING, IN_PROGRESS, RUNNING and WAITING_FOR_INPUT show it as running, COMPLETED as',
    'succeeded, FAILED as failed, CANCELLED as cancelled, which agents of the task are told. Runs of agents go on and say',
    'themselves how they end. Message and error code belong to the status; progress stays until it is said again. Wants',
    'the scope ingest.',
  ].join(' '),
  params: TASK_PARAMS,
  body: {
    content: json(
      objectOf(
        {
          status: TEXT,
          message: orNull(TEXT),
          progress: { ...orNull(NUMBER), minimum: 0, maximum: 100 },
          errorCode: orNull(TEXT),
        },
        { title: 'Status', optional: ['message', 'progress', 'errorCode'] },
      ),
    ),
  },
  response: {
    200: jsonAnswer('The task', TASK_WITH_RUNS),
    ...guardedErrors('INVALID_INPUT', 'TOO_LARGE', 'RATE_LIMIT_EXCEEDED', 'DRAINING', 'STORE_FULL'),
  },
};
