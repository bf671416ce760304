import type { Client } from './client.ts';
import { pagesFrom } from './pages.ts';
import type { Page, Pipeline, PipelineWithTasks } from './records.ts';
import { requestJson } from './request.ts';

export interface PipelinesOptions {
  /** A part of the pipeline's id, in any case. */
  text?: string;
  /** Pipelines of a page, 1 to 1,000. Default 100. */
  size?: number;
  /** The `next` of the page before. */
  cursor?: string;
  signal?: AbortSignal;
}

/** One page of the pipelines with a task that the token may read, the newest first. Rejects with a ClientError. */
export function pipelinesPage(client: Client, options: PipelinesOptions = {}): Promise<Page<Pipeline>> {
  const { text, size, cursor, signal } = options;
  return requestJson<Page<Pipeline>>(client, ['pipelines'], { query: { q: text, size, after: cursor }, signal });
}

/** Pipelines, the newest first, asked for page by page as they are taken. Throws a ClientError. */
export async function* pipelines(
  client: Client,
  options: PipelinesOptions = {},
): AsyncGenerator<Pipeline, void, undefined> {
  const pages = pagesFrom(options.cursor, (cursor) => pipelinesPage(client, { ...options, ...(cursor && { cursor }) }));
  for await (const page of pages) yield* page.content;
}

/** A pipeline and its tasks. Rejects with a ClientError, `PIPELINE_NOT_FOUND` among them. */
export function pipeline(
  client: Client,
  id: string,
  { signal }: { signal?: AbortSignal } = {},
): Promise<PipelineWithTasks> {
  return requestJson<PipelineWithTasks>(client, ['pipelines', id], { signal });
}
