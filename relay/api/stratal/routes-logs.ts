import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { KerutaError } from '../../../shared/errors.ts';
import type { TaskFacts } from '../../merged/task-facts.ts';
import { groupOf } from '../../store/store.ts';
import { SYSTEM_TASK } from '../../system-task.ts';
import { readableTasks } from '../permission.ts';
import { sendParts } from '../routes-parts.ts';
import { untilGone } from '../until-gone.ts';
import { logParts, type Paginate } from './log-parts.ts';
import type { StratalParts } from './parts.ts';
import { readPaging, readType, type Query } from './query.ts';
import { JOB_LOGS, SYSTEM_LOGS, TASK_LOGS, TYPE_LOGS } from './schemas.ts';
import { logType } from './shape.ts';

/** Logs that are there, a page at a time. An id that nobody knows has none. */
export function addLogRoutes(app: FastifyInstance, parts: StratalParts): void {
  app.get<IdRoute>('/logs/job-runs/:id', { schema: JOB_LOGS }, (request, reply) => {
    const group = idOf(request, 'job_run_id');
    return sendPage({ request, reply }, { group, order: 'asc', paginate: withTotal }, parts);
  });

  app.get<IdRoute>('/logs/task-runs/:id', { schema: TASK_LOGS }, async (request, reply) => {
    const task = idOf(request, 'task_run_id');
    // A line's id is its position, which is known only among those of its group.
    const group = groupOf({ task, pipelineId: (await parts.store.task(task))?.pipelineId });
    const only = (facts: TaskFacts): boolean => facts.task === task;
    return sendPage({ request, reply }, { group, only, order: 'asc' }, parts);
  });

  app.get<ListRoute>('/logs/system', { schema: SYSTEM_LOGS }, (request, reply) =>
    sendPage({ request, reply }, { group: SYSTEM_TASK, order: 'desc', paginate: withoutTotal }, parts),
  );

  app.get<TypeRoute>('/logs/type/:type', { schema: TYPE_LOGS }, (request, reply) => {
    const type = readType(request.params.type);
    const only = (facts: TaskFacts): boolean => logType(facts) === type;
    const group = type === 'system' ? { group: SYSTEM_TASK } : {};
    return sendPage({ request, reply }, { ...group, only, order: 'desc', paginate: withoutTotal }, parts);
  });

  for (const [path, name] of [['/logs/job-runs', 'job_run_id'] as const, ['/logs/task-runs', 'task_run_id'] as const]) {
    app.get(path, { schema: { hide: true } }, () => {
      throw missing(name);
    });
  }
}

export interface IdRoute {
  Params: { id: string };
  Querystring: Query;
}

interface ListRoute {
  Querystring: Query;
}

interface TypeRoute extends ListRoute {
  Params: { type: string };
}

/** The id in a path. Throws a KerutaError INVALID_INPUT if there is none. */
export function idOf({ params }: { params: { id: string } }, name: string): string {
  if (params.id === '') throw missing(name);
  return params.id;
}

function missing(name: string): KerutaError {
  return new KerutaError('INVALID_INPUT', `${name} is required`);
}

interface Exchange {
  request: FastifyRequest<{ Querystring: Query }>;
  reply: FastifyReply;
}

interface Wanted {
  /** Absent: everything. */
  group?: string;
  only?: (task: TaskFacts) => boolean;
  order: 'asc' | 'desc';
  /** Absent: the answer does not say. */
  paginate?: Paginate;
}

async function sendPage(
  { request, reply }: Exchange,
  { group, only = () => true, order, paginate }: Wanted,
  { merged, now }: StratalParts,
): Promise<FastifyReply> {
  const signal = untilGone(reply);
  const readable = readableTasks(request.caller.principal);
  const { limit, offset } = readPaging(request.query);
  const page = await merged.page({
    ...(group !== undefined && { group }),
    may: (task) => only(task) && readable(task),
    ...{ offset, size: limit, order, maxBytes: MAX_PAGE_BYTES, signal },
  });
  const answer = logParts(page, {
    now: now(),
    ...(paginate && { pagination: (counted) => paginate({ ...counted, limit, offset }) }),
  });
  return sendParts(reply.type('application/json; charset=utf-8'), answer);
}

/** A client that takes its page slowly costs that much; a hundred of the longest lines have less. */
const MAX_PAGE_BYTES = 32 * 1024 * 1024;

const withTotal: Paginate = ({ total, limit, offset, count }) => ({ total, limit, offset, count });
const withoutTotal: Paginate = ({ count, limit, offset }) => ({ count, limit, offset });
