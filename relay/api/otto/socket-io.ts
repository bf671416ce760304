import { createServer } from 'node:http';
import { Server, type DefaultEventsMap, type Namespace } from 'socket.io';
import { WebSocketServer, type ServerOptions as WebSocketOptions } from 'ws';
import { KerutaError } from '../../../shared/errors.ts';
import type { Caller } from '../../caller.ts';
import { toKerutaError } from '../../http-errors.ts';
import type { Mount } from '../public-api.ts';
import type { OttoParts } from './parts.ts';
import type { PipelineProgress } from './pipeline-progress.ts';
import { connectionOf, NAMESPACE, type ClientSocket, type Connection, type Joining } from './socket-io/connection.ts';
import { Gate } from './socket-io/gate.ts';
import { boundPolls } from './socket-io/polls.ts';
import { sendAway } from './socket-io/refusal.ts';
import { ServerStats } from './socket-io/server-stats.ts';
import { Session } from './socket-io/session.ts';

/** Otto's Socket.IO: the namespace /log-streaming at the path /socket.io, over polling and WebSockets. */
export function openSocketIo(parts: SocketIoParts): SocketIo {
  return new SocketIo(parts);
}

export type SocketIoParts = Pick<
  OttoParts,
  'reader' | 'runFacts' | 'door' | 'sessions' | 'log' | 'now' | 'connections'
> & {
  limits: Pick<OttoParts['limits'], 'connect' | 'request'>;
  progress: PipelineProgress;
  config: Pick<OttoParts['config'], 'compression' | 'sessionTimeoutMs' | 'maxMessageBytes'>;
  meter: Pick<OttoParts['meter'], 'failed' | 'averageLatencyMs'>;
};

class SocketIo {
  /** Where HTTP requests and upgrades for it go. */
  readonly mount: Mount;
  readonly #parts: SocketIoParts;
  readonly #server: SocketServer;
  readonly #namespace: SocketNamespace;
  readonly #gate: Gate;
  readonly #stats = new ServerStats();
  readonly #sessions = new Set<Session>();
  /** Connections that have asked to join. */
  readonly #joined = new WeakSet<Connection>();
  readonly #review: NodeJS.Timeout;

  constructor(parts: SocketIoParts) {
    const { door, limits, meter, log, config } = parts;
    this.#parts = parts;
    this.#server = openServer(config);
    this.#namespace = this.#server.of(NAMESPACE);
    this.#gate = new Gate({ engine: this.#server.engine, door, limits, meter, log });
    this.mount = this.#gate;
    this.#server.engine.on('connection', (connection: Connection) => this.#expect(connection));
    this.#namespace.use((socket, next) => this.#join(socket, next));
    this.#namespace.on('connection', (socket) => this.#joinedBy(socket));
    this.#review = setInterval(() => this.#reviewAll(), REVIEW_EVERY_MS).unref();
  }

  /** Sessions that are open: of clients that have joined, and of those that have not yet. */
  connections(): number {
    return this.#server.engine.clientsCount;
  }

