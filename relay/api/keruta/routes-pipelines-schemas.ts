import {
  arrayOf,
  COUNT,
  guardedErrors,
  jsonAnswer,
  objectOf,
  orNull,
  TEXT,
  TIME,
  type Schema,
} from '../openapi-schemas.ts';
import { TASK_MEMBERS } from './routes-tasks-schemas.ts';
import { TASK_STATUS } from './routes-words-schemas.ts';

const PIPELINE_MEMBERS: Record<string, Schema> = {
  pipelineId: TEXT,
  status: { ...TASK_STATUS, description: 'Running while a task is, failed if one did' },
  progress: { type: 'integer', minimum: 0, maximum: 100, description: 'Percent; each task counts the same' },
  taskCount: COUNT,
  statusCounts: {
    ...objectOf(Object.fromEntries((TASK_STATUS.enum as string[]).map((status) => [status, COUNT]))),
    description: 'How many tasks have each status',
  },
  runCount: COUNT,
  openRuns: { ...COUNT, description: 'Runs that have not ended' },
  lines: COUNT,
  missing: { ...COUNT, description: 'Lines that gaps stand for' },
  bytes: { ...COUNT, description: 'Of text' },
  createdAt: TIME,
  updatedAt: TIME,
};

export const LIST_PIPELINES = {
  tags: ['pipelines'],
  summary: 'Lists pipelines, the newest first',
  description: [
    'Shows only those with a task that the token may read, and counts only such tasks. Go on with after=, the',
    "answer's next, until that is null.",
  ].join(' '),
  querystring: objectOf(
    {
      q: { ...TEXT, description: 'A part of the pipeline id, in any case' },
      size: { type: 'integer', minimum: 1, maximum: 1000, default: 100 },
      after: { ...TEXT, description: 'The next of the page before' },
    },
    { optional: ['q', 'size', 'after'] },
  ),
  response: {
    200: jsonAnswer(
      'A page of pipelines',
      objectOf({
        content: arrayOf(objectOf(PIPELINE_MEMBERS, { title: 'Pipeline' })),
        size: COUNT,
        next: orNull(TEXT),
      }),
    ),
    ...guardedErrors('INVALID_INPUT', 'INVALID_CURSOR'),
  },
};

export const GET_PIPELINE = {
  tags: ['pipelines'],
  summary: 'Shows a pipeline and its tasks',
  description: [
    'Of very many tasks the newest are shown; GET /api/v1/tasks?pipelineId= pages through all of them. Only tasks that',
    'the token may read are shown and counted.',
  ].join(' '),
  params: objectOf({ pipelineId: { ...TEXT, description: 'The pipeline, percent-encoded' } }),
  response: {
    200: jsonAnswer(
      'The pipeline',
      objectOf(
        {
          ...PIPELINE_MEMBERS,
          startedAt: { ...orNull(TIME), description: 'When its first task started' },
          endedAt: { ...orNull(TIME), description: 'When its last task ended; null while a run is open' },
          errorMessage: { ...orNull(TEXT), description: 'Of the first task that failed or is lost' },
          tasks: { ...arrayOf(objectOf(TASK_MEMBERS, { title: 'Task' })), description: 'The oldest first' },
          tasksLeftOut: { ...COUNT, description: 'How many older ones there are' },
        },
        { title: 'PipelineWithTasks' },
      ),
    ),
    ...guardedErrors('PIPELINE_NOT_FOUND'),
  },
};
