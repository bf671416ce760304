import type { ChunkBuilder } from '../shared/chunk-builder.ts';
import {
  KIND_CR,
  KIND_LEVEL_SHIFT,
  KIND_MORE,
  KIND_NO_EOL,
  KIND_REST,
  LEVELS,
  SOURCES,
  type Level,
  type Source,
} from '../shared/line.ts';
import { AMBIGUOUS, LevelDetector } from './level.ts';
import type { LineFilter } from './line-filter.ts';

/** The longest piece of a line, and with it all that a stream without line ends makes the agent hold. */
export const MAX_PIECE_BYTES = 256 * 1024;

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Where lines go: the open chunk, which `seal` sends off so that it is empty again. */
export interface LineSink {
  readonly builder: ChunkBuilder;
  seal(): void;
  /** Whether a line that was read at `time` may follow the last one. It is asked once a line, before it is marked. */
  admits?(time: number): boolean;
}

export interface LineOptions {
  /** Lines below it are counted nowhere and shipped nowhere. */
  level: Level;
  /** Longer lines become several pieces; at most MAX_PIECE_BYTES. */
  maxPieceBytes?: number;
  /** Text of a line beyond this many bytes is cut, and the line says so. */
  maxMessageLength?: number;
  /** Decides by a line's text, of several pieces by the first, whether the whole line is shipped. */
  filter?: LineFilter;
  /** Lines of a chunk, if they are to be fewer than fit. */
  maxLines?: number;
}

/**
 * Finds the lines in the bytes of one source and copies them into the open chunk, stamped and classified. A line
 * longer than MAX_PIECE_BYTES becomes several pieces, never cut inside a UTF-8 sequence.
 */
export class LineSplitter {
  readonly #sink: LineSink;
  readonly #source: Source;
  readonly #sourceBits: number;
  readonly #default: number;
  readonly #minLevel: number;
  readonly #maxMessage: number;
  readonly #maxPiece: number;
  readonly #filter: LineFilter | undefined;
  readonly #maxLines: number;
  /** Lines that the filter has kept out. */
  filtered = 0;
  readonly #levels = new LevelDetector();
  /** The unfinished line: its bytes so far that are in no chunk. */
  readonly #held: Buffer;
  #heldBytes = 0;
  /** When the first held byte was read. */
  heldSince = 0;
  /** Of the unfinished line: KIND_REST once a piece of it is decided, its level, and whether it is shipped. */
  #rest = 0;
  #restLevel = 0;
  #restShipped = true;
  /** Bytes of the unfinished line that went into pieces, and that were cut. */
  #shipped = 0;
  #cut = 0;

  constructor(sink: LineSink, source: Source, options: LineOptions) {
    this.#sink = sink;
    this.#source = source;
    this.#sourceBits = SOURCES.indexOf(source);
    this.#default = LEVELS.indexOf(source === 'stderr' ? 'ERROR' : 'INFO');
    this.#minLevel = LEVELS.indexOf(options.level);
    this.#maxMessage = options.maxMessageLength ?? Infinity;
    this.#maxPiece = options.maxPieceBytes ?? MAX_PIECE_BYTES;
    this.#filter = options.filter;
    this.#maxLines = options.maxLines ?? Infinity;
    // A piece, and the \r\n that may end a line of exactly that.
    this.#held = Buffer.allocUnsafe(this.#maxPiece + 2);
  }

  get source(): Source {
    return this.#source;
  }

  /** Whether a line has begun and not ended. */
  get holding(): boolean {
    return this.#heldBytes > 0;
  }

  /** Takes the next bytes, read at `time`. Keeps no reference to them. */
  push(block: Buffer, time: number): void {
    let at = 0;
    if (this.#heldBytes > 0 || this.#rest !== 0) {
      const newline = block.indexOf(NEWLINE);
      at = newline === -1 ? block.length : newline;
      this.#hold(block, 0, at, time);
      if (newline === -1) return;
      this.#finish(time, 0);
      at++;
    }
    at = this.#wholeLines(block, at, time);
    if (at < block.length) this.#hold(block, at, block.length, time);
  }

