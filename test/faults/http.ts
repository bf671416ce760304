import { once } from 'node:events';
import { request as plain, type IncomingMessage } from 'node:http';
import { request as secure } from 'node:https';
import type { Entrance } from './contract.ts';

/** A request to the relay, on a connection of its own. */
export interface Request {
  /** Below the relay's URL, as `/api/v1/tasks`. */
  path: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  scope?: 'ingest' | 'read' | 'admin';
  signal: AbortSignal;
}

/**
 * Asks the relay. Resolves with the beginning of the answer, whatever its status; rejects if there is none within
 * PATIENCE_MS, or nothing more comes of it for so long, and with the signal's reason.
 */
export async function ask(entrance: Entrance, asked: Request): Promise<IncomingMessage> {
  const { path, method = 'GET', headers, body, scope = 'read', signal } = asked;
  signal.throwIfAborted();
  const { url, ca } = entrance;
  const options = {
    ...{ method, agent: false as const, signal, timeout: PATIENCE_MS },
    headers: { ...authorization(entrance, scope), ...headers },
  };
  const request = ca === undefined ? plain(url + path, options) : secure(url + path, { ...options, ca });
  request.on('timeout', () => request.destroy(new Error(`nothing came for ${PATIENCE_MS} ms`)));
  // Whoever waits for the answer is told of what happens before it; what happens later, its reader is told.
  request.on('error', () => undefined);
  request.end(body);
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  answer.on('error', () => undefined);
  return answer;
}

/** The whole of a body. Rejects if it is cut off. */
export async function textOfAnswer(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  if (!answer.complete) throw new Error('the answer was cut off');
  return Buffer.concat(parts).toString('utf8');
}

/** The JSON of an answer that is a success. Rejects for every other. */
export async function askJson<T>(entrance: Entrance, asked: Request): Promise<T> {
  const answer = await ask(entrance, asked);
  const text = await textOfAnswer(answer);
  const { statusCode = 0 } = answer;
  if (statusCode < 200 || statusCode > 299) throw new StatusError(statusCode, text);
  return JSON.parse(text) as T;
}

export class StatusError extends Error {
  readonly status: number;
  readonly body: string;

  constructor(status: number, body: string) {
    super(`HTTP ${status}: ${body}`);
    this.status = status;
    this.body = body;
  }
}

export function authorization({ tokens }: Entrance, scope: 'ingest' | 'read' | 'admin'): Record<string, string> {
  return tokens === undefined ? {} : { authorization: `Bearer ${tokens[scope]}` };
}

/** A half-open connection brings nothing, and nobody says so. */
export const PATIENCE_MS = 3000;
