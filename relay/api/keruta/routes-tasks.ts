import type { FastifyInstance } from 'fastify';
import { KerutaError } from '../../../shared/errors.ts';
import type { Principal } from '../../auth/principal.ts';
import type { Reader } from '../../reader.ts';
import type { TaskQuery, TaskRecord } from '../../store/store.ts';
import { untilGone } from '../until-gone.ts';
import { readTasksQuery, taskCursor, type Query } from './query.ts';
import { permittedTask, taskNotFound, type RouteParts, type TaskRoute } from './routes-request.ts';
import { GET_TASK, LIST_TASKS, PIN_TASK } from './routes-tasks-schemas.ts';
import { runJson, taskJson } from './shape.ts';

export function addTaskRoutes(app: FastifyInstance, { reader, store }: RouteParts): void {
  app.get<{ Querystring: Query }>('/tasks', { schema: LIST_TASKS }, async ({ query: given, caller }, reply) => {
    const signal = untilGone(reply);
    const query = readTasksQuery(given);
    const tasks = await readableTasks(reader, { query, principal: caller.principal, signal });
    const content = tasks.slice(0, query.limit);
    const last = content.at(-1);
    return {
      content: content.map(taskJson),
      size: query.limit,
      next: tasks.length > query.limit && last !== undefined ? taskCursor(last.task) : null,
    };
  });

  app.get<TaskRoute>('/tasks/:taskId', { schema: GET_TASK }, async (request) => {
    const task = await permittedTask(request, { reader, scope: 'read' });
    return { ...taskJson(task), runs: (await reader.runs(task.task)).map(runJson) };
  });

  app.put<TaskRoute>('/tasks/:taskId/pin', { schema: PIN_TASK }, async (request) => {
    const { task } = await permittedTask(request, { reader, scope: 'admin' });
    const pinned = readPinned(request.body);
    if (!(await store.pin(task, pinned))) throw taskNotFound(task);
    return { taskId: task, pinned };
  });
}

interface ListOptions {
  query: TaskQuery;
  principal: Principal;
  signal: AbortSignal;
}

/** One more than the query's limit, if there are so many that the caller may read. */
async function readableTasks(reader: Reader, { query, principal, signal }: ListOptions): Promise<TaskRecord[]> {
  if (!principal.has('read')) principal.require('read');
  const wanted = query.limit + 1;
  const found: TaskRecord[] = [];
  const next: TaskQuery = { ...query, limit: wanted };
  for (;;) {
    signal.throwIfAborted();
    const tasks = await reader.tasks(next);
    for (const task of tasks) if (principal.may('read', { task: task.task, labels: task.labels })) found.push(task);
    const last = tasks.at(-1);
    if (found.length >= wanted || tasks.length < next.limit || last === undefined) return found.slice(0, wanted);
    next.before = last.task;
    next.limit = LOOKED_AT_ONCE;
  }
}

function readPinned(body: unknown): boolean {
  const { pinned } = (typeof body === 'object' && body !== null ? body : {}) as { pinned?: unknown };
  if (typeof pinned === 'boolean') return pinned;
  throw new KerutaError('INVALID_INPUT', 'The body must be {"pinned":true} or {"pinned":false}, as application/json.');
}

/** Where many tasks are not the caller's to see. */
const LOOKED_AT_ONCE = 1000;
