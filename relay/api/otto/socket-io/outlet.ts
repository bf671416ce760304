import { Outgoing } from '../../outgoing.ts';
import type { Connection } from './connection.ts';
import type { Packets } from './packets.ts';
import { MAX_POLLED_PACKETS } from './polls.ts';

/**
 * The way out to one client, whichever transport it has: whoever writes waits until that was taken. A client that takes
 * nothing costs one write, and the writers' time.
 */
export class Outlet {
  readonly #connection: Connection;
  /** Once there is a WebSocket: it never goes back to polling. */
  #direct: Outgoing | undefined;
  #waiting: PromiseWithResolvers<void> | undefined;
  readonly #wake = (): void => {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  };

  constructor(connection: Connection) {
    this.#connection = connection;
    const { transport } = connection;
    if (transport.socket !== undefined) this.#direct = new Outgoing(transport.socket);
    else connection.once('upgrade', ({ socket }) => (this.#direct = socket && new Outgoing(socket)));
    connection.on('drain', this.#wake);
    connection.once('close', this.#wake);
  }

  get open(): boolean {
    return this.#connection.readyState === 'open';
  }

  /** Whether something that was written still waits for the client. */
  get full(): boolean {
    return this.open && (this.#connection.writeBuffer.length > 0 || this.#direct?.full === true);
  }

  /** Whether frames that are built already can be written. */
  get direct(): boolean {
    return this.#direct !== undefined;
  }

  /** How many lines a client takes soon enough, so that others and the heartbeat come between those and the next. */
  get linesAtOnce(): number {
    return this.#direct === undefined ? MAX_POLLED_PACKETS : MAX_FRAMES;
  }

  /** Writes, if it is not full; what comes after the connection has closed goes nowhere. */
  write(packets: Packets): void {
    if (!this.open) return;
    // On a WebSocket past engine.io, which would build each frame anew for each client. What it had to send is sent.
    if (this.#direct !== undefined) this.#direct.write(packets.frames());
    else for (const text of packets.texts()) this.#connection.write(text);
  }

  /** As `write`, where it is `direct`. */
  writeFrames(frames: readonly Buffer[]): void {
    if (this.open) this.#direct?.write(...frames);
  }

  /** Resolves when more can be written, the connection has closed, or `signal` aborts. */
  async ready(signal?: AbortSignal): Promise<void> {
    // All look again.
    signal?.addEventListener('abort', this.#wake);
    while (this.full && signal?.aborted !== true) {
      if (this.#waiting === undefined) {
        this.#waiting = Promise.withResolvers();
        if (this.#connection.writeBuffer.length === 0) void this.#direct?.ready().then(this.#wake);
      }
      await this.#waiting.promise;
    }
    signal?.removeEventListener('abort', this.#wake);
  }
}

const MAX_FRAMES = 256;
