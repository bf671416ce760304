import type { Client } from './client.ts';
import { isoOf } from './filter.ts';
import { pagesFrom } from './pages.ts';
import type { Page, Task, TaskStatus, TaskWithRuns } from './records.ts';
import { requestJson } from './request.ts';

export interface TasksOptions {
  status?: TaskStatus;
  /** All of them must be labels of the task's newest run. */
  labels?: Record<string, string>;
  /** A part of the task's id or name, in any case. */
  text?: string;
  pipeline?: string;
  /** Created then or later: a Date, ISO 8601, or ms since 1970. */
  since?: Date | string | number;
  /** Tasks of a page, 1 to 1,000. Default 100. */
  size?: number;
  /** The `next` of the page before. */
  cursor?: string;
  signal?: AbortSignal;
}

/** One page of the tasks that the token may read, the newest first. Rejects with a ClientError. */
export async function tasksPage(client: Client, options: TasksOptions = {}): Promise<Page<Task>> {
  const { status, labels = {}, text, pipeline, since, size, cursor, signal } = options;
  const query = {
    status,
    label: Object.entries(labels).map(([key, value]) => `${key}:${value}`),
    q: text,
    pipelineId: pipeline,
    since: since === undefined ? undefined : isoOf(since),
    size,
    after: cursor,
  };
  return requestJson<Page<Task>>(client, ['tasks'], { query, signal });
}

/** Tasks, the newest first, asked for page by page as they are taken. Throws a ClientError. */
export async function* tasks(client: Client, options: TasksOptions = {}): AsyncGenerator<Task, void, undefined> {
  const pages = pagesFrom(options.cursor, (cursor) => tasksPage(client, { ...options, ...(cursor && { cursor }) }));
  for await (const page of pages) yield* page.content;
}

/** A task and its runs. Rejects with a ClientError, `TASK_NOT_FOUND` among them. */
export function task(client: Client, id: string, { signal }: { signal?: AbortSignal } = {}): Promise<TaskWithRuns> {
  return requestJson<TaskWithRuns>(client, ['tasks', id], { signal });
}
