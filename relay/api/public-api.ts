import type { FastifyInstance } from 'fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Caller } from '../caller.ts';

/**
 * An API that the relay speaks beside its own: a folder under relay/api/, put in place by one line in relay/relay.ts.
 * It stands on what all share (cursors, filter, door, limits, metrics), and nothing else knows of it.
 */
export interface PublicApi {
  /** Registers routes under /api/v1; requests have a `caller`. */
  routes?(app: FastifyInstance): void;
  /** WebSockets that it serves by itself. */
  sockets?: readonly SocketRoute[];
  /** Paths whose requests and upgrades it takes as they come. */
  mounts?: readonly Mount[];
  /** Listens where it listens by itself. Rejects with an Error that says what stands in the way. */
  start?(): Promise<void>;
  /** Sends everybody away; resolves when nothing of it is left. */
  stop?(): Promise<void>;
  /** Connections of clients that are open, without those of `sockets`. */
  connections(): number;
}

/** A WebSocket at a path. Whoever asks for it has been let in by the door, but has no permission yet. */
export interface SocketRoute {
  path: string;
  serve(webSocket: WebSocket, visitor: { caller: Caller; query: URLSearchParams }): void;
}

/** Everything at a path and below it, before anybody has looked at it. */
export interface Mount {
  path: string;
  request(request: IncomingMessage, response: ServerResponse): void;
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void;
}
