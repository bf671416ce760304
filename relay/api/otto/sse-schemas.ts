import {
  arrayOf,
  COUNT,
  jsonAnswer,
  objectOf,
  TASK_PARAMS,
  TEXT,
  textAnswer,
  TIME,
  type Schema,
} from '../openapi-schemas.ts';

const OTTO_ERROR = objectOf(
  {
    message: { ...TEXT, description: 'What happened here' },
    details: { ...TEXT, description: 'Its code, and what to do about it' },
    timestamp: TIME,
    clientId: { ...TEXT, description: 'As X-Request-Id' },
  },
  { title: 'OttoError' },
);

function errors(byStatus: Record<number, string> = {}): Record<string, Schema> {
  const all = { ...byStatus, 401: 'UNAUTHORIZED', default: 'Any other error' };
  return Object.fromEntries(
    Object.entries(all).map(([status, description]) => [status, jsonAnswer(description, OTTO_ERROR)]),
  );
}

const LIST = ' Several by commas, or given several times.';
const LOG_QUERY: Record<string, Schema> = {
  level: { ...TEXT, description: `DEBUG, INFO, WARN, ERROR, in any case.${LIST}` },
  sources: { ...TEXT, description: `stdout, stderr, agent, in any case.${LIST}` },
  keywords: { ...TEXT, description: `Any of them is a part of the message, ASCII in any case.${LIST}` },
  workerId: { ...TEXT, description: `Lines of this worker.${LIST}` },
  taskIds: { ...TEXT, description: `Lines of this task.${LIST}` },
  startTime: { ...TIME, description: 'The earliest time, itself included' },
  endTime: { ...TIME, description: 'The latest time, itself included' },
  from: {
    ...TEXT,
    default: 'start',
    description: 'The first line: start, now, or a cursor; of a task also its number',
  },
  cursor: { ...TEXT, description: 'In place of from: the id of an event, to go on behind it' },
  unnamed: { type: 'boolean', default: false, description: 'Logs come as unnamed messages' },
};
const LOG_INPUT = {
  querystring: objectOf(LOG_QUERY, { optional: Object.keys(LOG_QUERY) }),
  headers: objectOf(
    { 'last-event-id': { ...TEXT, description: 'As cursor; goes before it' } },
    { optional: ['last-event-id'] },
  ),
};
const LOG_EVENTS = [
  'Server-sent events: log (a line: workerId, taskId, timestamp, level, source, message, metadata, podMetadata; what is',
  'missing is a line of the source agent that says so), heartbeat after 30 s without another event, error. The id of each',
  'is the cursor to go on from.',
].join(' ');

export const STREAM_TASK = {
  tags: ['otto'],
  summary: "Streams a task's log, from its first line on",
  description: `${LOG_EVENTS} Behind complete, when no run of the task is open, the answer ends.`,
  params: TASK_PARAMS,
  ...LOG_INPUT,
  response: {
    200: textAnswer('The events', ['text/event-stream']),
    204: { type: 'null', description: 'The client has seen complete, and nothing came since' },
    ...errors({ 400: 'INVALID_INPUT, INVALID_CURSOR', 403: 'FORBIDDEN' }),
  },
};

export const STREAM_ALL = {
  tags: ['otto'],
  summary: 'Streams the logs of all tasks, in the order in which they were stored',
  description: LOG_EVENTS,
  ...LOG_INPUT,
  response: {
    200: textAnswer('The events', ['text/event-stream']),
    ...errors({ 400: 'INVALID_INPUT, INVALID_CURSOR', 403: 'FORBIDDEN' }),
  },
};

const PROGRESS = objectOf(
  {
    pipelineId: TEXT,
    stageId: { ...TEXT, description: 'A task of the pipeline; empty: the pipeline as a whole' },
    status: {
      type: 'integer',
      minimum: 0,
      maximum: 6,
      description: '0 pending, 1 running, 2 completed, 3 failed, 4 cancelled, 5 skipped, 6 retrying',
    },
    progressPercentage: { ...COUNT, maximum: 100 },
    message: TEXT,
    timestamp: TIME,
    startedAt: { ...TEXT, description: 'A time; empty before' },
    completedAt: { ...TEXT, description: 'A time; empty before' },
    workerPodNames: arrayOf(TEXT),
    errorMessage: { ...TEXT, description: 'Empty if nothing has failed' },
  },
  { title: 'OttoProgress' },
);

export const STREAM_PROGRESS = {
  tags: ['otto'],
  summary: 'Streams how far a pipeline is',
  description: [
    'Server-sent events: progress (the schema OttoProgress) of each task and of the whole, first as they are, then',
    'whenever one has changed; heartbeat, error. Behind complete, when no run of any task is open, the answer ends.',
  ].join(' '),
  params: objectOf({ pipelineId: { ...TEXT, description: 'The pipeline, percent-encoded; it need not exist yet' } }),
  querystring: objectOf({ unnamed: LOG_QUERY.unnamed }, { optional: ['unnamed'] }),
  response: {
    200: {
      description: 'The events',
      content: {
        'text/event-stream': {
          schema: { type: 'string', contentMediaType: 'application/json', contentSchema: PROGRESS },
        },
      },
    },
    204: { type: 'null', description: 'The client has seen complete, and nothing came since' },
    ...errors({ 400: 'INVALID_INPUT', 403: 'FORBIDDEN' }),
  },
};

const HEALTH = objectOf(
  {
    status: { type: 'string', enum: ['healthy', 'unhealthy'] },
    timestamp: TIME,
    activeConnections: { ...COUNT, description: 'Of all clients, over all transports' },
  },
  { title: 'OttoHealth' },
);

export const OTTO_HEALTH = {
  tags: ['otto'],
  summary: 'How the relay is, and how many are connected',
  response: {
    200: jsonAnswer('It is well', HEALTH),
    503: jsonAnswer('It is not; /health says why', HEALTH),
    ...errors(),
  },
};
