import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import type { Mount } from './api/public-api.ts';
import { securityHeaders } from './auth/security-headers.ts';
import { Heartbeat } from './heartbeat.ts';
import { createApp, type AppMeter, type AppOptions } from './http-app.ts';
import { refuse, toKerutaError } from './http-errors.ts';
import type { ListenAddress } from './listen-address.ts';
import { HalfOpen } from './limits/half-open.ts';
import type { Limits } from './limits/limits.ts';
import { Listeners } from './listeners.ts';
import type { TlsFiles } from './tls.ts';
import { Upgrades, type UpgradeOptions } from './upgrade.ts';

/**
 * Listens: HTTP under /api/v1 and /health, WebSockets under /ws. Rejects with an Error if one of the addresses can't
 * be had.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const heartbeat = new Heartbeat();
  const { apis = [] } = options;
  const sockets = apis.flatMap((api) => api.sockets ?? []);
  const mountOf = mountFinder(apis.flatMap((api) => api.mounts ?? []));
  const upgrades = new Upgrades({ ...options, sockets, heartbeat });
  const halfOpen = new HalfOpen();
  const app = await createApp(options);
  await app.ready();
  const headers = Object.entries(securityHeaders({ tls: options.tls !== undefined }));
  const listeners = new Listeners({
    tls: options.tls,
    http: {
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      connectionsCheckingInterval: CHECK_EVERY_MS,
      // Other upgrades (curl's h2c) are an offer that may be ignored. Older Nodes can't, and such requests fail there.
      shouldUpgradeCallback: (request: IncomingMessage) => request.headers.upgrade?.toLowerCase() === 'websocket',
    },
    maxConnections: options.maxSockets,
    onConnection: halfOpen.opened,
    onRequest: (request, response) => {
      halfOpen.asked(request.socket);
      // Here, so that answers which routes write themselves have them, too.
      for (const [name, value] of headers) response.setHeader(name, value);
      const mount = mountOf(request);
      if (mount !== undefined) mount.request(request, response);
      else app.routing(request, response);
    },
    onUpgrade: (request, socket, head) => {
      halfOpen.asked(socket);
      const mount = mountOf(request);
      if (mount !== undefined) mount.upgrade(request, socket, head);
      else upgrades.handle(request, socket, head);
    },
    onClientError: (error, socket) => refuse(socket, toKerutaError(error), options),
  });
  const stop = async (): Promise<void> => {
    const sentAway = Promise.all([upgrades.stop(), ...apis.map((api) => api.stop?.())]);
    // Streams and slow readers come back to where they were; agents first get what they are waiting for.
    await listeners.close(REQUEST_PATIENCE_MS, sentAway);
    await sentAway;
    await app.close();
    heartbeat.stop();
  };
  try {
    const urls = await listeners.listen(options.listen);
    for (const api of apis) await api.start?.();
    heartbeat.start();
    return { url: urls[0], urls, traffic: heartbeat.traffic, viewers: () => upgrades.viewers, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export interface Server {
  /** The first address that it listens on, without a path. */
  url: string;
  /** All of them. */
  urls: string[];
  /** Bytes over all WebSockets since it was started. */
  traffic: { readonly read: number; readonly written: number };
  /** WebSockets of others than agents that are open. */
  viewers: () => number;
  /** Takes no more connections, finishes requests, and sends viewers and agents away. */
  stop(): Promise<void>;
}

export interface ServerOptions extends Omit<UpgradeOptions, 'heartbeat' | 'sockets'>, AppOptions {
  listen: readonly ListenAddress[];
  tls?: TlsFiles;
  /** Connections that it may have on each address, asked something or not. Default: any number. */
  maxSockets?: number;
  limits?: Pick<Limits, 'connect' | 'request'>;
  meter?: AppMeter;
  log: Logger;
}

/** Finds who takes a path, or one below it. */
function mountFinder(mounts: readonly Mount[]): (request: IncomingMessage) => Mount | undefined {
  return ({ url = '' }) => {
    const path = url.split('?', 1)[0];
    return mounts.find((mount) => path === mount.path || path.startsWith(`${mount.path}/`));
  };
}

const MAX_HEADER_BYTES = 16 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** How often these two are looked at. */
const CHECK_EVERY_MS = 5000;
/** Longer than the pauses of most pollers, so that they need not connect again. */
const KEEP_ALIVE_MS = 72_000;
/** How long a stop waits for requests to finish, once agents and viewers are gone. */
const REQUEST_PATIENCE_MS = 2000;
