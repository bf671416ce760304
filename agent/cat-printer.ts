import { CHUNK_HEADER_BYTES, checkCrc, CODEC_GAP, readHeader } from '../shared/chunk.ts';
import type { GapReason } from '../shared/gap-reasons.ts';
import { decodeLines, decompress, type Lines } from '../shared/columns.ts';
import { KIND_CR, KIND_MORE, KIND_NO_EOL, KIND_SOURCE_MASK, levelOf, sourceOf, SOURCES } from '../shared/line.ts';
import type { StoredRecord } from './spool-contract.ts';

export interface CatFlags {
  /** The time before each line. */
  timestamps?: boolean;
  /** An object a line: `{seq, time, source, level, text}`, or `{seq, missing, reason}`. */
  json?: boolean;
}

/**
 * Turns records into what a person reads: pieces joined, `\r` put back, and what is missing said in its place. Without
 * flags, what comes out are the script's bytes.
 */
export class CatPrinter {
  readonly #flags: CatFlags;
  readonly #to: { out: (bytes: Buffer) => void; err: (line: string) => void };
  /** By source: the pieces of a line whose end has not come. */
  readonly #open: OpenLine[] = SOURCES.map(() => ({ pieces: [], bytes: 0, seq: 0, time: 0 }));
  /** One past the record before. */
  #nextSeq = 0;
  /** The last line printed had no end. */
  #owesLineEnd = false;

  constructor(flags: CatFlags, to: { out: (bytes: Buffer) => void; err: (line: string) => void }) {
    this.#flags = flags;
    this.#to = to;
  }

  /** The spool's first record begins at `seq`. */
  begin(seq: number): void {
    if (seq > 0) this.#missing(0, seq, 'sent');
    this.#nextSeq = seq;
  }

  print(record: StoredRecord): void {
    const { bytes, firstSeq, count } = record;
    if (firstSeq > this.#nextSeq) this.#missing(this.#nextSeq, firstSeq - this.#nextSeq, 'corrupt');
    this.#nextSeq = firstSeq + count;
    if (!bytes) {
      this.#missing(firstSeq, count, 'sent');
      return;
    }
    let lines: Lines;
    try {
      const header = readHeader(bytes);
      checkCrc(bytes);
      if (header.firstSeq !== firstSeq) throw new Error(`the record of ${header.firstSeq} is at ${firstSeq}`);
      if (header.codec === CODEC_GAP) {
        this.#missing(firstSeq, header.count, header.reason ?? 'corrupt');
        return;
      }
      lines = decodeLines(header, decompress(header, bytes.subarray(CHUNK_HEADER_BYTES)));
    } catch {
      this.#missing(firstSeq, count, 'corrupt');
      return;
    }
    const out: Buffer[] = [];
    for (let i = 0; i < lines.count; i++) this.#line(lines, i, firstSeq, out);
    if (out.length > 0) this.#to.out(Buffer.concat(out));
  }

  /** No more records come: unfinished lines are printed as they are. */
  end(): void {
    const out: Buffer[] = [];
    for (const [source, open] of this.#open.entries()) {
      if (open.pieces.length > 0) this.#finish(source, source | KIND_NO_EOL, out);
    }
    if (out.length > 0) this.#to.out(Buffer.concat(out));
  }

  #line(lines: Lines, i: number, firstSeq: number, out: Buffer[]): void {
    const kind = lines.kinds[i];
    const open = this.#open[kind & KIND_SOURCE_MASK];
    if (open.pieces.length === 0) {
      open.seq = firstSeq + i;
      open.time = lines.times[i];
    }
    const piece = lines.text.subarray(lines.starts[i], lines.starts[i + 1] - 1);
    // The text is shared with a whole chunk, which an unfinished line must not keep alive.
    open.pieces.push((kind & KIND_MORE) === 0 ? piece : Buffer.from(piece));
    open.bytes += piece.length;
    if ((kind & KIND_MORE) === 0 || open.bytes > MAX_JOINED_BYTES) this.#finish(kind & KIND_SOURCE_MASK, kind, out);
  }

  #finish(source: number, kind: number, out: Buffer[]): void {
    const { pieces, seq, time } = this.#open[source];
    this.#open[source] = { pieces: [], bytes: 0, seq: 0, time: 0 };
    if (this.#flags.json === true) {
      const text = Buffer.concat(pieces).toString();
      const line = { seq, time: new Date(time).toISOString(), source: sourceOf(kind), level: levelOf(kind), text };
      out.push(Buffer.from(`${JSON.stringify(line)}\n`));
      return;
    }
    if (this.#owesLineEnd) out.push(LINE_END);
    if (this.#flags.timestamps === true) out.push(Buffer.from(`${new Date(time).toISOString()} `));
    out.push(...pieces);
    if ((kind & KIND_CR) !== 0) out.push(CR);
    this.#owesLineEnd = (kind & KIND_NO_EOL) !== 0;
    if (!this.#owesLineEnd) out.push(LINE_END);
  }

  #missing(seq: number, count: number, reason: GapReason | 'sent'): void {
    if (this.#flags.json === true) {
      this.#to.out(Buffer.from(`${JSON.stringify({ seq, missing: count, reason })}\n`));
      return;
    }
    const what = `${count.toLocaleString('en')} ${count === 1 ? 'line is' : 'lines are'} missing`;
    const why = reason === 'sent' ? `the relay has ${count === 1 ? 'it' : 'them'}` : reason;
    const said = reason === 'agent-died' ? 'the agent died here; lines may be missing' : `${what} (${why})`;
    this.#to.err(`--- ${said} ---\n`);
  }
}

interface OpenLine {
  pieces: Buffer[];
  bytes: number;
  seq: number;
  time: number;
}

/** A longer line is printed in parts of this size, each on its own line. */
const MAX_JOINED_BYTES = 64 * 1024 * 1024;
const LINE_END = Buffer.from('\n');
const CR = Buffer.from('\r');
