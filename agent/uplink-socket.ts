import type { Agent } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket, type RawData } from 'ws';
import { parseRelayMessage, type RelayMessage } from '../shared/relay-message.ts';
import { MAX_CONTROL_BYTES, PEER_GONE_AFTER_MS, PING_AFTER_MS, SUBPROTOCOL } from '../shared/wire.ts';
import { readRefusal } from './http-answer.ts';
import type { TlsSettings } from './tls.ts';
import type { Closing, Connection, ConnectionEvents } from './uplink-connection.ts';
import { brokenConnection, closedConnection, refusedUpgrade } from './uplink-refusal.ts';

/** A connection over a WebSocket, watched: a peer that is silent for too long is gone, whatever TCP believes. */
export class UplinkSocket implements Connection {
  readonly #options: SocketOptions;
  readonly #events: ConnectionEvents;
  #socket: WebSocket | undefined;
  /** Beneath the WebSocket: any byte is a sign of life. */
  #wire: Socket | undefined;
  readonly #tickMs: number;
  readonly #goneTicks: number;
  #timer: NodeJS.Timeout | undefined;
  #bytesHeard = 0;
  #silentTicks = 0;
  #done = false;

  constructor(options: SocketOptions, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
    const { pingAfterMs = PING_AFTER_MS, goneAfterMs = PEER_GONE_AFTER_MS } = options;
    this.#tickMs = Math.max(1, Math.min(pingAfterMs, goneAfterMs / 3) / TICKS_PER_PING);
    this.#goneTicks = Math.ceil(goneAfterMs / this.#tickMs);
    try {
      this.#socket = this.#open();
    } catch (error) {
      // The URL can't be used; trying again won't change it.
      const problem = `can't connect to ${options.name}: ${(error as Error).message}`;
      this.#timer = setTimeout(() => this.#end({ retry: false, problem }), 0);
    }
  }

  get bufferedBytes(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  send(frame: Buffer | string): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#cork();
    this.#socket.send(frame);
  }

  /** What is sent at once leaves in one write: each wakes the relay. */
  #cork(): void {
    const wire = this.#wire;
    if (!wire || wire.writableCorked > 0) return;
    wire.cork();
    queueMicrotask(() => wire.uncork());
  }

  close(): void {
    const socket = this.#letGo();
    if (!socket) return;
    if (socket.readyState !== WebSocket.OPEN) {
      socket.terminate();
      return;
    }
    socket.close(1000);
    // A peer that does not answer the close is not waited for.
    const timer = setTimeout(() => socket.terminate(), CLOSE_PATIENCE_MS).unref();
    socket.once('close', () => clearTimeout(timer));
  }

  #open(): WebSocket {
    const { url, name, headers, timeoutMs, tls, agent } = this.#options;
    const socket = new WebSocket(url, SUBPROTOCOL, {
      ...tls,
      ...(agent && { agent }),
      headers,
      handshakeTimeout: timeoutMs,
      perMessageDeflate: false,
      maxPayload: MAX_CONTROL_BYTES,
    });
    socket.once('upgrade', (response) => (this.#wire = response.socket));
    socket.once('open', () => {
      if (this.#done) return;
      this.#timer = setInterval(() => this.#listen(), this.#tickMs).unref();
      this.#events.onOpen();
    });
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    socket.on('unexpected-response', (_request, response) => {
      void readRefusal(response).then((refusal) => this.#end(refusedUpgrade(name, refusal)));
    });
    socket.on('error', (error) => this.#end(brokenConnection(name, error)));
    socket.on('close', (code, reason) => this.#end(closedConnection(name, code, reason.toString())));
    return socket;
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#done) return;
    let message: RelayMessage;
    try {
      if (isBinary) throw new Error('bad message: a binary frame');
      // ws hands out one Buffer a message unless told otherwise.
      message = parseRelayMessage((data as Buffer).toString());
    } catch (error) {
      this.#end({
        retry: true,
        problem: `the relay at ${this.#options.name} can't be understood: ${(error as Error).message}`,
      });
      return;
    }
    this.#events.onMessage(message);
  }

  /** Counts ticks instead of time: while this process was stopped, nobody could hear the peer. */
  #listen(): void {
    const bytesRead = this.#wire?.bytesRead ?? 0;
    this.#silentTicks = bytesRead === this.#bytesHeard ? this.#silentTicks + 1 : 0;
    this.#bytesHeard = bytesRead;
    if (this.#silentTicks >= this.#goneTicks) {
      const seconds = Math.round(this.#silentTicks * this.#tickMs) / 1000;
      this.#end({ retry: true, problem: `the relay at ${this.#options.name} has been silent for ${seconds} s` });
    } else if (this.#silentTicks > 0 && this.#silentTicks % TICKS_PER_PING === 0) {
      if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.ping();
    }
  }

  #end(closing: Closing): void {
    if (this.#done) return;
    this.#letGo()?.terminate();
    this.#events.onClose(closing);
  }

  /** No more events leave from here. */
  #letGo(): WebSocket | undefined {
    const socket = this.#socket;
    this.#done = true;
    this.#socket = undefined;
    clearInterval(this.#timer);
    return socket;
  }
}

export interface SocketOptions {
  url: string;
  /** The URL for messages: without what may be secret. */
  name: string;
  headers: Record<string, string>;
  tls?: TlsSettings;
  /** That tunnels through a proxy. */
  agent?: Agent;
  /** For the connection to open. */
  timeoutMs: number;
  /** Of silence, before the relay is asked whether it is there; after a third of `goneAfterMs` at the latest. */
  pingAfterMs?: number;
  /** Of silence, before the relay is taken to be gone. */
  goneAfterMs?: number;
}

const TICKS_PER_PING = 4;
const CLOSE_PATIENCE_MS = 1000;
