import cors from '@fastify/cors';
import fastify, { LogController, type FastifyInstance, type FastifyReply } from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import { KerutaError } from '../shared/errors.ts';
import { addCompression } from './api/compress.ts';
import { addOpenapi } from './api/openapi.ts';
import { HEALTH_SCHEMA } from './api/openapi-schemas.ts';
import type { Door } from './auth/door.ts';
import './auth/http.ts';
import type { Origins } from './auth/origins.ts';
import { requestIdOf } from './auth/request-id.ts';
import { PAGE_POLICY, securityHeaders } from './auth/security-headers.ts';
import type { Sessions } from './auth/sessions.ts';
import type { Caller } from './caller.ts';
import type { Health } from './health.ts';
import { Heartbeat } from './heartbeat.ts';
import { errorBody, errorHeaders, refuse, toKerutaError } from './http-errors.ts';
import type { ListenAddress } from './listen-address.ts';
import { HalfOpen } from './limits/half-open.ts';
import { Listeners } from './listeners.ts';
import type { TlsFiles } from './tls.ts';
import { Upgrades, type UpgradeMeter, type UpgradeOptions } from './upgrade.ts';

/**
 * Listens: HTTP under /api/v1 and /health, WebSockets under /ws. Rejects with an Error if one of the addresses can't
 * be had.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const heartbeat = new Heartbeat();
  const upgrades = new Upgrades({ ...options, heartbeat });
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
      app.routing(request, response);
    },
    onUpgrade: (request, socket, head) => {
      halfOpen.asked(socket);
      upgrades.handle(request, socket, head);
    },
    onClientError: (error, socket) => refuse(socket, toKerutaError(error), options),
  });
  const stop = async (): Promise<void> => {
    // Streams and slow readers: they come back to where they were.
    const closed = listeners.close(REQUEST_PATIENCE_MS);
    await upgrades.stop();
    await closed;
    await app.close();
    heartbeat.stop();
  };
  try {
    const urls = await listeners.listen(options.listen);
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

export interface ServerOptions extends Omit<UpgradeOptions, 'heartbeat'> {
  listen: readonly ListenAddress[];
  tls?: TlsFiles;
  door: Door;
  sessions: Sessions;
  health: Health;
  /** Registers what stands under /api/v1; `request.caller` says who asks. */
  routes: (api: FastifyInstance) => void;
  /** Registers what stands elsewhere and wants a caller, too. */
  guarded?: (app: FastifyInstance) => void;
  /** Registers what is open to all. */
  open?: (app: FastifyInstance) => void;
  /** Whether JSON is compressed for clients who take that. Default true. */
  compression?: boolean;
  /** Connections that it may have on each address, asked something or not. Default: any number. */
  maxSockets?: number;
  /** Told of requests. */
  meter?: ServerMeter;
  log: Logger;
  version: string;
}

export interface ServerMeter extends UpgradeMeter {
  /** A request was answered with this status, after so many ms. */
  answered(status: number, ms: number): void;
}

async function createApp(options: ServerOptions): Promise<FastifyInstance> {
  const { door, health, routes, guarded, open, log, version } = options;
  const app = fastify({
    loggerInstance: log,
    // Ours says less: a URL may hold a token.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: ({ headers }) => requestIdOf(headers),
    bodyLimit: options.maxMessageBytes ?? MAX_BODY_BYTES,
    routerOptions: { maxParamLength: MAX_PARAM_CHARACTERS, ignoreTrailingSlash: true },
    frameworkErrors: (error, request, reply: FastifyReply) => {
      // The framework's message shows the whole URL.
      const bad = error.code === 'FST_ERR_BAD_URL';
      const problem = `The path ${JSON.stringify(pathOf(request.url))} is not well encoded.`;
      sendError(reply, bad ? new KerutaError('INVALID_INPUT', problem) : toKerutaError(error), version);
    },
  }) as unknown as FastifyInstance;
  app.decorateRequest('caller');
  addCors(app, door.origins);
  await addOpenapi(app, { version });
  if (options.compression !== false) addCompression(app);

  app.addHook('onRequest', (request, reply, done) => {
    reply.raw.setHeader('x-request-id', request.id);
    done();
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    const type = reply.getHeader('content-type')?.toString() ?? '';
    if (type.startsWith('text/html')) reply.header('content-security-policy', PAGE_POLICY);
    done();
  });
  app.setErrorHandler((error, request, reply) => {
    const shown = toKerutaError(error);
    const sent = sendError(reply, shown, version);
    options.meter?.failed(shown.code);
    if (reply.statusCode >= 500) log.error({ err: error, requestId: request.id }, 'a request failed');
    return sent;
  });
  app.setNotFoundHandler((request, reply) => {
    const error = new KerutaError('NOT_FOUND', `There is no ${request.method} ${pathOf(request.url)}.`);
    return sendError(reply, error, version);
  });
  app.addHook('onResponse', (request, reply, done) => {
    const { method, id: requestId } = request;
    const ms = Math.round(reply.elapsedTime);
    // Nobody, where no caller is wanted or none was let in.
    const caller = (request.caller as Caller | undefined)?.principal.name;
    const address = door.addressOf(request.raw);
    const details = { method, path: pathOf(request.url), status: reply.statusCode, ms, caller, address, requestId };
    options.meter?.answered(reply.statusCode, reply.elapsedTime);
    log.debug(details, 'request');
    done();
  });

  addHealth(app, health);
  app.get('/ws/*', { schema: { hide: true } }, () => {
    throw new KerutaError('UPGRADE_REQUIRED', 'This is the address of a WebSocket, and the request asks for none.');
  });
  open?.(app);
  for (const [register, prefix] of [[routes, '/api/v1'] as const, [guarded, ''] as const]) {
    app.register(
      (part, _options, done) => {
        guard(part, options);
        register?.(part);
        done();
      },
      { prefix },
    );
  }
  return app;
}

