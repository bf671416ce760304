import type { IncomingMessage } from 'node:http';
import type { DefaultEventsMap, Socket } from 'socket.io';
import type { WebSocket } from 'ws';
import type { Caller } from '../../../caller.ts';

/** A client in a namespace, as socket.io has it. */
export type ClientSocket = Socket<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, Joining>;

/** Whoever asks to join: who that is, or why that is not known. */
export interface Joining {
  caller?: Caller;
  problem?: unknown;
}

/** What is used of an engine.io connection, part of which its types hide: a session over polling or a WebSocket. */
export interface Connection {
  /** The request that began it. */
  readonly request: IncomingMessage;
  readonly readyState: string;
  /** Packets that its transport has not been given yet. */
  readonly writeBuffer: unknown[];
  readonly transport: Transport;
  /** Sends a message as a packet of its own. */
  write(message: string): unknown;
  /** Closes when what was written has gone; at once if it is to be discarded. */
  close(discard?: boolean): void;
  /** One came. */
  on(event: 'packet', listener: (packet: { data?: string | Buffer }) => void): unknown;
  /** Its transport is about to be given these. */
  on(event: 'flush', listener: (packets: unknown[]) => void): unknown;
  /** `drain`: the transport was given them. */
  on(event: 'drain' | 'close', listener: () => void): unknown;
  once(event: 'close', listener: () => void): unknown;
  once(event: 'upgrade', listener: (transport: Transport) => void): unknown;
}

interface Transport {
  readonly name: string;
  /** Of a WebSocket. */
  readonly socket?: WebSocket;
}

export function connectionOf(socket: { conn: unknown }): Connection {
  return socket.conn as Connection;
}

export const NAMESPACE = '/log-streaming';
