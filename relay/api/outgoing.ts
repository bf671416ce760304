import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

/**
 * The way out of a WebSocket: frames that are built already leave in one write, and whoever writes waits until the
 * peer has taken them. A slow peer costs what one write holds, and the writer's time.
 */
export class Outgoing {
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  #waiting: PromiseWithResolvers<void> | undefined;
  readonly #wake = (): void => {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  };

  /** `webSocket` is open and does not compress. */
  constructor(webSocket: WebSocket) {
    this.#webSocket = webSocket;
    // ws offers no way to send frames that are built already. Frames written here can't fall between those of its own:
    // without compression it writes each of them at once.
    this.#socket = (webSocket as unknown as { _socket: Socket })._socket;
    this.#socket.on('drain', this.#wake);
    webSocket.once('close', () => {
      this.#socket.off('drain', this.#wake);
      this.#wake();
    });
  }

  get open(): boolean {
    return this.#webSocket.readyState === OPEN;
  }

  /** Whether the peer has not taken yet what was written. */
  get full(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** Writes; what comes after the socket has closed goes nowhere. */
  write(...frames: Buffer[]): void {
    if (!this.open) return;
    if (frames.length === 1) {
      this.#socket.write(frames[0]);
      return;
    }
    this.#socket.cork();
    for (const frame of frames) this.#socket.write(frame);
    this.#socket.uncork();
  }

  /** Resolves when more can be written, the socket has closed, or `signal` aborts. */
  async ready(signal?: AbortSignal): Promise<void> {
    // All look again.
    signal?.addEventListener('abort', this.#wake);
    while (this.full && this.open && signal?.aborted !== true) {
      this.#waiting ??= Promise.withResolvers();
      await this.#waiting.promise;
    }
    signal?.removeEventListener('abort', this.#wake);
  }
}

const OPEN = 1;
