import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { WebSocketServer, type WebSocket } from 'ws';
import { MAX_CHUNK_BYTES } from '../shared/chunk.ts';
import { ERRORS, KerutaError } from '../shared/errors.ts';
import type { DrainMessage } from '../shared/viewer-messages.ts';
import { SUBPROTOCOL } from '../shared/wire.ts';
import type { SocketRoute } from './api/public-api.ts';
import type { Door, Visit } from './auth/door.ts';
import type { Principal } from './auth/principal.ts';
import { requestIdOf } from './auth/request-id.ts';
import type { Sessions } from './auth/sessions.ts';
import type { Caller } from './caller.ts';
import { returnAfterMs } from './drain.ts';
import type { Heartbeat, Wire } from './heartbeat.ts';
import { refuse, toKerutaError, type ErrorMeter } from './http-errors.ts';
import type { Limits } from './limits/limits.ts';
import { targetOf } from './upgrade-target.ts';
import { closeReason, closeWithin } from './web-socket.ts';

/** Decides what a request for a WebSocket becomes: an agent's link, a viewer, a sender of JSON, or an HTTP error. */
export class Upgrades {
  readonly #options: UpgradeOptions;
  readonly #agents = new WebSocketServer({ ...WS_OPTIONS, clientTracking: false, maxPayload: MAX_FRAME_BYTES });
  readonly #others: WebSocketServer;
  /** Of other APIs, whose clients don't know our messages. */
  readonly #foreign: WebSocketServer;
  #stopping = false;

  constructor(options: UpgradeOptions) {
    this.#options = options;
    const { maxMessageBytes = MAX_MESSAGE_BYTES } = options;
    const maxPayload = maxMessageBytes + OVERSIZE_BYTES;
    this.#others = new WebSocketServer({ ...WS_OPTIONS, clientTracking: true, maxPayload });
    this.#foreign = new WebSocketServer({ ...WS_OPTIONS, clientTracking: true, maxPayload });
    for (const server of [this.#agents, this.#others, this.#foreign]) {
      server.on('wsClientError', (error, socket, request) =>
        refuse(socket, new KerutaError('INVALID_INPUT', error.message), this.#metaOf(request)),
      );
    }
  }

  /** The listener for `upgrade` of an HTTP server. */
  readonly handle = (request: IncomingMessage, socket: Socket, head: Buffer): void => {
    // Nobody else listens while the token is looked at; what the peer sends meanwhile waits in the socket.
    const broken = (): void => void socket.destroy();
    socket.on('error', broken);
    const visit = { address: this.#options.door.addressOf(request), requestId: requestIdOf(request.headers) };
    this.#handle(request, { socket, head, visit }).then(
      () => socket.off('error', broken),
      (error: unknown) => {
        const shown = toKerutaError(error);
        this.#options.meter?.failed(shown.code);
        const { address, requestId } = visit;
        const path = (request.url ?? '').split('?', 1)[0];
        this.#options.log.debug({ path, code: shown.code, address, requestId }, 'refused a WebSocket');
        if (shown.code === 'INTERNAL_SERVER_ERROR') this.#options.log.error({ err: error }, 'an upgrade failed');
        refuse(socket, shown, { ...this.#metaOf(request), requestId: visit.requestId });
      },
    );
  };

  /** WebSockets of others than agents that are open. */
  get viewers(): number {
    return this.#others.clients.size + this.#foreign.clients.size;
  }

  /** Sends all away, agents once what is under way is acknowledged. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const why = { code: 'DRAINING', message: 'The relay is stopping.' } as const;
    const others = Array.from(this.#others.clients, (client) => {
      const drain: DrainMessage = {
        type: 'drain',
        retryAfterMs: returnAfterMs(this.viewers),
        timestamp: new Date().toISOString(),
      };
      client.send(JSON.stringify(drain));
      return closeWithin(client, CLOSE_PATIENCE_MS, why);
    });
    const foreign = Array.from(this.#foreign.clients, (client) => closeWithin(client, CLOSE_PATIENCE_MS, why));
    await Promise.all([...others, ...foreign, this.#options.agents.stop()]);
    for (const server of [this.#others, this.#foreign, this.#agents]) server.close();
  }

  async #handle(request: IncomingMessage, upgrade: Upgrade): Promise<void> {
    const { door } = this.#options;
    const route = this.#routeOf(request);
    if (route !== undefined) {
      await this.#serveRoute(route, request, upgrade);
      return;
    }
    const target = targetOf(request);
    if (target.kind === 'nested' && this.#options.serveNestedAgent === undefined)
      throw new KerutaError('NOT_FOUND', 'There is no WebSocket here.');
    const caller = await door.admitWebSocket(request, upgrade.visit);
    // Who comes now would be closed by nobody.
    if (this.#stopping) throw new KerutaError('DRAINING', 'The relay is stopping.');
    if (upgrade.socket.destroyed) return;
    if (target.kind === 'viewer') {
      const { task } = target;
      this.#accept(request, { upgrade, kind: 'viewer', task }, (webSocket) =>
        this.#view(webSocket, task, caller, upgrade),
      );
      return;
    }
    if (caller === undefined) throw new KerutaError('UNAUTHORIZED', 'A token is required.');
    if (target.kind === 'agent') {
      caller.principal.requireIfLabelled('ingest', target.task);
      const { task } = target;
      this.#accept(request, { upgrade, kind: 'agent', task }, (webSocket) => {
        this.#watch(webSocket, caller.principal, { endsWithToken: false });
        this.#options.agents.accept(webSocket, upgrade.socket, task, caller);
      });
    } else {
      if (!caller.principal.has('ingest')) throw new KerutaError('FORBIDDEN', 'The token does not grant ingest.');
      this.#accept(request, { upgrade, kind: 'sender' }, (webSocket) => {
        this.#watch(webSocket, caller.principal, { endsWithToken: false });
        this.#options.serveNestedAgent?.(webSocket, { caller });
      });
    }
  }

  /** The WebSocket of another API that a request asks for. */
  #routeOf({ url = '' }: IncomingMessage): SocketRoute | undefined {
    const path = url.split('?', 1)[0].replace(/\/$/, '');
    return this.#options.sockets?.find((route) => route.path === path);
  }

  async #serveRoute(route: SocketRoute, request: IncomingMessage, upgrade: Upgrade): Promise<void> {
    const caller = await this.#options.door.admitWebSocket(request, upgrade.visit);
    if (this.#stopping) throw new KerutaError('DRAINING', 'The relay is stopping.');
    if (upgrade.socket.destroyed) return;
    if (caller === undefined) throw new KerutaError('UNAUTHORIZED', 'A token is required.');
    const query = new URLSearchParams((request.url ?? '').split('?').slice(1).join('?'));
    this.#accept(request, { upgrade, kind: 'foreign' }, (webSocket) => {
      this.#watch(webSocket, caller.principal, { endsWithToken: true });
      route.serve(webSocket, { caller, query });
    });
  }

  /** Throws a KerutaError if there are too many connections. */
  #accept(request: IncomingMessage, { upgrade, kind, task }: Accepted, use: (webSocket: WebSocket) => void): void {
    const { socket, head, visit } = upgrade;
    const counted = kind === 'foreign' ? 'viewer' : kind;
    const release = this.#options.limits?.connect({ address: visit.address, kind: counted, task });
    // Also if the handshake fails.
    if (release !== undefined) socket.once('close', release);
    const server = kind === 'agent' ? this.#agents : kind === 'foreign' ? this.#foreign : this.#others;
    server.handleUpgrade(request, socket, head, (webSocket) => {
      this.#options.heartbeat.watch(webSocket, socket);
      use(webSocket);
    });
  }

