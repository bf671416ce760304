import { Socket } from 'node:net';
import type { Readable } from 'node:stream';

/** What one read may bring: a Linux pipe holds as much. */
const BLOCK_BYTES = 64 * 1024;
/** Room in front of a block for what was held back of the one before. */
const HEADROOM_BYTES = 4 * 1024;
/** Blocks kept for reuse: what a tee may hold, and a few more. */
const KEPT_BLOCKS = 20;
/**
 * A script that writes 4 KiB at a time would wake us, and us the tee, for each of them, and that slows it down. Reads
 * that bring that much and follow each other this closely are followed by a pause, in which the pipe fills: it holds 16
 * such writes. A full block needs none, and a few lines are not kept waiting.
 */
const BUSY_BYTES = 1024;
const CLOSE_MS = 3;
const LINGER_MS = 1;

/** A pipe that is read block by block. */
export interface BlockReader {
  /**
   * Begins to read. `onBlock` owns each block until it calls `release`, once. Resolves when the pipe has ended or
   * failed, or was destroyed.
   */
  read(onBlock: (block: Buffer, release: () => void) => void): Promise<void>;
  /** Bytes before each block that belong to it too, with nothing in them. */
  readonly headroom: number;
  pause(): void;
  resume(): void;
  /** Ends reading; what is unread is lost. */
  destroy(): void;
}

/**
 * Reads a descriptor into blocks that are used again. With a fresh buffer for every read, as streams do it, collecting
 * them would cost more than all else that the agent does.
 */
export class DescriptorReader implements BlockReader {
  readonly headroom = HEADROOM_BYTES;
  readonly #free: Buffer[] = [];
  readonly #socket: Socket;
  #onBlock: ((block: Buffer, release: () => void) => void) | undefined;
  #paused = false;
  #readAt = 0;
  #linger: NodeJS.Timeout | undefined;

  constructor(fd: number) {
    this.#socket = new Socket({
      fd,
      readable: true,
      writable: false,
      onread: {
        buffer: () => this.#free.pop() ?? Buffer.allocUnsafeSlow(HEADROOM_BYTES + BLOCK_BYTES).subarray(HEADROOM_BYTES),
        callback: (bytes, buffer) => this.#take(bytes, buffer as Buffer),
      },
    });
    this.#socket.pause();
  }

  async read(onBlock: (block: Buffer, release: () => void) => void): Promise<void> {
    this.#onBlock = onBlock;
    this.#socket.resume();
    await closed(this.#socket);
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#linger) this.#socket.resume();
  }

  destroy(): void {
    clearTimeout(this.#linger);
    this.#socket.destroy();
  }

  #take(bytes: number, buffer: Buffer): boolean {
    const release = () => {
      if (this.#free.length < KEPT_BLOCKS) this.#free.push(buffer);
    };
    this.#onBlock?.(buffer.subarray(0, bytes), release);
    const now = performance.now();
    const busy = bytes >= BUSY_BYTES && bytes < BLOCK_BYTES && now - this.#readAt < CLOSE_MS;
    if (busy) this.#linger ??= setTimeout(() => this.#goOn(), LINGER_MS);
    this.#readAt = now;
    return !this.#paused && !this.#linger;
  }

  #goOn(): void {
    this.#linger = undefined;
    if (!this.#paused) this.#socket.resume();
  }
}

/** A stream that somebody else made: its buffers are not ours to use again. */
export class StreamReader implements BlockReader {
  readonly headroom = 0;
  readonly #stream: Readable;

  constructor(stream: Readable) {
    this.#stream = stream;
  }

  async read(onBlock: (block: Buffer, release: () => void) => void): Promise<void> {
    this.#stream.on('data', (block: Buffer) => onBlock(block, () => undefined));
    await closed(this.#stream);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  destroy(): void {
    this.#stream.destroy();
  }
}

function closed(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    stream.once('close', resolve);
    // A pipe that can't be read has nothing more to say; what came before stands. `close` follows.
    stream.once('error', () => undefined);
  });
}
