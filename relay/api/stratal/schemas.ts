import {
  arrayOf,
  COUNT,
  jsonAnswer,
  objectOf,
  orNull,
  textAnswer,
  TEXT,
  TIME,
  type Schema,
} from '../openapi-schemas.ts';

const ERROR = objectOf({ error: { ...TEXT, description: 'What happened here' } }, { title: 'StratalError' });

/** The answers to errors, by status; all of them have one shape. */
function errors(...described: readonly [status: number, description: string][]): Record<string, Schema> {
  const known: [number, string][] = [
    [401, 'UNAUTHORIZED'],
    [403, 'FORBIDDEN'],
  ];
  const answers = [...known, ...described].map(([status, description]) => [status, jsonAnswer(description, ERROR)]);
  return {
    ...Object.fromEntries(answers),
    default: jsonAnswer('Any other error, such as 413, 429 and 500', ERROR),
  } as Record<string, Schema>;
}

const ID_PARAMS = objectOf({ id: { ...TEXT, description: 'Percent-encoded' } });
const PAGING = {
  limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100, description: 'What is none counts as not given' },
  offset: { type: 'integer', minimum: 0, default: 0 },
};
const PAGING_QUERY = objectOf(PAGING, { optional: Object.keys(PAGING) });
const TYPE = { type: 'string', enum: ['system', 'job', 'task'] };

const LOG = objectOf(
  {
    id: { ...COUNT, description: "The line's position in the store" },
    type: TYPE,
    job_run_id: orNull(TEXT),
    task_run_id: orNull(TEXT),
    timestamp: TIME,
    level: { type: 'string', enum: ['debug', 'info', 'warn', 'error'] },
    stream: { type: 'string', enum: ['stdout', 'stderr', 'system'] },
    message: TEXT,
    metadata: { type: ['object', 'null'], description: 'Of lines that are missing: gap, which says why' },
    created_at: TIME,
  },
  { title: 'StratalLog' },
);

const CONNECTIONS = objectOf({ websocket: COUNT, sse: COUNT }, { title: 'StratalConnections' });

export const STREAM_STATUS = {
  tags: ['stratal'],
  summary: 'Counts the connections of streams',
  response: {
    200: jsonAnswer(
      'By job run, and those of everything',
      objectOf({
        status: { type: 'string', enum: ['active'] },
        connections: objectOf({ global: CONNECTIONS, jobs: { type: 'object', additionalProperties: CONNECTIONS } }),
      }),
    ),
    ...errors(),
  },
};

export const STREAM_SSE = {
  tags: ['stratal'],
  summary: 'Streams logs as server-sent events',
  description: [
    'The events connected, log and ping, from now on. Each has an id, with which an EventSource goes on by itself',
    '(Last-Event-ID). The same over WebSocket at /api/v1/logs/stream/ws.',
  ].join(' '),
  querystring: objectOf(
    {
      job_run_id: { ...TEXT, description: 'A pipeline, or a task without one; everything by default' },
      cursor: { ...TEXT, description: 'The id of an event: go on behind it' },
      from: { type: 'string', enum: ['start', 'now'], default: 'now' },
    },
    { optional: ['job_run_id', 'cursor', 'from'] },
  ),
  response: { 200: textAnswer('The stream', ['text/event-stream']), ...errors([400, 'INVALID_CURSOR']) },
};

export const JOB_LOGS = {
  tags: ['stratal'],
  summary: "Shows a job run's logs, the oldest first",
  params: ID_PARAMS,
  querystring: PAGING_QUERY,
  response: {
    200: jsonAnswer(
      'A page; count and total are of lines, without logs that stand for missing ones',
      objectOf({
        logs: arrayOf(LOG),
        pagination: objectOf({ total: COUNT, limit: COUNT, offset: COUNT, count: COUNT }),
      }),
    ),
    ...errors(),
  },
};

export const TASK_LOGS = {
  tags: ['stratal'],
  summary: "Shows a task run's logs, the oldest first",
  params: ID_PARAMS,
  querystring: PAGING_QUERY,
  response: { 200: jsonAnswer('A page', objectOf({ logs: arrayOf(LOG) })), ...errors() },
};

export const DOWNLOAD_LOGS = {
  tags: ['stratal'],
  summary: "Downloads a job run's log as a text",
  description: 'A line is [2006-01-02 15:04:05.000] [type] [level] [stream] message, in UTC.',
  params: ID_PARAMS,
  querystring: objectOf(
    { date: { type: 'string', format: 'date', description: 'A UTC day; the whole log by default' } },
    { optional: ['date'] },
  ),
  response: {
    200: {
      ...textAnswer('The file', ['text/plain']),
      headers: { 'Content-Disposition': { type: 'string', description: 'attachment, with the name of the file' } },
    },
    ...errors([400, 'INVALID_INPUT']),
  },
};

const NEWEST_FIRST = jsonAnswer(
  'A page, the newest first',
  objectOf({ logs: arrayOf(LOG), pagination: objectOf({ count: COUNT, limit: COUNT, offset: COUNT }) }),
);

export const SYSTEM_LOGS = {
  tags: ['stratal'],
  summary: "Shows the relay's own events, the newest first",
  querystring: PAGING_QUERY,
  response: { 200: NEWEST_FIRST, ...errors() },
};

export const TYPE_LOGS = {
  tags: ['stratal'],
  summary: 'Shows the logs of a type, the newest first',
  params: objectOf({ type: TYPE }),
  querystring: PAGING_QUERY,
  response: { 200: NEWEST_FIRST, ...errors([400, 'INVALID_INPUT']) },
};
