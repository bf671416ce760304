import type { ServerHttp2Stream } from 'node:http2';

/**
 * The bytes of a stream, pulled: what nobody asks for stays with HTTP/2, whose window then holds the sender back. When
 * the stream is cut, whatever came before that is kept, at most a window (64 KiB), and can still be pulled.
 */
export class Incoming {
  readonly #stream: ServerHttp2Stream;
  readonly #left: Buffer[] = [];
  #over = false;
  #halfClosed = false;
  #heldBytes = 0;
  #wake: (() => void) | undefined;

  /** To be made before anything else reads the stream. */
  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
    stream.on('readable', this.#onReadable);
    stream.on('end', () => {
      this.#halfClosed ||= !stream.closed;
      this.#finish();
    });
    stream.on('close', () => {
      this.#keep();
      this.#finish();
    });
    // Of a connection that broke; the close says all there is to know.
    stream.on('error', () => undefined);
  }

  /** Whether the other side has said that it is through. */
  get halfClosed(): boolean {
    return this.#halfClosed;
  }

  /** Bytes as they come, until the stream is at its end, however it came to it. */
  async *bytes(): AsyncGenerator<Buffer> {
    for (;;) {
      const bytes = this.#left.shift() ?? (this.#stream.read() as Buffer | null);
      if (bytes !== null) yield bytes;
      else if (this.#over) return;
      else await this.#more();
    }
  }

  /** Takes what is there, and nothing that comes later. */
  stop(): void {
    this.#keep();
    this.#finish();
    this.#stream.off('readable', this.#onReadable);
    this.#stream.resume();
  }

  readonly #onReadable = (): void => {
    // Said without there being more: that was all.
    const held = this.#stream.readableLength;
    if (held > 0 && held === this.#heldBytes && !this.#stream.closed) this.#halfClosed = true;
    this.#heldBytes = held;
    this.#wake?.();
  };

  async #more(): Promise<void> {
    this.#heldBytes = 0;
    await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = undefined;
  }

  #keep(): void {
    if (this.#over) return;
    for (let bytes = this.#stream.read() as Buffer | null; bytes !== null; bytes = this.#stream.read() as Buffer | null)
      this.#left.push(bytes);
  }

  #finish(): void {
    this.#over = true;
    this.#wake?.();
  }
}
