import type Database from 'better-sqlite3';
import { CHUNK_HEADER_BYTES, encodeGap } from '../../shared/chunk.ts';
import { joinLines } from './join.ts';
import { MAX_POSITION_SPAN } from './merge-plan.ts';
import { headerOf, type PageRow } from './sqlite-page.ts';
import { MergedChunks, type MergedChunk, type MergedRow, type PlacedPiece } from './sqlite-merged.ts';
import type { Wants } from './store.ts';
import { wantsBody } from './wants.ts';

/** A chunk that was appended as it is, or a piece of a merged one. */
export type Entry = PlainRow | MergedPiece;

interface PlainRow extends PageRow {
  kind: 'plain';
}

interface MergedPiece {
  kind: 'piece';
  chunk: MergedChunk;
  piece: PlacedPiece;
  position: number;
}

/** The group of this name, and those of its tasks that are wanted. */
export interface Group {
  name: string;
  tasks: ReadonlySet<string>;
}

export interface WalkedRows {
  rows: PageRow[];
  nextPosition: number;
}

/** What one read returns at most. */
export interface PositionLimits {
  /** Of bodies, as they are stored, and as they are before compression. */
  maxBytes: number;
  maxRawBytes: number;
  maxChunks: number;
  wants?: Wants;
}

/** Positions that are looked at together, the first if single lines of many tasks lie there: none of them twice. */
const WINDOWS = [4096, 65_536];
/** Entries of a window that are worth a read. */
const ENOUGH_ENTRIES = 256;
const MAX_RUN_NAMES = 8192;
/** Merged chunks that one read decodes, by their bodies before compression. */
const MAX_DECODED_BYTES = 4 * 1024 * 1024;

/**
 * Reads the whole store in the order of positions. Merged chunks are handed out piece by piece, since other tasks'
 * lines lie between their pieces.
 */
export class PositionReads {
  readonly #merged: MergedChunks;
  /** Of runs by their rows; they never change. */
  readonly #runNames = new Map<number, string>();
  readonly #sql;

