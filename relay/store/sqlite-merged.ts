import type Database from 'better-sqlite3';
import { ChunkError, readStoredHeader } from '../../shared/chunk.ts';
import type { Lines } from '../../shared/columns.ts';
import { decodeStored, type StoredBytes } from './decode.ts';
import { decodePieces, type Piece } from './pieces.ts';

/** Which merged chunk: there is no other one with the same lines. */
export interface MergedRow {
  position: number;
  firstLine: number;
  count: number;
  task: string;
}

/** A piece, and the place of its first line in its chunk. */
export interface PlacedPiece extends Piece {
  index: number;
}

/** A merged chunk of which the pieces were read, and its lines if somebody asked for them. */
export interface MergedChunk extends MergedRow {
  /** In order. Of a chunk whose list of pieces can't be read: one line at its own position. */
  pieces: readonly PlacedPiece[];
  /** Undefined: not asked for yet. Null: they can't be read. */
  lines: Lines | null | undefined;
  /** ms since 1970, of the latest line, as far as it is known. */
  time: number;
  bytes: number;
  usedAt: number;
}

/**
 * The merged chunks that were read lately, decoded: whoever reads by position comes back to the same ones again and
 * again, as others' lines lie between their pieces.
 */
export class MergedChunks {
  readonly #kept = new Map<number, MergedChunk>();
  readonly #maxBytes: number;
  readonly #sql;
  #bytes = 0;
  #reads = 0;
  #from = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor(db: Database.Database, { maxBytes = MAX_BYTES }: { maxBytes?: number } = {}) {
    this.#maxBytes = maxBytes;
    this.#sql = {
      pieces: db.prepare<[number], Buffer>('SELECT pieces FROM merged WHERE position = ?').pluck(),
      bytes: db.prepare<[number], StoredBytes>(
        'SELECT header, coalesce(body, zeroblob(0)) AS body FROM chunk WHERE position = ?',
      ),
      run: db.prepare<[number], number>('SELECT run FROM chunk WHERE position = ?').pluck(),
    };
  }

  /** To be called before each read: from which position on it reads. */
  begin(from: number): void {
    this.#from = from;
    this.#reads++;
    if (this.#idle) this.#idle.refresh();
    else this.#idle = setTimeout(() => this.clear(), IDLE_MS).unref();
  }

  get(row: MergedRow): MergedChunk {
    const known = this.#kept.get(row.position);
    if (known?.firstLine === row.firstLine && known.count === row.count) {
      known.usedAt = this.#reads;
      return known;
    }
    if (known) this.#drop(known);
    const read = unlessBroken(() => decodePieces(this.#sql.pieces.get(row.position) ?? Buffer.alloc(0)));
    const pieces = read ? placed(read) : [this.#first(row)];
    const bytes = PIECE_BYTES * pieces.length;
    // Without its pieces nobody knows where its lines are: that they are missing is said once, where it begins.
    const lines = read ? undefined : null;
    const chunk: MergedChunk = { ...row, pieces, lines, time: 0, bytes, usedAt: this.#reads };
    this.#keep(chunk);
    return chunk;
  }

  /** Reads a chunk's lines, if that was not done yet. Answers how many bytes were decoded for it. */
  decode(chunk: MergedChunk): number {
    if (chunk.lines !== undefined) return 0;
    const stored = this.#sql.bytes.get(chunk.position);
    if (!stored) throw new Error(`the store has lost the chunk at position ${chunk.position}`);
    const kept = this.#kept.get(chunk.position) === chunk;
    if (kept) this.#drop(chunk);
    const header = unlessBroken(() => readStoredHeader(stored.header));
    const lines = header && unlessBroken(() => decodeStored(header, stored));
    chunk.lines = lines?.count === chunk.count ? lines : null;
    chunk.time = header?.maxTime ?? 0;
    const bytes = (header?.rawBytes ?? 0) + LINE_BYTES * chunk.count;
    chunk.bytes += bytes;
    if (kept) this.#keep(chunk);
    return bytes;
  }

  clear(): void {
    this.#kept.clear();
    this.#bytes = 0;
  }

  #first({ position }: MergedRow): PlacedPiece {
    return { run: this.#sql.run.get(position) ?? 0, seq: 0, position, count: 1, index: 0 };
  }

  /** Only if there is room. A reader comes back to all of them by turns: making room by age would keep none. */
  #keep(chunk: MergedChunk): void {
    if (this.#bytes + chunk.bytes > this.#maxBytes) this.#makeRoom();
    if (this.#bytes + chunk.bytes > this.#maxBytes) return;
    this.#kept.set(chunk.position, chunk);
    this.#bytes += chunk.bytes;
  }

  /** Lets go of what was read past, and of what nobody came back to. */
  #makeRoom(): void {
    for (const chunk of this.#kept.values()) {
      const last = chunk.pieces[chunk.pieces.length - 1];
      if (last.position + last.count <= this.#from || this.#reads - chunk.usedAt > KEPT_READS) this.#drop(chunk);
    }
  }

  #drop(chunk: MergedChunk): void {
    this.#kept.delete(chunk.position);
    this.#bytes -= chunk.bytes;
  }
}

function placed(pieces: readonly Piece[]): PlacedPiece[] {
  let index = 0;
  return pieces.map((piece) => {
    index += piece.count;
    return { ...piece, index: index - piece.count };
  });
}

function unlessBroken<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ChunkError) return undefined;
    throw error;
  }
}

/** What MAX_POSITION_SPAN positions hold of ordinary lines, so that one reader decodes each chunk once. */
const MAX_BYTES = 48 * 1024 * 1024;
/** An object of five numbers. */
const PIECE_BYTES = 72;
/** A time and a start. */
const LINE_BYTES = 12;
const KEPT_READS = 256;
const IDLE_MS = 30_000;