  /**
   * Ships what is held of an unfinished line, so that a prompt or a progress bar shows: up to the last `\r`, so that
   * a bar's next state stays together, else all of it but an incomplete UTF-8 sequence. Says whether anything left.
   */
  release(time: number): boolean {
    const held = this.#held.subarray(0, this.#heldBytes);
    const lastReturn = held.lastIndexOf(RETURN);
    const cut =
      lastReturn > 0
        ? lastReturn
        : lastReturn === 0 && held.length === 1
          ? 0
          : utf8Boundary(held, Math.min(held.length, this.#maxPiece));
    if (cut === 0) return false;
    this.#shipHeld(cut, time);
    return true;
  }

  /** The stream is over: what is held is a line without a line end. */
  end(time: number): void {
    // A line whose pieces all left still has to say that it was cut.
    if (this.#heldBytes > 0 || this.#cut > 0) this.#finish(time, KIND_NO_EOL);
  }

  /** The hot path: lines that begin and end in the block. Returns the place behind the last of them. */
  #wholeLines(block: Buffer, at: number, time: number): number {
    const builder = this.#sink.builder;
    const plain = this.#minLevel === 0 && this.#maxMessage === Infinity;
    const shipsAll = this.#filter === undefined && this.#sink.admits === undefined;
    let copied = at;
    for (;;) {
      const newline = block.indexOf(NEWLINE, at);
      if (newline === -1) break;
      const length = newline - at;
      const ordinary = plain && length <= this.#maxPiece && (length === 0 || block[newline - 1] !== RETURN);
      const ships = ordinary && (shipsAll || this.#ships(block, at, newline, time));
      const fits = ships && this.#fits(length);
      if (!fits) {
        if (copied < at) builder.copy(block, copied, at);
        copied = at;
      }
      if (ordinary && !ships) {
        copied = at = newline + 1;
        continue;
      }
      if (!ordinary) {
        this.#hold(block, at, newline, time);
        this.#finish(time, 0);
        copied = at = newline + 1;
        continue;
      }
      if (!fits) this.#sink.seal();
      builder.mark(this.#sourceBits | (this.#levelOf(block, at, newline) << KIND_LEVEL_SHIFT), time, length);
      at = newline + 1;
    }
    if (copied < at) builder.copy(block, copied, at);
    return at;
  }

  /** Whether the filter and the rate let the line through that begins with bytes[from .. to). Asked once a line. */
  #ships(bytes: Buffer, from: number, to: number, time: number): boolean {
    if (this.#filter !== undefined && !this.#filter.keeps(bytes.subarray(from, to))) {
      this.filtered++;
      return false;
    }
    return this.#sink.admits?.(time) ?? true;
  }

  #fits(length: number): boolean {
    const { builder } = this.#sink;
    return builder.count < this.#maxLines && builder.fits(length);
  }

  #levelOf(bytes: Buffer, from: number, to: number): number {
    const level = this.#levels.detect(bytes, from, to);
    return level === AMBIGUOUS ? this.#default : level;
  }

  /** Holds block[at, behind), in which there is no line end, and ships pieces when it has too much of one line. */
  #hold(block: Buffer, at: number, behind: number, time: number): void {
    if (this.#heldBytes === 0) this.heldSince = time;
    while (at < behind) {
      const room = Math.min(this.#held.length - this.#heldBytes, behind - at);
      block.copy(this.#held, this.#heldBytes, at, at + room);
      this.#heldBytes += room;
      at += room;
      // Full means more than a piece of text for sure, even if the last byte is the \r of a \r\n.
      if (this.#heldBytes === this.#held.length) this.#shipHeld(utf8Boundary(this.#held, this.#maxPiece), time);
    }
  }

  /** Ends the held line. `flags` says how. */
  #finish(time: number, flags: number): void {
    let length = this.#heldBytes;
    if (flags !== KIND_NO_EOL && length > 0 && this.#held[length - 1] === RETURN) {
      length--;
      flags |= KIND_CR;
    }
    if (length > this.#maxPiece) {
      const piece = utf8Boundary(this.#held, this.#maxPiece);
      this.#shipHeld(piece, time);
      length -= piece;
    }
    this.#emit(length, flags, time);
    this.#heldBytes = this.#rest = this.#shipped = this.#cut = 0;
  }

  /** Ships the first `length` held bytes as a piece; the line goes on. */
  #shipHeld(length: number, time: number): void {
    this.#emit(length, KIND_MORE, time);
    this.#held.copyWithin(0, length, this.#heldBytes);
    this.#heldBytes -= length;
    this.#rest = KIND_REST;
  }

  /** Puts the first `length` held bytes into the chunk. */
  #emit(length: number, flags: number, time: number): void {
    const level = this.#rest !== 0 ? this.#restLevel : this.#levelOf(this.#held, 0, length);
    this.#restLevel = level;
    if (this.#rest === 0) this.#restShipped = level >= this.#minLevel && this.#ships(this.#held, 0, length, time);
    if (!this.#restShipped) return;
    const room = Math.max(0, this.#maxMessage - this.#shipped);
    let kept = length;
    if (length > room) {
      kept = utf8Boundary(this.#held, room);
      this.#cut += length - kept;
    }
    this.#shipped += length;
    const last = (flags & KIND_MORE) === 0;
    // A piece beyond the limit has nothing left to say, unless it is the one that ends the line.
    if (kept === 0 && length > 0 && !last && this.#rest !== 0) return;
    const mark = last && this.#cut > 0 ? Buffer.from(` [+${this.#cut} bytes cut]`) : undefined;
    const { builder } = this.#sink;
    const bytes = kept + (mark?.length ?? 0);
    if (!this.#fits(bytes)) this.#sink.seal();
    builder.mark(this.#sourceBits | (level << KIND_LEVEL_SHIFT) | flags | this.#rest, time, bytes);
    builder.copy(this.#held, 0, kept);
    if (mark) builder.copy(mark, 0, mark.length);
    builder.endLine();
  }
}

/** The last place at or before `at` that is not inside a UTF-8 sequence; `at` itself if the bytes are not UTF-8. */
export function utf8Boundary(bytes: Buffer, at: number): number {
  for (let back = 1; back <= 3 && back <= at; back++) {
    const c = bytes[at - back];
    if (c >= 0xc0) return sequenceLength(c) > back ? at - back : at;
    if (c < 0x80) return at;
  }
  return at;
}

function sequenceLength(lead: number): number {
  return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
}
