import cors from '@fastify/cors';
import fastify, { LogController, type FastifyInstance, type FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import { KerutaError } from '../shared/errors.ts';
import { addCompression } from './api/compress.ts';
import { addOpenapi } from './api/openapi.ts';
import { HEALTH_SCHEMA } from './api/openapi-schemas.ts';
import type { PublicApi } from './api/public-api.ts';
import type { Door } from './auth/door.ts';
import './auth/http.ts';
import { requestIdOf } from './auth/request-id.ts';
import { PAGE_POLICY } from './auth/security-headers.ts';
import type { Sessions } from './auth/sessions.ts';
import type { Caller } from './caller.ts';
import type { Health } from './health.ts';
import { errorBody, errorHeaders, toKerutaError, type ErrorMeter } from './http-errors.ts';
import type { Limits } from './limits/limits.ts';

/**
 * Everything over HTTP: who asks, what stands where, what every answer has, and what goes into the log. It does not
 * listen by itself.
 */
export async function createApp(options: AppOptions): Promise<FastifyInstance> {
  const { door, health, limits, routes, apis = [], guarded, open, log, version } = options;
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
      sendError(reply, bad ? new KerutaError('INVALID_INPUT', problem) : toKerutaError(error), options);
    },
  }) as unknown as FastifyInstance;
  app.decorateRequest('caller');
  addCors(app, door);
  await addOpenapi(app, { version });
  if (options.compression !== false) addCompression(app);

  app.addHook('onRequest', async (request, reply) => {
    reply.raw.setHeader('x-request-id', request.id);
    // Also of what is open to all, or not there.
    if (request.routeOptions.config.counted !== false) limits?.request(door.addressOf(request.raw));
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    const type = reply.getHeader('content-type')?.toString() ?? '';
    if (type.startsWith('text/html')) reply.header('content-security-policy', PAGE_POLICY);
    done();
  });
  app.setErrorHandler((error, request, reply) => {
    const shown = toKerutaError(error);
    const sent = sendError(reply, shown, options);
    if (reply.statusCode >= 500) log.error({ err: error, requestId: request.id }, 'a request failed');
    return sent;
  });
  app.setNotFoundHandler((request, reply) => {
    const error = new KerutaError('NOT_FOUND', `There is no ${request.method} ${pathOf(request.url)}.`);
    return sendError(reply, error, options);
  });
  app.addHook('onResponse', (request, reply, done) => {
    const { method, id: requestId } = request;
    const ms = Math.round(reply.elapsedTime);
    // Nobody, where no caller is wanted or none was let in.
    const caller = (request.caller as Caller | undefined)?.principal.name;
    const address = door.addressOf(request.raw);
    const details = { method, path: pathOf(request.url), status: reply.statusCode, ms, caller, address, requestId };
    // How long somebody listens says nothing about the relay.
    options.meter?.answered(reply.statusCode, isEventStream(reply) ? undefined : reply.elapsedTime);
    log.debug(details, 'request');
    done();
  });

  addHealth(app, health);
  app.get('/ws/*', { schema: { hide: true } }, () => {
    throw new KerutaError('UPGRADE_REQUIRED', 'This is the address of a WebSocket, and the request asks for none.');
  });
  open?.(app);
  const ofApis = apis.map((api) => (part: FastifyInstance) => api.routes?.(part));
  // Each by itself, so that what one of them sets for its answers changes nothing for the others.
  for (const register of [routes, ...ofApis]) addGuarded(app, { prefix: '/api/v1', register, options });
  if (guarded !== undefined) addGuarded(app, { prefix: '', register: guarded, options });
  return app;
}

export interface AppOptions {
  door: Door;
  sessions: Sessions;
  health: Health;
  /** Absent: none. */
  limits?: Pick<Limits, 'request'>;
  /** The largest body of a request. Default 1 MiB. */
  maxMessageBytes?: number;
  /** Registers what stands under /api/v1; `request.caller` says who asks. */
  routes: (api: FastifyInstance) => void;
  /** Those that stand beside these. */
  apis?: readonly PublicApi[];
  /** Registers what stands elsewhere and wants a caller, too. */
  guarded?: (app: FastifyInstance) => void;
  /** Registers what is open to all. */
  open?: (app: FastifyInstance) => void;
  /** Whether JSON is compressed for clients who take that. Default true. */
  compression?: boolean;
  /** Told of requests. */
  meter?: AppMeter;
  log: Logger;
  version: string;
}

