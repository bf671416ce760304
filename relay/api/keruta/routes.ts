import type { FastifyInstance, FastifyReply } from 'fastify';
import PQueue from 'p-queue';
import { KerutaError } from '../../../shared/errors.ts';
import type { Page } from '../../page.ts';
import type { Filter } from '../../filter.ts';
import type { Reader } from '../../reader.ts';
import type { Store, TaskRecord } from '../../store/store.ts';
import { gapMessage, linesJson, runJson, taskJson, type Cursors } from './shape.ts';
import { readLogsQuery, readLogsFilter, readTasksQuery, taskCursor, type LogsQuery, type Query } from './query.ts';

interface TaskRequest {
  Params: { taskId: string };
  Querystring: Query;
}

/** A search reads a whole task; more of them at once would only slow each other, ingest and live readers down. */
const SEARCHES_AT_ONCE = 2;

/** Registers what the keruta API reads with, under the prefix that `app` has. */
export function registerKerutaRoutes(app: FastifyInstance, { reader }: { store: Store; reader: Reader }): void {
  const searches = new PQueue({ concurrency: SEARCHES_AT_ONCE });
  const inTurn = <T>(filter: Filter, signal: AbortSignal, read: () => Promise<T>): Promise<T> =>
    filter.searches ? searches.add(read, { signal }) : read();

  app.get<{ Querystring: Query }>('/tasks', async (request) => {
    const query = readTasksQuery(request.query);
    const tasks = await reader.tasks({ ...query, limit: query.limit + 1 });
    const content = tasks.slice(0, query.limit);
    const last = content.at(-1);
    return {
      content: content.map(taskJson),
      size: query.limit,
      next: tasks.length > query.limit && last !== undefined ? taskCursor(last.task) : null,
    };
  });

  app.get<TaskRequest>('/tasks/:taskId', async ({ params: { taskId } }) => {
    const task = await existing(reader, taskId);
    return { ...taskJson(task), runs: (await reader.runs(taskId)).map(runJson) };
  });

  app.get<TaskRequest>('/tasks/:taskId/logs', async (request, reply) => {
    const query = readLogsQuery(request.query);
    const signal = untilGone(reply);
    const task = await existing(reader, request.params.taskId);
    const page = query.after !== undefined || query.before !== undefined ? cursorPage : offsetPage;
    const json = await inTurn(query.filter, signal, () => page(reader, task, { query, signal }));
    return reply.type('application/json; charset=utf-8').send(json);
  });

  app.get<TaskRequest>('/tasks/:taskId/logs/count', async (request, reply) => {
    const filter = readLogsFilter(request.query);
    const signal = untilGone(reply);
    const task = await existing(reader, request.params.taskId);
    return { count: await inTurn(filter, signal, () => reader.count(task, { filter, signal })) };
  });
}

async function existing(reader: Reader, taskId: string): Promise<TaskRecord> {
  const task = await reader.task(taskId);
  if (task === undefined) throw new KerutaError('TASK_NOT_FOUND', `There is no task ${JSON.stringify(taskId)}.`);
  return task;
}

interface PageRequest {
  query: LogsQuery;
  signal: AbortSignal;
}

async function offsetPage(reader: Reader, task: TaskRecord, { query, signal }: PageRequest): Promise<string> {
  const { filter, size, page: number } = query;
  let offset = number * size;
  let count = size;
  if (query.order === 'desc') {
    const behind = (await reader.count(task, { filter, signal })) - offset;
    offset = Math.max(0, behind - size);
    count = Math.max(0, Math.min(size, behind));
  }
  const page = await reader.page(task, { filter, offset, size: count, signal });
  const totals = { totalElements: page.total, totalPages: Math.ceil(page.total / size), size, number };
  return pageJson(page, { reader, task, query, members: totals });
}

async function cursorPage(reader: Reader, task: TaskRecord, { query, signal }: PageRequest): Promise<string> {
  const { filter, size, after, before } = query;
  const { cursors, end } = { cursors: reader.cursors(), end: task.nextLine - 1 };
  if (after !== undefined) {
    const from = (await reader.place(task.task, after)) + (isPlaceBetween(after) ? 0 : 1);
    const page = await reader.pageFrom(task, { filter, from, through: end, size, signal });
    const more = page.nextLine <= end;
    return pageJson(page, { reader, task, query, members: { size, next: more ? cursors(page.nextLine - 1) : null } });
  }
  const behind = Math.min(await reader.place(task.task, before ?? 'now'), task.nextLine);
  const from = await reader.placeBefore(task.task, { before: behind, count: size, filter, signal });
  const page = await reader.pageFrom(task, { filter, from, through: behind - 1, size, signal });
  return pageJson(page, {
    reader,
    task,
    query,
    members: { size, next: from > task.trimmedLine + 1 ? cursors(from) : null },
  });
}

/** `start` and `now` name no line that a page could lie behind, but the place before one. */
function isPlaceBetween(after: string): boolean {
  return after === 'start' || after === 'now';
}

function pageJson(
  page: Page,
  of: { reader: Reader; task: TaskRecord; query: LogsQuery; members: Record<string, unknown> },
): string {
  const cursors: Cursors = of.reader.cursors();
  const content: string[] = [];
  const gaps: object[] = [];
  for (const event of page.events) {
    if (event.type === 'lines') for (const json of linesJson(event, { cursors })) content.push(json);
    else if (event.type === 'gap') gaps.push(gapJson(gapMessage(event, { task: of.task.task, cursors })));
  }
  if (of.query.order === 'desc') {
    content.reverse();
    gaps.reverse();
  }
  const members = { ...of.members, ...(gaps.length > 0 && { gaps }) };
  // The lines are JSON already.
  return `{"content":[${content.join(',')}],${JSON.stringify(members).slice(1)}`;
}

function gapJson({ fromLine, toLine, reason }: { fromLine: number; toLine: number; reason: string }): object {
  return { fromLine, toLine, reason };
}

/** Aborts when nobody waits for the answer any more. */
function untilGone(reply: FastifyReply): AbortSignal {
  const abort = new AbortController();
  reply.raw.once('close', () => abort.abort(new KerutaError('IDLE', 'The client has gone.')));
  return abort.signal;
}
