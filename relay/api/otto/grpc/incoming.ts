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
  #wake: (() => void) | undefined;

  /** To be made before anything else reads the stream. */
  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
    stream.on('readable', this.#onReadable);
    // The end itself is told only to whoever has read all before it.
    const push = stream.push.bind(stream);
    stream.push = (bytes: Buffer | null, encoding?: BufferEncoding) => {
      this.#halfClosed ||= bytes === null && !stream.closed;
      return push(bytes, encoding);
    };
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
    this.#wake?.();
  };

  async #more(): Promise<void> {
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
