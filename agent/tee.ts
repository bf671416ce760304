import { closeSync, constants, fstatSync, openSync, write, writeSync, writev } from 'node:fs';
import type { Output } from './output.ts';

/** Held for a reader slower than the script; above it the script waits, as it would without us. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** What an entry costs beside its bytes, so that many small ones are bounded too. */
const ENTRY_BYTES = 256;
/** Buffers in one writev. */
const MAX_VECTOR = 64;
/** How soon a descriptor that somebody made non-blocking is tried again when it is full. */
const RETRY_MS = 5;

/**
 * Passes bytes on to one of the agent's own outputs. Node's streams write to pipes synchronously, and a slow reader
 * would then stop capture, signals and the link. This one writes what a pipe has room for at once, since waking another
 * thread for it would cost more than the write, and the rest on the thread pool. A reader that is gone (EPIPE) ends the
 * tee, never the job.
 */
export class Tee implements Output {
  onDrain: () => void = () => undefined;
  readonly #fd: number;
  /** The same pipe, opened so that writing never waits; undefined where there is none. */
  #ready: number | undefined;
  readonly #onError: (error: NodeJS.ErrnoException) => void;
  #queue: Entry[] = [];
  #queuedBytes = 0;
  #writing = false;
  /** Entries that the write under way has. */
  #underWay = 0;
  #ended = false;
  #idle: (() => void)[] = [];
  readonly #patienceMs: number | undefined;
  #stallTimer: NodeJS.Timeout | undefined;

  /**
   * `onError` hears of a failed write once; the tee has ended by then. EPIPE is no failure. A write that takes longer
   * than `patienceMs` is one; without that it is waited for.
   */
  constructor(fd: number, onError: (error: NodeJS.ErrnoException) => void, patienceMs?: number) {
    this.#fd = fd;
    this.#ready = openReady(fd);
    this.#onError = onError;
    this.#patienceMs = patienceMs;
  }

  get full(): boolean {
    return this.#heldBytes() >= HIGH_WATER_BYTES;
  }

  write(bytes: Buffer, release: () => void = () => undefined): void {
    if (this.#ended || bytes.length === 0) {
      release();
      return;
    }
    const written = this.#writing ? 0 : this.#writeReady(bytes);
    if (written === bytes.length) {
      release();
      return;
    }
    this.#queue.push({ bytes: bytes.subarray(written), release });
    this.#queuedBytes += bytes.length - written;
    if (!this.#writing) this.#next();
  }

  /** What is written after this takes longer. */
  async flushed(): Promise<void> {
    this.#closeReady();
    if (this.#writing) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Writes what the pipe takes without waiting, and says how much that was. */
  #writeReady(bytes: Buffer): number {
    if (this.#ready === undefined) return 0;
    try {
      return writeSync(this.#ready, bytes);
    } catch {
      // It is full (EAGAIN); or what else is wrong shows when it is written to in the other way.
      return 0;
    }
  }

  #closeReady(): void {
    if (this.#ready !== undefined) closeSync(this.#ready);
    this.#ready = undefined;
  }

  #heldBytes(): number {
    return this.#queuedBytes + this.#queue.length * ENTRY_BYTES;
  }

  #next(): void {
    if (this.#queue.length === 0) {
      this.#writing = false;
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    this.#writing = true;
    this.#watch();
    const batch = this.#queue.slice(0, MAX_VECTOR).map(({ bytes }) => bytes);
    this.#underWay = batch.length;
    const done = (error: NodeJS.ErrnoException | null, written: number) => this.#done(error, written);
    if (batch.length === 1) write(this.#fd, batch[0], done);
    else writev(this.#fd, batch, done);
  }

  #done(error: NodeJS.ErrnoException | null, written: number): void {
    // What was given up may still end.
    if (this.#ended) return;
    this.#underWay = 0;
    if (error?.code === 'EAGAIN') {
      setTimeout(() => !this.#ended && this.#next(), RETRY_MS);
      return;
    }
    clearTimeout(this.#stallTimer);
    this.#stallTimer = undefined;
    this.#proceed(error, written);
  }

  #proceed(error: NodeJS.ErrnoException | null, written: number): void {
    const wasFull = this.full;
    if (error) this.#stop(error);
    else this.#consume(written);
    this.#next();
    if (wasFull && this.#heldBytes() < HIGH_WATER_BYTES) this.onDrain();
  }

  /** Gives up a write that does not end. */
  #watch(): void {
    if (this.#patienceMs === undefined || this.#stallTimer !== undefined) return;
    const timer = setTimeout(() => {
      // If this process itself stood still, the answer is there already and is taken first.
      setImmediate(() => {
        if (timer === this.#stallTimer) this.#proceed(new Error('it takes too long'), 0);
      });
    }, this.#patienceMs).unref();
    this.#stallTimer = timer;
  }

  #consume(written: number): void {
    this.#queuedBytes -= written;
    let whole = 0;
    while (written > 0 && written >= this.#queue[whole].bytes.length) written -= this.#queue[whole++].bytes.length;
    for (const { release } of this.#queue.splice(0, whole)) release();
    if (written > 0) this.#queue[0].bytes = this.#queue[0].bytes.subarray(written);
  }

  #stop(error: NodeJS.ErrnoException): void {
    this.#ended = true;
    this.#closeReady();
    this.#queuedBytes = 0;
    // What is being written must not be used again.
    for (const { release } of this.#queue.splice(0).slice(this.#underWay)) release();
    if (error.code !== 'EPIPE') this.#onError(error);
  }
}

interface Entry {
  bytes: Buffer;
  release: () => void;
}

/** Non-blocking is a property of how a pipe was opened, which others share with us: so it is opened once more. */
function openReady(fd: number): number | undefined {
  try {
    if (!fstatSync(fd).isFIFO()) return undefined;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    // No /proc, not ours to open, or nobody reads.
    return undefined;
  }
}