  constructor(db: Database.Database) {
    this.#merged = new MergedChunks(db);
    const plain = `SELECT 'plain' AS kind, chunk.position, chunk.first_line AS firstLine, chunk.count, chunk.header,
      task.task, run.run FROM chunk JOIN task ON task.id = chunk.task JOIN run ON run.id = chunk.run`;
    this.#sql = {
      plain: db.prepare<[number, number, number], PlainRow>(
        `${plain} WHERE chunk.runs = 0 AND chunk.position >= ? AND chunk.position < ?
           ORDER BY chunk.position LIMIT ?`,
      ),
      // In the order of positions, whatever the index of pipelines would offer.
      plainOfGroup: db.prepare<[number, number, string, string, number], PlainRow>(
        `${plain.replaceAll(' JOIN ', ' CROSS JOIN ')} WHERE chunk.runs = 0 AND chunk.position >= ?
           AND chunk.position < ? AND (task.pipeline = ? OR (task.pipeline IS NULL AND task.task = ?))
           ORDER BY chunk.position LIMIT ?`,
      ),
      // No plain chunk reaches over the beginning of another chunk.
      holder: db.prepare<[number], PlainRow & { runs: number }>(
        `${plain.replace('chunk.count,', 'chunk.count, chunk.runs,')} WHERE chunk.position < ?
           ORDER BY chunk.position DESC LIMIT 1`,
      ),
      merged: db.prepare<[number, number, number], MergedRow>(
        `SELECT merged.position, chunk.first_line AS firstLine, chunk.count, task.task FROM merged
           JOIN chunk ON chunk.position = merged.position JOIN task ON task.id = chunk.task
           WHERE merged.last_position >= ? AND merged.last_position < ? AND merged.position < ?`,
      ),
      next: db.prepare<[number], number | null>('SELECT min(position) FROM chunk WHERE position >= ?').pluck(),
      head: db.prepare<[], number>('SELECT next_position FROM store').pluck(),
      body: db.prepare<[number], Buffer>('SELECT body FROM chunk WHERE position = ?').pluck(),
      runName: db.prepare<[number], string>('SELECT run FROM run WHERE id = ?').pluck(),
    };
  }

  /** Within one read transaction. Answers less than there is where it would take too long; nothing only at the head. */
  read(position: number, limits: PositionLimits): PageRow[] {
    return this.walk(position, limits).rows;
  }

  /** As `read`, and how far it looked. */
  walk(position: number, limits: PositionLimits): WalkedRows {
    const head = this.head();
    for (let from = Math.max(0, position); from < head;) {
      this.begin(from);
      let entries: Entry[] = [];
      for (const window of WINDOWS) {
        entries = this.#entries(from, from + window, limits.maxChunks);
        if (entries.length >= ENOUGH_ENTRIES) break;
      }
      if (entries.length > 0) {
        const rows = this.rows(entries, limits);
        const last = rows[rows.length - 1];
        return { rows, nextPosition: last.position + last.count };
      }
      from = this.#nextFrom(from) ?? head;
    }
    return { rows: [], nextPosition: Math.max(position, head) };
  }

  head(): number {
    return this.#sql.head.get() ?? 0;
  }

  /** To be called before each read: from which position on it reads. */
  begin(from: number): void {
    this.#merged.begin(from);
  }

  /** What lies of a group's tasks in [from, to), in order, the first perhaps from a little before. */
  ofGroup(only: Group, range: { from: number; to: number; limit: number }): Entry[] {
    return this.#entries(range.from, range.to, range.limit, only);
  }

  /** The first pieces of a merged chunk that reach to a position or behind it. */
  pieces(row: MergedRow, { from, most }: { from: number; most: number }): MergedPiece[] {
    const chunk = this.#merged.get(row);
    const first = firstBehind(chunk.pieces, from);
    return chunk.pieces
      .slice(first, first + most)
      .map((piece) => ({ kind: 'piece', chunk, piece, position: piece.position }));
  }

  /** The next position that is taken, where a whole window is not. */
  #nextFrom(from: number): number | undefined {
    let next = this.#sql.next.get(from) ?? Infinity;
    for (const row of this.#sql.merged.iterate(from, from + MAX_POSITION_SPAN, from)) {
      const { pieces } = this.#merged.get(row);
      const piece = pieces.at(firstBehind(pieces, from));
      if (piece) next = Math.min(next, piece.position);
    }
    return next === Infinity ? undefined : next;
  }

  /** What lies in [from, to), in order, the first perhaps from a little before. */
  #entries(from: number, to: number, limit: number, only?: Group): Entry[] {
    const entries: Entry[] = only
      ? this.#sql.plainOfGroup.all(from, to, only.name, only.name, limit)
      : this.#sql.plain.all(from, to, limit);
    const isWanted = ({ task }: { task: string }): boolean => only?.tasks.has(task) !== false;
    const holder = this.#sql.holder.get(from);
    if (holder?.runs === 0 && holder.position + holder.count > from && isWanted(holder)) entries.unshift(holder);
    for (const row of this.#sql.merged.iterate(from, to + MAX_POSITION_SPAN, to)) {
      if (!isWanted(row)) continue;
      const chunk = this.#merged.get(row);
      const { pieces } = chunk;
      for (let at = firstBehind(pieces, from); at < pieces.length && pieces[at].position < to; at++) {
        entries.push({ kind: 'piece', chunk, piece: pieces[at], position: pieces[at].position });
      }
    }
    return entries.sort((a, b) => a.position - b.position).slice(0, limit);
  }

  /** As many of the entries as one read returns, the first one in any case. */
  rows(
    entries: readonly (Entry | (PageRow & { kind: 'trimmed' }))[],
    { maxBytes, maxRawBytes, wants }: PositionLimits,
  ): PageRow[] {
    const rows: PageRow[] = [];
    let bytes = 0;
    let rawBytes = 0;
    let decodedBytes = 0;
    for (const entry of entries) {
      let row: PageRow;
      if (entry.kind !== 'piece') {
        const { kind: _, ...plain } = entry;
        row = plain;
      } else {
        if (decodedBytes > MAX_DECODED_BYTES && entry.chunk.lines === undefined) break;
        decodedBytes += this.#merged.decode(entry.chunk);
        row = this.#pieceRow(entry);
      }
      const header = headerOf(row);
      const wanted = header !== undefined && wantsBody(wants, header);
      bytes += wanted ? header.bodyBytes : 0;
      rawBytes += wanted ? header.rawBytes : 0;
      if (wanted && (bytes > maxBytes || rawBytes > maxRawBytes) && rows.length > 0) break;
      if (!wanted) delete row.body;
      else row.body ??= this.#sql.body.get(row.position) ?? Buffer.alloc(0);
      rows.push(row);
    }
    return rows;
  }

  /** The piece as a chunk of its own. Where the merged one can't be read: a `corrupt` gap. */
  #pieceRow({ chunk, piece: { run, seq, position, index, count } }: MergedPiece): PageRow {
    const name = this.#runName(run);
    const place = { task: chunk.task, run: name, firstLine: chunk.firstLine + index, position, count };
    const { lines } = chunk;
    if (!lines || index + count > lines.count) {
      const gap = { run: name, firstSeq: seq, count, reason: 'corrupt', time: chunk.time } as const;
      return { ...place, header: encodeGap(gap) };
    }
    const bytes = joinLines({ run: name, firstSeq: seq, plain: true }, [{ lines, first: index, end: index + count }]);
    return { ...place, header: bytes.subarray(0, CHUNK_HEADER_BYTES), body: bytes.subarray(CHUNK_HEADER_BYTES) };
  }

  #runName(run: number): string {
    const known = this.#runNames.get(run) ?? this.#sql.runName.get(run);
    if (known === undefined) throw new Error(`the store has lost run ${run}`);
    if (this.#runNames.size >= MAX_RUN_NAMES) this.#runNames.clear();
    this.#runNames.set(run, known);
    return known;
  }
}

/** The first piece that reaches to a position or behind it; the number of pieces if there is none. */
function firstBehind(pieces: readonly PlacedPiece[], from: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pieces[middle].position + pieces[middle].count > from) high = middle;
    else low = middle + 1;
  }
  return low;
}
