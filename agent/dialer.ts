import type { Agent } from 'node:http';
import { apiUrlOf } from '../shared/options/urls.ts';
import { Credentials, type CredentialOptions } from './credentials.ts';
import { namesProxies, proxyFor, shownProxy } from './proxy.ts';
import type { TlsOptions, TlsSettings } from './tls.ts';
import { Detour, type DetourMode } from './uplink-detour.ts';
import type { Connection, ConnectionEvents } from './uplink-connection.ts';
import { PendingConnection } from './uplink-pending.ts';

/**
 * Opens the connections of a process to its relays: with the credentials and certificates that the files hold by then,
 * through the proxy that the environment names, over a WebSocket or, where that does not get through, over HTTP. What
 * it learns of the way to a relay holds for all runs.
 */
export class Dialer {
  readonly #options: DialOptions;
  readonly #credentials: Credentials;
  readonly #detours = new Map<string, Detour>();
  /** Of certificates, under way: a disk that hangs holds one thread, and not one for each attempt. */
  #readingTls: Promise<TlsSettings> | undefined;

  constructor(options: DialOptions) {
    this.#options = options;
    this.#credentials = new Credentials(options);
  }

  /** Loads what connections need, so that the first one need not wait for it. */
  async load(): Promise<void> {
    await import('./uplink-socket.ts');
  }

  /** Begins to connect to the relay at `url` (base, without a task), as a `Connect` does. */
  connect(url: string, task: string, events: ConnectionEvents): Connection {
    const detour = this.#detour(url);
    const via = detour.http ? 'http' : 'websocket';
    const watched: ConnectionEvents = {
      ...events,
      onMessage: (message) => {
        if (message.type === 'ready') detour.opened(via);
        events.onMessage(message);
      },
      onClose: (closing) => events.onClose(detour.closed(via, closing)),
    };
    const name = publicUrl(url);
    return new PendingConnection(name, watched, (live) =>
      via === 'http' ? this.#http(url, task, live) : this.#webSocket(url, task, live),
    );
  }

  /** What a WebSocket to a relay needs beside its address; also for those who only read. */
  async way(url: string): Promise<Way> {
    const { connectTimeoutMs, env = {} } = this.#options;
    const proxy = namesProxies(env) && URL.canParse(url) ? proxyFor(url, env) : undefined;
    const [headers, tls] = await Promise.all([
      this.#credentials.headers(connectTimeoutMs),
      /^(wss|https):/.test(url) ? this.#tls() : undefined,
    ]);
    const name = proxy === undefined ? publicUrl(url) : `${publicUrl(url)} (through the proxy ${shownProxy(proxy)})`;
    return { name, headers, ...(tls && { tls }), ...(proxy && { proxy }) };
  }

  async #webSocket(url: string, task: string, events: ConnectionEvents): Promise<Connection> {
    const [{ UplinkSocket }, way] = await Promise.all([import('./uplink-socket.ts'), this.way(url)]);
    const { connectTimeoutMs: timeoutMs, pingAfterMs, goneAfterMs } = this.#options;
    const agent = way.proxy && (await proxyAgent(way.proxy, way.tls));
    return new UplinkSocket(
      { ...way, url: taskUrl(url, task), timeoutMs, pingAfterMs, goneAfterMs, ...(agent && { agent }) },
      events,
    );
  }

  async #http(url: string, task: string, events: ConnectionEvents): Promise<Connection> {
    const api = this.#options.apiUrls?.[url] ?? apiUrlOf(url);
    const [{ UplinkHttp }, way] = await Promise.all([import('./uplink-http.ts'), this.way(api)]);
    const { connectTimeoutMs, apiTimeoutMs, pingAfterMs } = this.#options;
    return new UplinkHttp(
      {
        ...way,
        url: `${api}/tasks/${encodeURIComponent(task)}/link`,
        connectTimeoutMs,
        answerTimeoutMs: apiTimeoutMs,
        pingAfterMs,
      },
      events,
    );
  }

  #tls(): Promise<TlsSettings> {
    this.#readingTls ??= readTls(this.#options).finally(() => (this.#readingTls = undefined));
    return this.#readingTls;
  }

  #detour(url: string): Detour {
    let detour = this.#detours.get(url);
    if (!detour) {
      detour = new Detour(this.#options.httpFallback ?? 'auto');
      this.#detours.set(url, detour);
    }
    return detour;
  }
}

async function readTls(options: TlsOptions): Promise<TlsSettings> {
  const { tlsSettings } = await import('./tls.ts');
  return tlsSettings(options);
}

/** An agent for Node's HTTP client that tunnels through a proxy. */
export async function proxyAgent(proxy: URL, tls: TlsSettings | undefined): Promise<Agent> {
  const { HttpsProxyAgent } = await import('https-proxy-agent');
  return new HttpsProxyAgent(proxy, { ...(proxy.protocol === 'https:' && tls?.ca && { ca: tls.ca }) });
}

/** What is said of `verifyCert: false`; undefined if there is nothing to say. */
export function unverifiedWarning({ verifyCert = true }: TlsOptions, urls: readonly string[]): string | undefined {
  const secure = urls.filter((url) => url.startsWith('wss:'));
  if (verifyCert || secure.length === 0) return undefined;
  return (
    `the certificate of ${secure.map(publicUrl).join(', ')} is NOT verified (websocket.security.verifyCert is false): ` +
    'whoever is on the way can read and change the log and the token'
  );
}

/** The base URL with the task id behind its path; a query stays. What is no URL is left for the socket to refuse. */
export function taskUrl(base: string, task: string): string {
  if (!URL.canParse(base)) return base;
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${encodeURIComponent(task)}`;
  return url.href;
}

/** The URL without what may be secret in it. */
export function publicUrl(base: string): string {
  if (!URL.canParse(base)) return base;
  const url = new URL(base);
  url.username = url.password = url.search = url.hash = '';
  return url.href;
}

/** How a relay is reached. */
export interface Way {
  /** What it is called in messages. */
  name: string;
  headers: Record<string, string>;
  tls?: TlsSettings;
  proxy?: URL;
}

export interface DialOptions extends CredentialOptions, TlsOptions {
  /** Where the REST interface of a relay is, by its WebSocket address, if that does not follow from it. */
  apiUrls?: Record<string, string>;
  /** `auto` if absent. */
  httpFallback?: DetourMode;
  /** For a connection to open. */
  connectTimeoutMs: number;
  /** For the answer to a request; 30 s if absent. */
  apiTimeoutMs?: number;
  /** Of silence, before the relay is pinged and before it is taken to be gone; PING_AFTER_MS and PEER_GONE_AFTER_MS. */
  pingAfterMs?: number;
  goneAfterMs?: number;
  /** Where proxies are named; none if absent. */
  env?: Readonly<Record<string, string | undefined>>;
}
