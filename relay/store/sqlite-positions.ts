import type Database from 'better-sqlite3';
import { CHUNK_HEADER_BYTES, ChunkError, encodeGap, readStoredHeader, type ChunkHeader } from '../../shared/chunk.ts';
import type { Lines } from '../../shared/columns.ts';
import { decodeStored, type StoredBytes } from './decode.ts';
import { joinLines } from './join.ts';
import { MAX_POSITION_SPAN } from './merge-plan.ts';
import { decodePieces } from './pieces.ts';
import type { PageRow } from './sqlite-page.ts';
import type { Wants } from './store.ts';
import { wantsBody } from './wants.ts';

/** A chunk that was appended as it is, or a piece of a merged one. */
type Entry = PlainRow | MergedPiece;

interface PlainRow {
  kind: 'plain';
  position: number;
  firstLine: number;
  count: number;
  header: Buffer;
  task: string;
  run: string;
}

interface MergedRow {
  position: number;
  firstLine: number;
  task: string;
  pieces: Buffer;
}

interface MergedPiece {
  kind: 'piece';
  chunk: Omit<MergedRow, 'pieces'>;
  run: number;
  seq: number;
  position: number;
  /** The first line's place in the chunk. */
  index: number;
  count: number;
}

/** Positions that are looked at together: bounds the pieces that are held at once. */
const WINDOW = 65_536;
/** Merged chunks that one read decodes, by their bodies before compression. */
const MAX_DECODED_BYTES = 16 * 1024 * 1024;

/**
 * Reads the whole store in the order of positions. Merged chunks are handed out piece by piece, since other tasks'
 * lines lie between their pieces.
 */
export class PositionReads {
  readonly #sql;

  constructor(db: Database.Database) {
    const plain = `SELECT 'plain' AS kind, chunk.position, chunk.first_line AS firstLine, chunk.count, chunk.header,
      task.task, run.run FROM chunk JOIN task ON task.id = chunk.task JOIN run ON run.id = chunk.run`;
    this.#sql = {
      plain: db.prepare<[number, number, number], PlainRow>(
        `${plain} WHERE chunk.runs = 0 AND chunk.position >= ? AND chunk.position < ?
           ORDER BY chunk.position LIMIT ?`,
      ),
      // No plain chunk reaches over the beginning of another chunk.
      holder: db.prepare<[number], PlainRow & { runs: number }>(
        `${plain.replace('chunk.count,', 'chunk.count, chunk.runs,')} WHERE chunk.position < ?
           ORDER BY chunk.position DESC LIMIT 1`,
      ),
      merged: db.prepare<[number, number, number], MergedRow>(
        `SELECT merged.position, merged.pieces, chunk.first_line AS firstLine, task.task FROM merged
           JOIN chunk ON chunk.position = merged.position JOIN task ON task.id = chunk.task
           WHERE merged.last_position >= ? AND merged.last_position < ? AND merged.position < ?`,
      ),
      next: db.prepare<[number], number>('SELECT min(position) FROM chunk WHERE position >= ?').pluck(),
      reaches: db.prepare<[number], number>('SELECT 1 FROM merged WHERE last_position >= ? LIMIT 1').pluck(),
      head: db.prepare<[], number>('SELECT next_position FROM store').pluck(),
      bytes: db.prepare<[number], StoredBytes>('SELECT header, body FROM chunk WHERE position = ?'),
      body: db.prepare<[number], Buffer>('SELECT body FROM chunk WHERE position = ?').pluck(),
      runName: db.prepare<[number], string>('SELECT run FROM run WHERE id = ?').pluck(),
    };
  }

  /** Within one read transaction. Answers less than there is where it would take too long; nothing only at the head. */
  read(position: number, limits: { maxBytes: number; maxChunks: number; wants?: Wants }): PageRow[] {
    const head = this.#sql.head.get() ?? 0;
    for (let from = Math.max(0, position); from < head;) {
      const entries = this.#entries(from, limits.maxChunks);
      if (entries.length > 0) return this.#rows(entries, limits);
      const behind = from + WINDOW;
      const next = this.#sql.next.get(behind) ?? head;
      // A merged chunk that began before may have a piece anywhere behind the window.
      from = this.#sql.reaches.get(behind) === undefined ? next : behind;
    }
    return [];
  }

  /** What lies in the window from a position on, in order, the first perhaps from a little before. */
  #entries(from: number, limit: number): Entry[] {
    const to = from + WINDOW;
    const entries: Entry[] = this.#sql.plain.all(from, to, limit);
    const holder = this.#sql.holder.get(from);
    if (holder?.runs === 0 && holder.position + holder.count > from) entries.unshift(holder);
    for (const row of this.#sql.merged.iterate(from, to + MAX_POSITION_SPAN, to)) {
      const { pieces, ...chunk } = row;
      let index = 0;
      for (const { run, seq, position, count } of decodePieces(pieces)) {
        if (position + count > from && position < to) {
          entries.push({ kind: 'piece', chunk, run, seq, position, index, count });
        }
        index += count;
      }
    }
    return entries.sort((a, b) => a.position - b.position).slice(0, limit);
  }

  #rows(entries: Entry[], { maxBytes, wants }: { maxBytes: number; wants?: Wants }): PageRow[] {
    const rows: PageRow[] = [];
    const decoded = new Map<number, Decoded>();
    let bytes = 0;
    let decodedBytes = 0;
    for (const entry of entries) {
      let row: PageRow;
      if (entry.kind === 'plain') {
        const { kind: _, ...plain } = entry;
        row = plain;
      } else {
        let chunk = decoded.get(entry.chunk.position);
        if (!chunk) {
          chunk = this.#decode(entry.chunk.position);
          decodedBytes += chunk.header.rawBytes;
          if (decodedBytes > MAX_DECODED_BYTES && rows.length > 0) break;
          decoded.set(entry.chunk.position, chunk);
        }
        row = this.#pieceRow(entry, chunk);
      }
      const header = readStoredHeader(row.header);
      const wanted = wantsBody(wants, header);
      bytes += wanted ? header.bodyBytes : 0;
      if (wanted && bytes > maxBytes && rows.length > 0) break;
      if (!wanted) delete row.body;
      else row.body ??= this.#sql.body.get(row.position);
      rows.push(row);
    }
    return rows;
  }

  #decode(position: number): Decoded {
    const stored = this.#sql.bytes.get(position);
    if (!stored) throw new Error(`the store has lost the chunk at position ${position}`);
    const header = readStoredHeader(stored.header);
    try {
      return { header, lines: decodeStored(header, stored) };
    } catch (error) {
      if (error instanceof ChunkError) return { header, lines: undefined };
      throw error;
    }
  }

  /** The piece as a chunk of its own. Where the merged one can't be read: a `corrupt` gap. */
  #pieceRow({ chunk, run, seq, position, index, count }: MergedPiece, { header, lines }: Decoded): PageRow {
    const name = this.#sql.runName.get(run);
    if (name === undefined) throw new Error(`the store has lost run ${run}`);
    const place = { task: chunk.task, run: name, firstLine: chunk.firstLine + index, position, count };
    if (!lines) {
      const gap = { run: name, firstSeq: seq, count, reason: 'corrupt', time: header.maxTime } as const;
      return { ...place, header: encodeGap(gap) };
    }
    const bytes = joinLines(name, seq, [{ lines, first: index, end: index + count }]);
    return { ...place, header: bytes.subarray(0, CHUNK_HEADER_BYTES), body: bytes.subarray(CHUNK_HEADER_BYTES) };
  }
}

interface Decoded {
  header: ChunkHeader;
  lines: Lines | undefined;
}
