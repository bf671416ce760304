import type { Client } from './client.ts';
import { ClientError, type ClientErrorCode } from './errors.ts';
import type { Query } from './query.ts';
import { awaitToken } from './token.ts';

export interface RequestOptions {
  query?: Query;
  signal?: AbortSignal | undefined;
}

/**
 * Asks the relay for what stands at a path under `/api/v1`, given as its parts. Resolves to an answer below 400. Rejects
 * with a ClientError for all others, and with the signal's reason when that aborts.
 */
export async function request(
  client: Client,
  path: readonly string[],
  options: RequestOptions = {},
): Promise<Response> {
  client.check();
  const url = client.urlOf(path, options.query);
  const { token } = client.options;
  const { signal } = options;
  const first = await awaitToken(token, undefined, signal);
  let response = await send(client, { url, token: first, signal });
  if (response.status === 401 && typeof token === 'function') {
    await response.body?.cancel();
    response = await send(client, { url, token: await awaitToken(token, first, signal), signal });
  }
  if (!response.ok) throw await refusal(url, response);
  return response;
}

/** As `request`, for answers in JSON. */
export async function requestJson<T>(client: Client, path: readonly string[], options?: RequestOptions): Promise<T> {
  const response = await request(client, path, options);
  return whole(response, response.json() as Promise<T>, options?.signal);
}

/** As `request`, for answers that are files. */
export async function requestBlob(client: Client, path: readonly string[], options?: RequestOptions): Promise<Blob> {
  const response = await request(client, path, options);
  return whole(response, response.blob(), options?.signal);
}

async function whole<T>({ url, status }: Response, body: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  try {
    return await body;
  } catch (cause) {
    signal?.throwIfAborted();
    const problem = `${url}: the answer broke off, or is not of the kind that it must be.`;
    throw new ClientError('INVALID_ANSWER', problem, { status, cause, retry: true });
  }
}

async function send(
  client: Client,
  { url, token, signal }: { url: string; token: string | undefined; signal: AbortSignal | undefined },
): Promise<Response> {
  signal?.throwIfAborted();
  const { fetch: own = fetch, timeoutMs = TIMEOUT_MS } = client.options;
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), timeoutMs);
  try {
    return await own(url, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: signal === undefined ? patience.signal : AbortSignal.any([signal, patience.signal]),
    });
  } catch (cause) {
    signal?.throwIfAborted();
    const why = patience.signal.aborted ? `has not answered for ${timeoutMs / 1000} s` : unreachable(cause);
    throw new ClientError('UNREACHABLE', `The relay at ${client.url} ${why}.`, { cause, retry: true });
  } finally {
    clearTimeout(timer);
  }
}

/** Node's `fetch` knows why, one deeper. A browser's does not tell an outage from a page that may not ask. */
function unreachable(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { code?: string; message?: string } };
  const reason = cause?.code ?? cause?.message;
  if (reason !== undefined) return `can't be reached (${reason})`;
  return `can't be reached, or does not let this page ask (${message ?? String(error)})`;
}

async function refusal(url: string, response: Response): Promise<ClientError> {
  const { status } = response;
  const said = errorOf(await response.text().catch(() => ''));
  const seconds = Number(response.headers.get('retry-after') ?? NaN);
  return new ClientError(said.code ?? 'REFUSED', said.message ?? `${url} was answered with HTTP ${status}.`, {
    status,
    hint: said.hint,
    retry: status >= 500 || status === 429 || status === 408,
    retryAfterMs: seconds >= 0 ? seconds * 1000 : undefined,
  });
}

/** The relay's error, in either shape that it has: `{"error":{"code","message","hint"}}` or `{"error":"…"}`. */
function errorOf(body: string): { code?: ClientErrorCode; message?: string; hint?: string } {
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    if (typeof error === 'string') return { message: error };
    if (typeof error === 'object' && error !== null) return error;
  } catch {
    // Whoever answered, it was not the relay.
  }
  return {};
}

const TIMEOUT_MS = 60_000;