  /** Cuts all, so that they come back by themselves; resolves when they have gone. */
  async stop(): Promise<void> {
    clearInterval(this.#review);
    this.#gate.close();
    await this.#server.close();
    await this.#gate.emptied(CLOSE_PATIENCE_MS);
  }

  /** Bounds a session, and ends one that joins nothing, or whose answers nobody takes: they would pile up. */
  #expect(connection: Connection): void {
    boundPolls(connection);
    const patience = setTimeout(() => {
      if (!this.#joined.has(connection)) connection.close(true);
    }, JOIN_PATIENCE_MS);
    connection.once('close', () => clearTimeout(patience));
    connection.on('packet', () => {
      if (connection.writeBuffer.length > MAX_WAITING_PACKETS) connection.close(true);
    });
  }

  /** Finds out who asks to join. Those who may not are let in for long enough to be told. */
  #join(socket: ClientSocket, next: (error?: Error) => void): void {
    const connection = connectionOf(socket);
    if (this.#joined.has(connection)) {
      next(new Error(`This connection has joined ${NAMESPACE} already.`));
      return;
    }
    this.#joined.add(connection);
    this.#callerOf(socket).then(
      (caller) => {
        socket.data = { caller };
        next();
      },
      (error: unknown) => {
        socket.data = { problem: error };
        next();
      },
    );
  }

  async #callerOf({ request, handshake }: ClientSocket): Promise<Caller> {
    const admission = this.#gate.admissionOf(request);
    if (admission === undefined) throw new Error('a session of socket.io began without being admitted');
    const { visit, caller, problem } = admission;
    const { token } = handshake.auth as { token?: unknown };
    if (token !== undefined && token !== null && token !== '') {
      if (typeof token !== 'string') throw new KerutaError('UNAUTHORIZED', 'auth.token must be text.');
      return this.#parts.door.admitToken(token.replace(/^bearer +/i, ''), visit);
    }
    if (problem !== undefined) throw problem;
    if (caller === undefined) throw new KerutaError('UNAUTHORIZED', 'A token is required.');
    return caller;
  }

  #joinedBy(socket: ClientSocket): void {
    const { caller, problem } = socket.data;
    const { meter, log, sessions } = this.#parts;
    if (caller === undefined) {
      const shown = toKerutaError(problem);
      meter.failed(shown.code);
      if (shown.code === 'INTERNAL_SERVER_ERROR') log.error({ err: problem }, 'a client could not be let in');
      sendAway(socket, shown);
      return;
    }
    const session = new Session(socket, {
      ...this.#parts,
      caller,
      sessionTimeoutMs: this.#parts.config.sessionTimeoutMs,
      stats: this.#stats,
      report: () => this.#report(),
    });
    const forget = sessions.add({
      principal: caller.principal,
      endsWithToken: true,
      end: ({ code, message }) => session.sendAway(new KerutaError(code, message)),
    });
    this.#sessions.add(session);
    socket.once('disconnect', () => {
      forget();
      this.#sessions.delete(session);
    });
    session.start();
  }

  async #report(): Promise<object> {
    return {
      connectedClients: this.#namespace.sockets.size,
      activeConnections: this.#parts.connections(),
      messagesPerSecond: this.#stats.messagesPerSecond,
      averageLatency: await this.#parts.meter.averageLatencyMs(),
      errorRate: this.#stats.errorRate,
      memoryUsage: process.memoryUsage.rss(),
    };
  }

  #reviewAll(): void {
    for (const session of this.#sessions) void session.review();
  }
}

type SocketServer = Server<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, Joining>;
type SocketNamespace = Namespace<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, Joining>;

function openServer({ compression, maxMessageBytes }: SocketIoParts['config']): SocketServer {
  const server: SocketServer = new Server({
    // Pages bring the client with them.
    serveClient: false,
    pingInterval: PING_EVERY_MS,
    pingTimeout: PING_PATIENCE_MS,
    // Ours is earlier, and does not wait for a client that polls no more.
    connectTimeout: 2 * JOIN_PATIENCE_MS,
    maxHttpBufferSize: Math.min(maxMessageBytes, MAX_MESSAGE_BYTES),
    wsEngine: Sockets,
    // What is deflated for each client anew takes memory and time for each; what is polled is compressed once.
    perMessageDeflate: false,
    httpCompression: compression && { threshold: COMPRESSED_FROM_BYTES },
  });
  // It wants a server of its own. This one never listens: what comes to the relay's is handed on by the mount.
  server.attach(createServer());
  server.of('/').use((_socket, next) => next(new Error(`There is nothing here; join ${NAMESPACE}.`)));
  return server;
}

/** WebSockets that do not wait long for the answer to a close. */
class Sockets extends WebSocketServer {
  constructor(options: WebSocketOptions) {
    const patient = { ...options, closeTimeout: CLOSE_PATIENCE_MS };
    super(patient);
  }
}

/** As Otto's heartbeat. */
const PING_EVERY_MS = 30_000;
const PING_PATIENCE_MS = 20_000;
/** For a session that joins nothing. */
const JOIN_PATIENCE_MS = 10_000;
const CLOSE_PATIENCE_MS = 1000;
/** Of what a client sends: far above any filter. */
const MAX_MESSAGE_BYTES = 64 * 1024;
const COMPRESSED_FROM_BYTES = 1024;
/** As Otto's buffer. We ourselves write less before it is taken. */
const MAX_WAITING_PACKETS = 1000;
/** How long a token may go on reading a task whose labels have changed. */
const REVIEW_EVERY_MS = 30_000;
