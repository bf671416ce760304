import { CODEC_PLAIN, encodeChunk, MAX_LINES, TARGET_TEXT_BYTES, type ChunkFields } from './chunk.ts';
import { flagsOf, MIN_COMPRESSED_BYTES, writeVarint, zigzag } from './columns.ts';
import { pairOf, PAIRS } from './line.ts';

/** Room for the text and, when the chunk is sealed, the columns behind it. */
export const BUILDER_BYTES = 512 * 1024;
/** Room for the deltas of a chunk's times. They are one byte each but for clocks that jump. */
const TIMES_BYTES = 96 * 1024;
/** A line of up to 127 bytes takes one byte, and 256 KiB hold few that are longer. */
const LENGTHS_BYTES = 72 * 1024;
const VARINT_BYTES = 8;

/**
 * The open chunk: lines are marked one by one, while their text is copied in runs as long as possible. Holds at most
 * TARGET_TEXT_BYTES of text (one line of exactly that and its line end) and MAX_LINES lines.
 *
 *     if (!builder.fits(length)) seal…
 *     builder.mark(kind, time, length)     for each line
 *     builder.copy(block, from, to)        once for all of them; each ends with \n
 */
export class ChunkBuilder {
  count = 0;
  /** Text marked so far; `copy` follows. */
  textBytes = 0;
  /** The time of the first line, or 0. */
  firstTime = 0;
  #copied = 0;
  #buffer: Buffer;
  readonly #times = Buffer.allocUnsafe(TIMES_BYTES);
  readonly #kinds = Buffer.allocUnsafe(MAX_LINES);
  readonly #lengths = Buffer.allocUnsafe(LENGTHS_BYTES);
  #timesAt = 0;
  #lengthsAt = 0;
  #lastTime = 0;
  #minTime = 0;
  #maxTime = 0;
  #flags = 0;
  readonly #counts = new Uint16Array(PAIRS);

  /** `buffer` has BUILDER_BYTES; `seal` hands it on and takes another. */
  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  /** Whether a line of `length` bytes, without its line end, still has room. */
  fits(length: number): boolean {
    return (
      this.textBytes + length <= TARGET_TEXT_BYTES &&
      this.count < MAX_LINES &&
      this.#timesAt <= TIMES_BYTES - VARINT_BYTES &&
      this.#lengthsAt <= LENGTHS_BYTES - VARINT_BYTES
    );
  }

  mark(kind: number, time: number, length: number): void {
    if (this.count === 0) {
      this.firstTime = this.#lastTime = this.#minTime = this.#maxTime = time;
    } else if (time === this.#lastTime) {
      this.#times[this.#timesAt++] = 0;
    } else {
      this.#timesAt = writeVarint(this.#times, this.#timesAt, zigzag(time - this.#lastTime));
      this.#lastTime = time;
      if (time < this.#minTime) this.#minTime = time;
      if (time > this.#maxTime) this.#maxTime = time;
    }
    this.#kinds[this.count++] = kind;
    this.#counts[pairOf(kind)]++;
    if (kind > 15) this.#flags |= flagsOf(kind);
    if (length < 0x80) this.#lengths[this.#lengthsAt++] = length;
    else this.#lengthsAt = writeVarint(this.#lengths, this.#lengthsAt, length);
    this.textBytes += length + 1;
  }

  /** Copies text of marked lines. */
  copy(block: Buffer, from: number, to: number): void {
    // `set` on a subarray: Buffer.copy is slower for the short ones, and they are the many.
    block.copy(this.#buffer, this.#copied, from, to);
    this.#copied += to - from;
  }

  /** Ends a line whose text was copied without its line end. */
  endLine(): void {
    this.#buffer[this.#copied++] = 0x0a;
  }

  /**
   * The chunk's header fields and its body before compression, which is the builder's buffer; the builder goes on,
   * empty, with `next`.
   */
  seal(run: string, firstSeq: number, next: Buffer): { fields: ChunkFields; raw: Buffer } {
    const buffer = this.#buffer;
    let at = this.#copied;
    at = writeVarint(buffer, at, zigzag(this.firstTime - this.#minTime));
    at += this.#times.copy(buffer, at, 0, this.#timesAt);
    at += this.#kinds.copy(buffer, at, 0, this.count);
    at += this.#lengths.copy(buffer, at, 0, this.#lengthsAt);
    const fields = {
      run,
      firstSeq,
      count: this.count,
      flags: this.#flags,
      minTime: this.#minTime,
      maxTime: this.#maxTime,
      textBytes: this.textBytes,
      counts: this.#counts.slice(),
    };
    this.#buffer = next;
    this.count = this.textBytes = this.#copied = this.#timesAt = this.#lengthsAt = this.#flags = 0;
    this.#counts.fill(0);
    return { fields, raw: buffer.subarray(0, at) };
  }
}

/** The chunk of a body too small to be worth compressing, or undefined. */
export function encodeSmall(fields: ChunkFields, raw: Buffer): Buffer | undefined {
  return raw.length < MIN_COMPRESSED_BYTES ? encodeChunk(fields, CODEC_PLAIN, raw.length, raw) : undefined;
}