/** Lets only known callers in, and nobody stay whose key is revoked. */
function guard(app: FastifyInstance, { door, sessions, limits }: ServerOptions): void {
  app.addHook('onRequest', async (request, reply) => {
    const visit = { address: door.addressOf(request.raw), requestId: request.id };
    if (request.routeOptions.config.counted !== false) limits?.request(visit.address);
    request.caller = await door.admit(request.raw, visit);
    const forget = sessions.add({
      principal: request.caller.principal,
      endsWithToken: true,
      end: () => request.raw.destroy(),
    });
    reply.raw.once('close', forget);
  });
}

function addCors(app: FastifyInstance, origins: Origins): void {
  if (!origins.configured) return;
  app.register(cors, {
    origin: origins.any ? '*' : origins.list,
    // A page that every origin may be gets no cookies.
    credentials: !origins.any,
    methods: ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS'],
    allowedHeaders: ['Content-Type', 'Authorization', 'X-API-Key', 'Last-Event-ID', 'Idempotency-Key', 'X-Request-Id'],
    exposedHeaders: ['X-Request-Id', 'Retry-After', 'Content-Disposition'],
    maxAge: PREFLIGHT_SECONDS,
  });
}

function sendError(reply: FastifyReply, error: KerutaError, version: string): FastifyReply {
  const shown = errorBody(error, { version, requestId: reply.request.id });
  return reply.code(shown.error.status).headers(errorHeaders(error)).send(shown);
}

/** Open to all, as probes bring no tokens. Fastify answers HEAD wherever it answers GET. */
function addHealth(app: FastifyInstance, health: Health): void {
  const schema = (summary: string): object => ({ ...HEALTH_SCHEMA, summary });
  app.get('/health', { schema: schema('How the relay is') }, async (_request, reply) => {
    const report = await health.report();
    return reply.code(report.status === 'healthy' ? 200 : 503).send(report);
  });
  app.get('/health/ready', { schema: schema('Whether it can take logs in') }, async (_request, reply) => {
    const { timestamp, checks } = await health.report();
    const { store, disk, accepting } = checks;
    const ready = store.healthy && disk.healthy && accepting.healthy;
    return reply
      .code(ready ? 200 : 503)
      .send({ status: ready ? 'healthy' : 'unhealthy', timestamp, checks: { store, disk, accepting } });
  });
  app.get('/health/live', { schema: schema('Whether it answers at all') }, () => ({
    status: 'healthy',
    timestamp: new Date().toISOString(),
    checks: {},
  }));
}

function pathOf(url: string): string {
  return url.split('?', 1)[0];
}

const MAX_BODY_BYTES = 1024 * 1024;
/** A task id of 256 bytes, each percent-encoded. */
const MAX_PARAM_CHARACTERS = 3 * 256;
const MAX_HEADER_BYTES = 16 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
/** How often these two are looked at. */
const CHECK_EVERY_MS = 5000;
const REQUEST_TIMEOUT_MS = 30_000;
/** Longer than the pauses of most pollers, so that they need not connect again. */
const KEEP_ALIVE_MS = 72_000;
/** How long a stop waits for requests to finish. */
const REQUEST_PATIENCE_MS = 2000;
const PREFLIGHT_SECONDS = 600;