export interface AppMeter extends ErrorMeter {
  /** A request was answered with this status, after so many ms; undefined: by a stream of events, which is over now. */
  answered(status: number, ms: number | undefined): void;
}

interface Guarded {
  prefix: string;
  register: (app: FastifyInstance) => void;
  options: AppOptions;
}

function addGuarded(app: FastifyInstance, { prefix, register, options }: Guarded): void {
  app.register(
    (part, _options, done) => {
      guard(part, options);
      register(part);
      done();
    },
    { prefix },
  );
}

/** Lets only known callers in, and nobody stay whose key is revoked. */
function guard(app: FastifyInstance, { door, sessions }: AppOptions): void {
  app.addHook('onRequest', async (request, reply) => {
    const visit = { address: door.addressOf(request.raw), requestId: request.id };
    request.caller = await door.admit(request.raw, visit);
    // While its token was looked at. Nobody would hear of the end of it, nor of that of what it asks for.
    if (reply.raw.closed) throw new KerutaError('IDLE', 'The client has gone.');
    const forget = sessions.add({
      principal: request.caller.principal,
      endsWithToken: true,
      end: () => request.raw.destroy(),
    });
    reply.raw.once('close', forget);
  });
}

/** What browsers let web pages do with the answers; whether they may ask at all, `Door` says. */
function addCors(app: FastifyInstance, { auth, origins }: Door): void {
  const shared = {
    allowedHeaders: ['Content-Type', 'Authorization', 'X-API-Key', 'Last-Event-ID', 'Idempotency-Key', 'X-Request-Id'],
    exposedHeaders: ['X-Request-Id', 'Retry-After', 'Content-Disposition'],
    maxAge: PREFLIGHT_SECONDS,
  };
  if (origins.configured) {
    app.register(cors, {
      ...shared,
      origin: origins.any ? '*' : origins.list,
      // A page that every origin may be gets no cookies.
      credentials: !origins.any,
      methods: ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS'],
    });
    return;
  }
  // As over a WebSocket, pages of this machine may read what needs no token. Keys may come while the relay runs.
  app.register(cors, {
    ...shared,
    origin: (origin, done) => {
      done(null, !auth.required && origin !== undefined && origins.mayReadOpen(origin, undefined));
    },
    credentials: true,
    methods: ['GET'],
  });
}

function sendError(reply: FastifyReply, error: KerutaError, { version, meter }: AppOptions): FastifyReply {
  meter?.failed(error.code);
  const shown = errorBody(error, { version, requestId: reply.request.id });
  return reply.code(shown.error.status).headers(errorHeaders(error)).send(shown);
}

/** Open to all, as probes bring no tokens. Fastify answers HEAD wherever it answers GET. */
function addHealth(app: FastifyInstance, health: Health): void {
  const probe = (summary: string): object => ({ schema: { ...HEALTH_SCHEMA, summary }, config: { counted: false } });
  app.get('/health', probe('How the relay is'), async (_request, reply) => {
    const report = await health.report();
    return reply.code(report.status === 'healthy' ? 200 : 503).send(report);
  });
  app.get('/health/ready', probe('Whether it can take logs in'), async (_request, reply) => {
    const { timestamp, checks } = await health.report();
    const { store, disk, accepting } = checks;
    const ready = store.healthy && disk.healthy && accepting.healthy;
    return reply
      .code(ready ? 200 : 503)
      .send({ status: ready ? 'healthy' : 'unhealthy', timestamp, checks: { store, disk, accepting } });
  });
  app.get('/health/live', probe('Whether it answers at all'), () => ({
    status: 'healthy',
    timestamp: new Date().toISOString(),
    checks: {},
  }));
}

/** Whoever writes one has taken the answer over, so that only the connection knows its headers. */
function isEventStream({ raw }: FastifyReply): boolean {
  return raw.getHeader('content-type') === 'text/event-stream';
}

function pathOf(url: string): string {
  return url.split('?', 1)[0];
}

const MAX_BODY_BYTES = 1024 * 1024;
/** Of ids in paths: all that a request can carry. How long which id may be is its route's affair. */
const MAX_PARAM_CHARACTERS = 16 * 1024;
const PREFLIGHT_SECONDS = 600;
