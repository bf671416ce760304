import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, ProxyAgent, type Dispatcher } from 'undici';
import { MAX_CONTROL_BYTES } from '../shared/wire.ts';
import type { TlsSettings } from './tls.ts';
import type { Closing } from './uplink-connection.ts';
import type { HttpRefusal } from './uplink-refusal.ts';

/** Sends requests to one relay, over one connection, through the proxy if there is one. To be destroyed. */
export function dispatcher({ tls, proxy, connectTimeoutMs }: HttpWay): Dispatcher {
  const connect = { ...tls, timeout: connectTimeoutMs };
  if (proxy === undefined) return new Agent({ connect, connections: 1, pipelining: 1 });
  const { username, password } = proxy;
  const token = `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`;
  return new ProxyAgent({
    uri: `${proxy.protocol}//${proxy.host}`,
    ...(username !== '' && { token }),
    connect,
    requestTls: connect,
    ...(tls?.ca && { proxyTls: { ca: tls.ca } }),
  });
}

/** What an answer says that is not the one that was asked for. */
export function refusalOf({ statusCode: status, headers }: Dispatcher.ResponseData, body: string): HttpRefusal {
  const retryAfter = headers['retry-after'];
  return { status, body, ...(typeof retryAfter === 'string' && { retryAfter }) };
}

/** An answer is small; whoever sends more is no relay. */
export async function readText(body: Dispatcher.ResponseData['body']): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    parts.push(part as Buffer);
    bytes += (part as Buffer).length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`its answer has more than ${MAX_ANSWER_BYTES} bytes`);
  }
  return Buffer.concat(parts).toString();
}

/** Makes a request again that was answered, but not as it should be, if that may pass; as often as is configured. */
export async function retried<T extends object>(
  { apiRetryCount, apiRetryIntervalMs }: { apiRetryCount: number; apiRetryIntervalMs: number },
  request: () => Promise<T | Closing>,
): Promise<T | Closing> {
  for (let attempt = 0; ; attempt++) {
    const answer = await request();
    if (!('problem' in answer) || !answer.retry || answer.answered !== true || attempt >= apiRetryCount) return answer;
    await sleep(Math.min(answer.retryAfterMs ?? apiRetryIntervalMs, MAX_WAIT_MS));
  }
}

export interface HttpWay {
  tls?: TlsSettings;
  proxy?: URL;
  /** For the connection to open. */
  connectTimeoutMs: number;
}

const MAX_ANSWER_BYTES = 4 * MAX_CONTROL_BYTES;
const MAX_WAIT_MS = 60_000;
