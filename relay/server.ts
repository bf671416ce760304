import fastify, { LogController, type FastifyInstance, type FastifyReply } from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { KerutaError } from '../shared/errors.ts';
import type { Auth } from './auth/auth.ts';
import type { Health } from './health.ts';
import { Heartbeat } from './heartbeat.ts';
import { errorBody, refuse, toKerutaError } from './http-errors.ts';
import { Upgrades, type Agents } from './upgrade.ts';

/**
 * Listens: HTTP under /api/v1 and /health, WebSockets under /ws/tasks/{taskId}. Rejects if the address can't be had.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const heartbeat = new Heartbeat();
  const upgrades = new Upgrades({ ...options, heartbeat });
  const app = createApp(options);
  app.server.on('upgrade', upgrades.handle);
  await app.listen({ host: options.host, port: options.port });
  heartbeat.start();
  const { port } = app.server.address() as AddressInfo;
  return {
    url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    async stop() {
      const closed = app.close();
      await upgrades.stop();
      // Streams and slow readers: they come back to where they were.
      const patience = setTimeout(() => app.server.closeAllConnections(), REQUEST_PATIENCE_MS);
      await closed;
      clearTimeout(patience);
      heartbeat.stop();
    },
  };
}

export interface Server {
  /** Where it listens, without a path. */
  url: string;
  /** Takes no more connections, finishes requests, and sends viewers and agents away. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  host: string;
  /** 0: any that is free. */
  port: number;
  auth: Auth;
  health: Health;
  /** Registers what stands under /api/v1. */
  routes: (api: FastifyInstance) => void;
  agents: Agents;
  serveViewer: (webSocket: WebSocket, task: string) => void;
  log: Logger;
  version: string;
}

function createApp({ auth, health, routes, log, version }: ServerOptions): FastifyInstance {
  const app = fastify({
    loggerInstance: log,
    // Ours says less: a URL may hold a token.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: MAX_BODY_BYTES,
    routerOptions: { maxParamLength: MAX_PARAM_CHARACTERS, ignoreTrailingSlash: true },
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      // Other upgrades (curl's h2c) are an offer that may be ignored. Older Nodes can't, and such requests fail there.
      shouldUpgradeCallback: (request: IncomingMessage) => request.headers.upgrade?.toLowerCase() === 'websocket',
    },
    clientErrorHandler: (error, socket) => refuse(socket, toKerutaError(error), version),
    frameworkErrors: (error, _request, reply: FastifyReply) => {
      const shown = errorBody(toKerutaError(error), version);
      void reply.code(shown.error.status).send(shown);
    },
  }) as unknown as FastifyInstance;

  app.setErrorHandler((error, _request, reply) => {
    const shown = errorBody(toKerutaError(error), version);
    if (shown.error.status >= 500) log.error({ err: error }, 'a request failed');
    return reply.code(shown.error.status).send(shown);
  });
  app.setNotFoundHandler((request, reply) => {
    const error = new KerutaError('NOT_FOUND', `There is no ${request.method} ${pathOf(request.url)}.`);
    return reply.code(404).send(errorBody(error, version));
  });
  app.addHook('onResponse', (request, reply, done) => {
    log.debug(
      {
        method: request.method,
        path: pathOf(request.url),
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
      },
      'request',
    );
    done();
  });

  addHealth(app, health);
  app.get('/ws/tasks/:taskId', () => {
    throw new KerutaError('INVALID_INPUT', 'This is the address of a WebSocket; connect with ws:// or wss://.');
  });
  app.register(
    (api, _options, done) => {
      api.addHook('onRequest', (request, _reply, next) => {
        auth.check(request.raw);
        next();
      });
      routes(api);
      done();
    },
    { prefix: '/api/v1' },
  );
  return app;
}

/** Open to all, as probes bring no tokens. Fastify answers HEAD wherever it answers GET. */
function addHealth(app: FastifyInstance, health: Health): void {
  app.get('/health', async (_request, reply) => {
    const report = await health.report();
    return reply.code(report.status === 'healthy' ? 200 : 503).send(report);
  });
  app.get('/health/ready', async (_request, reply) => {
    const { timestamp, checks } = await health.report();
    const { store, disk } = checks;
    const ready = store.healthy && disk.healthy;
    return reply
      .code(ready ? 200 : 503)
      .send({ status: ready ? 'healthy' : 'unhealthy', timestamp, checks: { store, disk } });
  });
  app.get('/health/live', () => ({ status: 'healthy', timestamp: new Date().toISOString(), checks: {} }));
}

function pathOf(url: string): string {
  return url.split('?', 1)[0];
}

const MAX_BODY_BYTES = 1024 * 1024;
/** A task id of 256 bytes, each percent-encoded. */
const MAX_PARAM_CHARACTERS = 3 * 256;
const MAX_HEADER_BYTES = 16 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** How long a stop waits for requests to finish. */
const REQUEST_PATIENCE_MS = 2000;