  #view(webSocket: WebSocket, taskId: string | undefined, caller: Caller | undefined, { visit }: Upgrade): void {
    let forget = caller && this.#watch(webSocket, caller.principal, { endsWithToken: true });
    const authenticate = async (token: string): Promise<Principal> => {
      const { principal } = await this.#options.door.admitToken(token, visit);
      forget?.();
      forget = this.#watch(webSocket, principal, { endsWithToken: true });
      return principal;
    };
    this.#options.serveViewer(webSocket, { taskId, caller, visit, authenticate });
  }

  /** Ends the connection when its token is taken back. */
  #watch(webSocket: WebSocket, principal: Principal, { endsWithToken }: { endsWithToken: boolean }): () => void {
    // While a token was looked at that came late. Nobody would forget it.
    if (webSocket.readyState === webSocket.CLOSED) return () => undefined;
    const forget = this.#options.sessions.add({
      principal,
      endsWithToken,
      end: ({ code, message }) => {
        webSocket.close(ERRORS[code].close, closeReason(message));
        // A peer that we do not read could not answer.
        webSocket.resume();
      },
    });
    webSocket.once('close', forget);
    return forget;
  }

  #metaOf(request: IncomingMessage): { version: string; requestId: string } {
    return { version: this.#options.version, requestId: requestIdOf(request.headers) };
  }
}

export interface UpgradeOptions {
  door: Door;
  sessions: Sessions;
  heartbeat: Heartbeat;
  agents: Agents;
  serveViewer: (webSocket: WebSocket, viewer: Viewer) => void;
  serveNestedAgent?: (webSocket: WebSocket, agent: { caller: Caller }) => void;
  /** WebSockets of other APIs. */
  sockets?: readonly SocketRoute[];
  /** Absent: none. */
  limits?: Pick<Limits, 'connect'>;
  /** The largest text message of others than agents. Default 1 MiB. */
  maxMessageBytes?: number;
  /** Told of those that are refused. */
  meter?: ErrorMeter;
  log: Pick<Logger, 'debug' | 'error'>;
  version: string;
}

/** Who takes over the agents' sockets. */
export interface Agents {
  accept(webSocket: WebSocket, wire: Wire, task: string, caller: Caller): void;
  stop(): Promise<void>;
}

/** Who wants to look at tasks, or to write to them in JSON. */
export interface Viewer {
  /** The path's, if it names one. */
  taskId: string | undefined;
  /** Undefined: a token is required, and none came with the upgrade. */
  caller: Caller | undefined;
  /** What is known of it also without a token. */
  visit: Visit;
  /** Whose token it is that came later. Rejects with a KerutaError. */
  authenticate: (token: string) => Promise<Principal>;
}

interface Accepted {
  upgrade: Upgrade;
  kind: 'agent' | 'viewer' | 'sender' | 'foreign';
  task?: string;
}

interface Upgrade {
  socket: Socket;
  head: Buffer;
  visit: Visit;
}

const WS_OPTIONS = {
  noServer: true,
  perMessageDeflate: false,
  /** A peer that does not answer our close. */
  closeTimeout: 5000,
  handleProtocols: (protocols: Set<string>) =>
    protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : (protocols.values().next().value ?? false),
};
/** A chunk that is a little too long shall be refused by its number, which an agent can act on; far too long, 1009. */
const MAX_FRAME_BYTES = MAX_CHUNK_BYTES + 64 * 1024;
const MAX_MESSAGE_BYTES = 1024 * 1024;
/** A JSON message that is a little too large shall be answered with an error that says so; far too large, 1009. */
const OVERSIZE_BYTES = 64 * 1024;
const CLOSE_PATIENCE_MS = 1000;
