import type { Client } from './client.ts';
import { queryFilter, type Filter } from './filter.ts';
import { pagesFrom } from './pages.ts';
import type { LinePage, Stats } from './records.ts';
import { request, requestJson } from './request.ts';

export interface HistoryOptions {
  filter?: Filter;
  /** `asc` (the default): from the oldest line on. `desc`: from the newest one back, the newest first on each page. */
  order?: 'asc' | 'desc';
  /** Lines of a page, 1 to 1,000. Default 100. */
  size?: number;
  /** So many lines around each that matches, 0 to 100. */
  context?: number;
  /** Where the page begins: behind (with `desc`: before) this line: its number, its `id`, or the `next` of a page. */
  cursor?: string | number;
  signal?: AbortSignal;
}

/** One page of a task's lines, as they are stored now. Rejects with a ClientError, `TASK_NOT_FOUND` among them. */
export async function historyPage(client: Client, task: string, options: HistoryOptions = {}): Promise<LinePage> {
  const { filter = {}, order = 'asc', size, context, cursor, signal } = options;
  const place = order === 'asc' ? { after: cursor ?? 'start' } : { before: cursor ?? 'now' };
  const query = { ...queryFilter(filter), ...place, order, size, context };
  return requestJson<LinePage>(client, ['tasks', task, 'logs'], { query, signal });
}

/** A task's lines page by page, to the end that there is when the last one is asked for. Throws as `historyPage`. */
export function history(
  client: Client,
  task: string,
  options: HistoryOptions = {},
): AsyncGenerator<LinePage, void, undefined> {
  const ask = (cursor: string | number | undefined): Promise<LinePage> =>
    historyPage(client, task, { ...options, ...(cursor !== undefined && { cursor }) });
  return pagesFrom<string | number | undefined, LinePage>(options.cursor, ask);
}

export interface CountOptions {
  filter?: Filter;
  signal?: AbortSignal;
}

/** How many lines of a task match. Rejects with a ClientError. */
export async function count(client: Client, task: string, { filter = {}, signal }: CountOptions = {}): Promise<number> {
  const query = queryFilter(filter);
  const answer = await requestJson<{ count: number }>(client, ['tasks', task, 'logs', 'count'], { query, signal });
  return answer.count;
}

/** How many lines a task has by source and level. Rejects with a ClientError. */
export function stats(client: Client, task: string, { signal }: { signal?: AbortSignal } = {}): Promise<Stats> {
  return requestJson<Stats>(client, ['tasks', task, 'logs', 'stats'], { signal });
}

export interface ExportOptions {
  /** `plain` is the messages alone, as the program wrote them. Default `json`. */
  format?: 'json' | 'ndjson' | 'csv' | 'txt' | 'plain';
  filter?: Filter;
  /** As a gzip file. */
  gzip?: boolean;
  signal?: AbortSignal;
}

/**
 * A task's whole log, or what matches of it, as a file: the answer, whose `body` is a stream. If the log breaks off, so
 * does the stream, with an error. Rejects with a ClientError.
 */
export async function exportLog(client: Client, task: string, options: ExportOptions = {}): Promise<Response> {
  const { format = 'json', filter = {}, gzip, signal } = options;
  const form = format === 'plain' ? { format: 'txt', plain: true } : { format };
  const query = { ...queryFilter(filter), ...form, gzip };
  return request(client, ['tasks', task, 'logs', 'export'], { query, signal });
}
