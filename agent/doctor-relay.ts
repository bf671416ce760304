import { connect as connectTls, type PeerCertificate } from 'node:tls';
import type { AgentConfig } from '../shared/options/agent-options.ts';
import { apiUrlOf } from '../shared/options/urls.ts';
import { Dialer, publicUrl, taskUrl, type Way } from './dialer.ts';
import { bad, good, warning, type Check } from './doctor-check.ts';
import { inTime } from './in-time.ts';
import { dialOptions } from './link-options.ts';
import { dispatcher, readText, refusalOf, retried } from './http-client.ts';
import { brokenConnection, refusedRequest } from './uplink-refusal.ts';
import { UplinkSocket } from './uplink-socket.ts';
import type { Closing } from './uplink-connection.ts';

/** Clocks that are further apart make a log that is hard to read. */
const SKEW_MS = 2000;
/** Whoever renews a certificate needs some days for it. */
const EXPIRY_DAYS = 14;
const DAY_MS = 86_400_000;
/** In place of a task, where none is configured. */
const NO_TASK = 'doctor';

/** Whether the relay at `url` can be reached, believes us, and lets us write. Nothing is written to it. */
export async function checkRelay(config: AgentConfig, url: string, env: NodeJS.ProcessEnv): Promise<Check[]> {
  const options = dialOptions(config, env);
  const api = options.apiUrls?.[url] ?? apiUrlOf(url);
  let way: Way;
  try {
    way = await new Dialer(options).way(url);
  } catch (error) {
    return [bad('relay', `${publicUrl(url)}: ${(error as Error).message}`, 'correct the configuration')];
  }
  const answer = await retried(config, () => whoami(api, way, config.apiTimeoutMs));
  const certificate = url.startsWith('wss:') && way.proxy === undefined ? [await checkCertificate(url, way)] : [];
  if ('problem' in answer)
    return [
      bad(
        'relay',
        answer.problem,
        'keruta-agent config shows which address and token are taken, and where they come from',
      ),
      ...certificate,
    ];
  return [
    good('relay', `${publicUrl(api)} answers${way.proxy === undefined ? '' : ', through a proxy'}`),
    ...certificate,
    checkClock(answer),
    checkToken(answer, config),
    await checkLink(taskUrl(url, config.taskId ?? NO_TASK), way, config),
  ];
}

interface Answer {
  name: string;
  grants: { scope: string; tasks: string[] | null; labels: Record<string, string> }[];
  expiresAt: string | null;
  /** Its clock less ours, ms, to within the time that the answer took. */
  skewMs: number;
  tookMs: number;
}

/** Who the relay takes us for, or why it does not say. */
async function whoami(api: string, way: Way, timeoutMs: number): Promise<Answer | Closing> {
  const { origin, pathname } = new URL(`${api}/whoami`);
  const client = dispatcher({ ...way, connectTimeoutMs: timeoutMs });
  const since = Date.now();
  try {
    const answer = await client.request({
      method: 'GET',
      origin,
      path: pathname,
      headers: way.headers,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      // Whoever answers a little at a time is in time with all of that.
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await readText(answer.body);
    const now = Date.now();
    if (answer.statusCode !== 200) return refusedRequest(publicUrl(api), refusalOf(answer, text));
    const date = Date.parse(String(answer.headers.date));
    // The header has whole seconds, cut off.
    const skewMs = date + 500 - (since + now) / 2;
    return { ...(JSON.parse(text) as Omit<Answer, 'skewMs' | 'tookMs'>), skewMs, tookMs: now - since };
  } catch (error) {
    const { cause } = error as Error;
    return brokenConnection(publicUrl(api), cause instanceof Error ? cause : (error as Error));
  } finally {
    await client.destroy();
  }
}

function checkClock({ skewMs, tookMs }: Answer): Check {
  const seconds = Math.abs(skewMs / 1000).toFixed(1);
  if (Math.abs(skewMs) <= SKEW_MS + tookMs / 2) return good('clock', "this machine's clock and the relay's agree");
  const which = skewMs > 0 ? 'behind' : 'ahead of';
  return warning(
    'clock',
    `this machine's clock is ${seconds} s ${which} the relay's`,
    'lines bear the time of this machine: set its clock',
  );
}

function checkToken({ name, grants, expiresAt }: Answer, { taskId }: AgentConfig): Check {
  const said = grants.map(({ scope, tasks, labels }) => {
    const where = tasks === null ? '' : ` on ${tasks.join(', ')}`;
    const labelled = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
    return `${scope}${where}${labelled.length === 0 ? '' : ` with ${labelled.join(', ')}`}`;
  });
  const until = expiresAt === null ? '' : `, until ${expiresAt}`;
  const found = `the relay knows you as ${name}: ${said.join('; ')}${until}`;
  const writes = grants.some(({ scope }) => scope === 'ingest' || scope === 'admin');
  if (writes) return good('token', found);
  return bad('token', found, `${taskId ?? 'a task'} can't be written with it: take a token with the scope ingest`);
}

/** Whether the link can be opened. It is closed again before anything is said. */
async function checkLink(url: string, way: Way, config: AgentConfig): Promise<Check> {
  const agent = await proxied(way);
  const opening = new Promise<Closing | undefined>((resolve) => {
    const socket = new UplinkSocket(
      { ...way, url, timeoutMs: config.websocketTimeoutMs, ...(agent && { agent }) },
      {
        onOpen: () => {
          socket.close();
          resolve(undefined);
        },
        onMessage: () => undefined,
        onClose: resolve,
      },
    );
  });
  const { websocketTimeoutMs } = config;
  const closing = await inTime<Closing | undefined>(opening, websocketTimeoutMs, () => {
    return { retry: true, problem: `the relay at ${way.name} has not answered in ${websocketTimeoutMs / 1000} s` };
  });
  if (closing === undefined) return good('link', 'opens over a WebSocket');
  if (closing.blocked === true && config.httpFallback !== 'never') {
    return warning(
      'link',
      `no WebSocket gets through: ${closing.problem}`,
      'agents fall back to HTTP requests, which is slower; have the way opened for WebSockets',
    );
  }
  return bad('link', closing.problem, 'see what the relay, or what stands before it, says');
}

async function proxied(way: Way) {
  if (way.proxy === undefined) return undefined;
  const { proxyAgent } = await import('./dialer.ts');
  return proxyAgent(way.proxy, way.tls);
}

async function checkCertificate(url: string, { tls }: Way): Promise<Check> {
  const { hostname, port } = new URL(url);
  try {
    const { valid_to: until } = await certificateOf({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || 443),
      ...tls,
    });
    const days = Math.floor((Date.parse(until) - Date.now()) / DAY_MS);
    const found = `the relay's certificate is good for ${days} more ${days === 1 ? 'day' : 'days'}`;
    return days >= EXPIRY_DAYS ? good('certificate', found) : warning('certificate', found, 'renew it');
  } catch (error) {
    return bad('certificate', brokenConnection(publicUrl(url), error as Error).problem, 'as it says');
  }
}

function certificateOf(options: { host: string; port: number }): Promise<PeerCertificate> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ ...options, servername: /[a-z]/i.test(options.host) ? options.host : '' }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.setTimeout(CERTIFICATE_PATIENCE_MS, () => socket.destroy(new Error('no answer in time')));
    socket.once('error', reject);
  });
}

const CERTIFICATE_PATIENCE_MS = 10_000;
