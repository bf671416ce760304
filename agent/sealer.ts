import { BUILDER_BYTES, ChunkBuilder, encodeSmall } from '../shared/chunk-builder.ts';
import { CODEC_PLAIN, CODEC_ZSTD, encodeChunk, encodeGap, type ChunkFields } from '../shared/chunk.ts';
import { Compressor } from './compressor.ts';

/** Buffers that chunks are built in and compressed from; they are reused, since allocating them would cost more. */
const POOL_BUFFERS = 4;

/**
 * The open chunk and those on their way through compression, which runs on the thread pool. Chunks come out in the
 * order in which they were sealed.
 */
export class Sealer {
  readonly builder: ChunkBuilder;
  /** The next line's place in the run. */
  nextSeq = 0;
  /** Lines and bytes of text that were sealed. */
  lines = 0;
  bytes = 0;
  /** Lines left out behind those of the open chunk: before another is marked, that chunk and their gap are sealed. */
  leftOut = 0;
  #leftOutAt = 0;
  /** When the last chunk was sealed (performance.now()), and its bytes of text. */
  sealedAt = 0;
  sealedBytes = 0;
  readonly #run: string;
  readonly #onChunk: (chunk: Buffer) => void;
  readonly #free: Buffer[] = [];
  readonly #compressors: Compressor[] = [];
  /** Sealed and not yet handed out, in order; a chunk is there once it is compressed. */
  readonly #sealed: { chunk?: Buffer }[] = [];
  #idle: (() => void)[] = [];

  /** `onChunk` takes each chunk when it is encoded. */
  constructor(run: string, onChunk: (chunk: Buffer) => void) {
    this.#run = run;
    this.#onChunk = onChunk;
    this.builder = new ChunkBuilder(Buffer.allocUnsafeSlow(BUILDER_BYTES));
  }

  /** Chunks that wait for compression. */
  get pending(): number {
    return this.#sealed.length;
  }

  /** Whether the pool is in use as a whole: the script should wait. */
  get full(): boolean {
    return this.#sealed.length >= POOL_BUFFERS - 1;
  }

  /** Resolves when nothing waits for compression. */
  async flushed(): Promise<void> {
    if (this.#sealed.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Lets go of the compressors. Nothing may be pending. */
  close(): void {
    for (const compressor of this.#compressors.splice(0)) compressor.close();
  }

  /** A line that was read at `time` is not shipped; a gap takes its place. */
  leaveOut(time: number): void {
    if (this.leftOut === 0) this.#leftOutAt = time;
    this.leftOut++;
  }

  /** Closes the open chunk and the gap behind it, as far as there is anything in them, and sends them off. */
  seal(): void {
    if (this.builder.count > 0) this.#sealChunk();
    if (this.leftOut > 0) this.#sealGap();
  }

  #sealGap(): void {
    const gap = { run: this.#run, firstSeq: this.nextSeq, count: this.leftOut, time: this.#leftOutAt };
    this.#sealed.push({ chunk: encodeGap({ ...gap, reason: 'dropped' }) });
    this.nextSeq += this.leftOut;
    this.leftOut = 0;
    this.#handOut();
  }

  #sealChunk(): void {
    const { fields, raw } = this.builder.seal(
      this.#run,
      this.nextSeq,
      this.#free.pop() ?? Buffer.allocUnsafeSlow(BUILDER_BYTES),
    );
    this.nextSeq += fields.count;
    this.lines += fields.count;
    this.bytes += fields.textBytes;
    this.sealedAt = performance.now();
    this.sealedBytes = fields.textBytes;
    const entry: { chunk?: Buffer } = { chunk: encodeSmall(fields, raw) };
    this.#sealed.push(entry);
    if (entry.chunk) this.#done(raw);
    else this.#compress(entry, fields, raw);
  }

  #compress(entry: { chunk?: Buffer }, fields: ChunkFields, raw: Buffer): void {
    const compressor = this.#compressors.pop() ?? new Compressor();
    compressor.compress(raw, (error, body) => {
      this.#compressors.push(compressor);
      // Without memory for a compressor the lines still travel, as they are.
      const smaller = !error && body.length < raw.length;
      entry.chunk = encodeChunk(fields, smaller ? CODEC_ZSTD : CODEC_PLAIN, raw.length, smaller ? body : raw);
      this.#done(raw);
    });
  }

  #done(raw: Buffer): void {
    if (this.#free.length < POOL_BUFFERS) this.#free.push(Buffer.from(raw.buffer));
    this.#handOut();
  }

  /** Hands out what is ready, in order. */
  #handOut(): void {
    let ready = 0;
    while (ready < this.#sealed.length && this.#sealed[ready].chunk) ready++;
    for (const { chunk } of this.#sealed.splice(0, ready)) if (chunk) this.#onChunk(chunk);
    if (this.#sealed.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
}
