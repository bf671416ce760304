import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { MAX_CHUNK_BYTES } from '../shared/chunk.ts';
import { KerutaError } from '../shared/errors.ts';
import { taskIdProblem } from '../shared/task-id.ts';
import { SUBPROTOCOL } from '../shared/wire.ts';
import type { Auth } from './auth/auth.ts';
import type { Heartbeat, Wire } from './heartbeat.ts';
import { refuse } from './http-errors.ts';
import { closeWithin } from './web-socket.ts';

/** Decides what a request for a WebSocket becomes: an agent's link, a viewer, or an HTTP error. */
export class Upgrades {
  readonly #options: UpgradeOptions;
  readonly #agents = new WebSocketServer({ ...WS_OPTIONS, clientTracking: false, maxPayload: MAX_FRAME_BYTES });
  readonly #viewers = new WebSocketServer({
    ...WS_OPTIONS,
    clientTracking: true,
    maxPayload: MAX_VIEWER_MESSAGE_BYTES,
  });

  #stopping = false;

  constructor(options: UpgradeOptions) {
    this.#options = options;
    for (const server of [this.#agents, this.#viewers]) {
      server.on('wsClientError', (error, socket) =>
        refuse(socket, new KerutaError('INVALID_INPUT', error.message), options.version),
      );
    }
  }

  /** The listener for `upgrade` of an HTTP server. */
  readonly handle = (request: IncomingMessage, socket: Socket, head: Buffer): void => {
    try {
      // Who comes now would be closed by nobody.
      if (this.#stopping) throw new KerutaError('DRAINING', 'The relay is stopping.');
      checkOrigin(request, this.#options.auth);
      this.#options.auth.check(request);
      const task = taskOf(request.url ?? '');
      if (wantsChunks(request)) this.#agent(request, { socket, head, task });
      else this.#viewer(request, { socket, head, task });
    } catch (error) {
      if (!(error instanceof KerutaError)) throw error;
      refuse(socket, error, this.#options.version);
    }
  };

  /** Sends all away, agents once what is under way is acknowledged. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const why = { code: 'DRAINING', message: 'The relay is stopping.' } as const;
    const viewers = Array.from(this.#viewers.clients, (viewer) => closeWithin(viewer, CLOSE_PATIENCE_MS, why));
    await Promise.all([...viewers, this.#options.agents.stop()]);
    this.#viewers.close();
    this.#agents.close();
  }

  #agent(request: IncomingMessage, { socket, head, task }: Upgrade): void {
    this.#agents.handleUpgrade(request, socket, head, (webSocket) => {
      this.#options.heartbeat.watch(webSocket, socket);
      this.#options.agents.accept(webSocket, socket, task);
    });
  }

  #viewer(request: IncomingMessage, { socket, head, task }: Upgrade): void {
    this.#viewers.handleUpgrade(request, socket, head, (webSocket) => {
      this.#options.heartbeat.watch(webSocket, socket);
      this.#options.serveViewer(webSocket, task);
    });
  }
}

export interface UpgradeOptions {
  auth: Auth;
  heartbeat: Heartbeat;
  agents: Agents;
  serveViewer: (webSocket: WebSocket, task: string) => void;
  version: string;
}

/** Who takes over the agents' sockets. */
export interface Agents {
  accept(webSocket: WebSocket, wire: Wire, task: string): void;
  stop(): Promise<void>;
}

interface Upgrade {
  socket: Socket;
  head: Buffer;
  task: string;
}

/** The task that a path names. Throws a KerutaError for any other path, or a task id that can't be one. */
function taskOf(url: string): string {
  const path = url.split('?', 1)[0];
  const encoded = /^\/ws\/tasks\/([^/]*)\/?$/.exec(path)?.[1];
  if (encoded === undefined)
    throw new KerutaError('NOT_FOUND', 'There is no WebSocket here; it is at /ws/tasks/{taskId}.');
  let task: string;
  try {
    task = decodeURIComponent(encoded);
  } catch {
    throw new KerutaError('INVALID_INPUT', 'The task id in the path is not well encoded.');
  }
  const problem = taskIdProblem(task);
  if (problem !== undefined) throw new KerutaError('INVALID_INPUT', `The task id ${problem}.`);
  return task;
}

/**
 * Browsers let any page connect to any WebSocket, and say whose page it is. Without tokens only the relay's own pages and
 * those of this machine may read; agents are no browsers at all.
 */
function checkOrigin({ headers }: IncomingMessage, auth: Auth): void {
  const { origin, host } = headers;
  if (origin === undefined) return;
  const agent = headers['sec-websocket-protocol']?.includes('keruta.chunk.') ?? false;
  const from = URL.canParse(origin) ? new URL(origin) : undefined;
  const known = from !== undefined && (from.host === host || LOOPBACK.has(from.hostname));
  if (agent || (!auth.required && !known)) {
    throw new KerutaError('FORBIDDEN', `A page of ${JSON.stringify(origin)} may not connect here.`);
  }
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Whether an agent asks. Throws a KerutaError if it speaks only versions that we don't. */
function wantsChunks(request: IncomingMessage): boolean {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());
  if (offered.includes(SUBPROTOCOL)) return true;
  const foreign = offered.filter((protocol) => protocol.startsWith('keruta.chunk.'));
  if (foreign.length === 0) return false;
  throw new KerutaError(
    'UNSUPPORTED_PROTOCOL',
    `The agent speaks ${foreign.join(', ')}; this relay speaks ${SUBPROTOCOL}.`,
  );
}

const WS_OPTIONS = {
  noServer: true,
  perMessageDeflate: false,
  /** A peer that does not answer our close. */
  closeTimeout: 5000,
  handleProtocols: (offered: Set<string>) =>
    offered.has(SUBPROTOCOL) ? SUBPROTOCOL : (offered.values().next().value ?? false),
};
/** A chunk that is a little too long shall be refused by its number, which an agent can act on; far too long, 1009. */
const MAX_FRAME_BYTES = MAX_CHUNK_BYTES + 64 * 1024;
/** A subscription with long lists of filters. */
const MAX_VIEWER_MESSAGE_BYTES = 256 * 1024;
const CLOSE_PATIENCE_MS = 1000;
