import type { WebSocket } from 'ws';
import { ERRORS, KerutaError } from '../../../shared/errors.ts';
import { closeReason } from '../../web-socket.ts';

/**
 * The frames of a socket that speaks JSON, taken one after the other: none is read while another one is being taken.
 * What came before the other side has closed is still taken; what comes after we have closed is not.
 */
export class FrameTurns {
  readonly #webSocket: WebSocket;
  readonly #options: FrameTurnsOptions;
  #turns: Promise<void> = Promise.resolve();
  /** Those that are not done. */
  #waiting = 0;
  #mistakes = 0;
  #closing = false;

  constructor(webSocket: WebSocket, options: FrameTurnsOptions) {
    this.#webSocket = webSocket;
    this.#options = options;
  }

  start(): void {
    this.#webSocket.on('message', (data, isBinary) => this.inTurn(() => this.#take(data as Buffer, isBinary)));
    this.#webSocket.on('error', () => {
      // A frame that breaks the protocol, or a connection that broke: ws closes, and `close` follows.
    });
  }

  /** Does something when all before it is done, and reads no more until then. */
  inTurn(act: () => Promise<void> | void): void {
    this.#webSocket.pause();
    this.#waiting++;
    this.#turns = this.#turns
      .then(() => (this.#closing ? undefined : act()))
      .catch((error: unknown) => this.#options.onError(error))
      .finally(() => this.#done());
  }

  /** One read brings many small frames: reading on behind each of them would pile up more than are ever taken. */
  #done(): void {
    if (--this.#waiting === 0) this.#webSocket.resume();
  }

  /** Resolves when all that came so far is done. */
  settled(): Promise<void> {
    return this.#turns;
  }

  /** Closes, and takes nothing more. */
  close({ code, message }: KerutaError): void {
    this.#closing = true;
    this.#webSocket.close(ERRORS[code].close, closeReason(message));
    // A socket that is not read never sees the other side's close.
    this.#webSocket.resume();
  }

  /** Counts what was no message at all: whoever speaks another language is told so many times, and then sent away. */
  mistaken(error: KerutaError): void {
    if (error.code === 'INVALID_MESSAGE_FORMAT' && ++this.#mistakes >= MAX_MISTAKES) this.close(error);
  }

  async #take(frame: Buffer, isBinary: boolean): Promise<void> {
    const { maxBytes = MAX_BYTES, take, onError } = this.#options;
    if (isBinary) throw new KerutaError('INVALID_MESSAGE_FORMAT', 'Here all frames are text.');
    if (frame.length > maxBytes) {
      const error = new KerutaError('TOO_LARGE', `The frame has ${frame.length} bytes; ${maxBytes} are allowed.`);
      onError(error);
      this.close(error);
      return;
    }
    await take(frame.toString());
  }
}

export interface FrameTurnsOptions {
  /** Of one frame; for a larger one the socket is closed. */
  maxBytes?: number | undefined;
  take: (frame: string) => Promise<void> | void;
  /** A frame could not be taken. */
  onError: (error: unknown) => void;
}

const MAX_BYTES = 1024 * 1024;
const MAX_MISTAKES = 100;
