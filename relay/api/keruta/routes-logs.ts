import type { FastifyInstance } from 'fastify';
import type { Page } from '../../page.ts';
import type { Reader } from '../../reader.ts';
import type { TaskRecord } from '../../store/store.ts';
import { sendParts } from '../routes-parts.ts';
import { untilGone } from '../until-gone.ts';
import { readBefore, readLogsFilter, readLogsQuery, refuseFilter, type LogsQuery } from './query.ts';
import { pageParts } from './page-parts.ts';
import { permittedTask, type RouteParts, type TaskRoute } from './routes-request.ts';
import { COUNT_LOGS, DELETE_LOGS, LIST_LOGS, LOG_STATS } from './routes-logs-schemas.ts';
import { statsJson } from './shape.ts';

export function addLogRoutes(app: FastifyInstance, { reader }: RouteParts): void {
  app.get<TaskRoute>('/tasks/:taskId/logs', { schema: LIST_LOGS }, async (request, reply) => {
    const signal = untilGone(reply);
    const task = await permittedTask(request, { reader, scope: 'read' });
    const query = readLogsQuery(request.query);
    const read = query.after !== undefined || query.before !== undefined ? cursorPage : offsetPage;
    const { page, members } = await read(reader, task, { query, signal });
    const parts = pageParts(page, { cursors: reader.cursors(), order: query.order, members });
    return sendParts(reply.type('application/json; charset=utf-8'), parts);
  });

  app.get<TaskRoute>('/tasks/:taskId/logs/count', { schema: COUNT_LOGS }, async (request, reply) => {
    const signal = untilGone(reply);
    const task = await permittedTask(request, { reader, scope: 'read' });
    const filter = readLogsFilter(request.query);
    return { count: await reader.count(task, { filter, signal }) };
  });

  app.get<TaskRoute>('/tasks/:taskId/logs/stats', { schema: LOG_STATS }, async (request) => {
    const task = await permittedTask(request, { reader, scope: 'read' });
    refuseFilter(request.query);
    return statsJson(task);
  });

  app.delete<TaskRoute>('/tasks/:taskId/logs', { schema: DELETE_LOGS }, async (request) => {
    const { task } = await permittedTask(request, { reader, scope: 'admin' });
    const before = readBefore(request.query);
    return { deletedCount: await reader.deleteUntil(task, before), message: 'ログが正常に削除されました' };
  });
}

interface PageRequest {
  query: LogsQuery;
  signal: AbortSignal;
}

interface ReadPage {
  page: Page;
  /** What the answer says of the page, beside its lines. */
  members: Record<string, unknown>;
}

async function offsetPage(reader: Reader, task: TaskRecord, { query, signal }: PageRequest): Promise<ReadPage> {
  const { filter, size, order, context, page: number } = query;
  const page = await reader.page(task, { filter, offset: number * size, size, order, context, signal });
  const totalPages = Math.ceil(page.total / size);
  return { page, members: { totalElements: page.total, totalPages, size, number } };
}

async function cursorPage(reader: Reader, task: TaskRecord, { query, signal }: PageRequest): Promise<ReadPage> {
  const { filter, size, order, context, after, before } = query;
  const options = { filter, size, order, context, signal };
  let page: Page;
  if (after === undefined) {
    const behind = await reader.place(task.task, before ?? 'now');
    page = await reader.pageBefore(task, { ...options, before: behind });
  } else {
    const from = (await reader.place(task.task, after)) + (isPlaceBetween(after) ? 0 : 1);
    page = await reader.pageFrom(task, { ...options, from, through: task.nextLine - 1 });
  }
  return { page, members: { size, next: page.next === undefined ? null : reader.cursors()(page.next) } };
}

/** `start` and `now` name no line that a page could lie behind, but the place before one. */
function isPlaceBetween(after: string): boolean {
  return after === 'start' || after === 'now';
}
