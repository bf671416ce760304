import type Database from 'better-sqlite3';
import {
  CHUNK_HEADER_BYTES,
  ChunkError,
  clipGap,
  CODEC_GAP,
  encodeGap,
  readStoredHeader,
  type ChunkHeader,
} from '../../shared/chunk.ts';
import { decodeStored } from './decode.ts';
import { joinLines } from './join.ts';
import { levelOf, MERGED_ENOUGH } from './merge-plan.ts';
import { clipPieces, decodePieces, placeOf, type Piece, type Place } from './pieces.ts';
import { headerOf } from './sqlite-page.ts';
import type { TaskState } from './sqlite-rows.ts';
import type { Totals } from './sqlite-totals.ts';

/** What is there of a chunk of which only the lines behind the first `lines` ones are to be kept. */
interface Cut {
  row: ChunkRow;
  lines: number;
  header: ChunkHeader | undefined;
  body: Buffer | undefined;
}

/** A chunk's row, without its body. */
export interface ChunkRow {
  position: number;
  firstLine: number;
  count: number;
  run: number;
  at: number;
  runs: number;
  header: Buffer;
}

/** A chunk or gap to be stored. */
export interface NewChunk {
  task: TaskState;
  firstLine: number;
  place: Place;
  /** Header and body. */
  bytes: Buffer;
  header: ChunkHeader;
  at: number;
  level: number;
}

const COLUMNS = 'position, first_line AS firstLine, count, run, at, runs, header';

/** The rows of chunks. Every change is counted at once: in the task's state, which the caller touches, and in the totals. */
export class Chunks {
  readonly #totals: Totals;
  readonly #sql;

  constructor(db: Database.Database, totals: Totals) {
    this.#totals = totals;
    this.#sql = {
      insert: db.prepare(
        `INSERT INTO chunk (position, task, first_line, run, count, min_time, max_time, at, level, runs, header, body)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ),
      insertMerged: db.prepare('INSERT INTO merged (position, last_position, pieces) VALUES (?, ?, ?)'),
      remove: db.prepare('DELETE FROM chunk WHERE position = ?'),
      setLevel: db.prepare('UPDATE chunk SET level = ? WHERE position = ?'),
      removeMerged: db.prepare('DELETE FROM merged WHERE position = ?'),
      row: db.prepare<[number, number], ChunkRow>(`SELECT ${COLUMNS} FROM chunk WHERE position = ? AND task = ?`),
      body: db.prepare<[number], Buffer>('SELECT body FROM chunk WHERE position = ?').pluck(),
      pieces: db.prepare<[number], Buffer>('SELECT pieces FROM merged WHERE position = ?').pluck(),
      merged: db.prepare<[number], { lastPosition: number; pieces?: Buffer }>(
        'SELECT last_position AS lastPosition, pieces FROM merged WHERE position = ?',
      ),
      runName: db.prepare<[number], string>('SELECT run FROM run WHERE id = ?').pluck(),
      ofTask: db.prepare<[number, number, number], ChunkRow>(
        `SELECT ${COLUMNS} FROM chunk WHERE task = ? AND first_line <= ? ORDER BY first_line LIMIT ?`,
      ),
      times: db.prepare<[number], { minTime: number | null; maxTime: number | null }>(
        'SELECT min(min_time) AS minTime, max(max_time) AS maxTime FROM chunk WHERE task = ?',
      ),
    };
  }

  /** The oldest chunks of a task that start at or before a line. */
  oldest(task: TaskState, throughLine: number, limit: number): ChunkRow[] {
    return this.#sql.ofTask.all(task.id, throughLine, limit);
  }

  row(task: TaskState, position: number): ChunkRow | undefined {
    return this.#sql.row.get(position, task.id);
  }

  /** One that was just appended. Answers its level. */
  append(chunk: Omit<NewChunk, 'level' | 'place'> & { run: number; position: number }): number {
    const { position, run, header } = chunk;
    const level = header.codec === CODEC_GAP ? MERGED_ENOUGH : levelOf(header);
    this.#insert({ ...chunk, level, place: { position, run, lastPosition: NaN, runs: 0 } });
    return level;
  }

  /** One that takes the place of others. */
  replace(chunk: NewChunk): void {
    this.#insert(chunk);
    const { position, lastPosition, pieces } = chunk.place;
    if (pieces) this.#sql.insertMerged.run(position, lastPosition, pieces);
  }

  #insert({ task, firstLine, bytes, header, at, level, place }: NewChunk): void {
    const gap = header.codec === CODEC_GAP;
    this.#sql.insert.run(
      place.position,
      task.id,
      firstLine,
      place.run,
      header.count,
      gap ? null : header.minTime,
      gap ? null : header.maxTime,
      at,
      level,
      place.runs,
      bytes.subarray(0, CHUNK_HEADER_BYTES),
      gap ? null : bytes.subarray(CHUNK_HEADER_BYTES),
    );
    this.#count(task, header, 1);
  }

  /** Answers its header, if that can be read; else nobody knows what it counted for. */
  remove(task: TaskState, row: ChunkRow): ChunkHeader | undefined {
    const header = headerOf(row);
    this.#sql.remove.run(row.position);
    if (row.runs > 0) this.#sql.removeMerged.run(row.position);
    if (header) this.#count(task, header, -1);
    else this.#totals.chunks--;
    return header;
  }

  setLevel(position: number, level: number): void {
    this.#sql.setLevel.run(level, position);
  }

  pieces(row: ChunkRow): Piece[] {
    if (row.runs > 0) return decodePieces(this.#sql.pieces.get(row.position) ?? Buffer.alloc(0));
    const { run, position, count } = row;
    return [{ run, seq: headerOf(row)?.firstSeq ?? 0, position, count }];
  }

  /** The position of a chunk's line with this index. Where nobody knows any more, that of its last one. */
  positionOf(row: ChunkRow, index: number): number {
    if (row.runs === 0) return row.position + index;
    const { lastPosition, pieces } = this.#sql.merged.get(row.position) ?? { lastPosition: row.position };
    if (index === row.count - 1 || pieces === undefined) return lastPosition;
    try {
      const [{ position }] = clipPieces(decodePieces(pieces), index);
      return position;
    } catch (error) {
      if (error instanceof ChunkError) return lastPosition;
      throw error;
    }
  }

  /**
   * Keeps of a chunk what is behind its first `lines` lines. What can't be read for that is a loss like one found by a
   * reader: a `corrupt` gap over exactly the lines that were to be kept. Answers the header of what was there.
   */
  cut(task: TaskState, row: ChunkRow, lines: number): ChunkHeader | undefined {
    const pieces = this.#piecesBehind(row, lines);
    const lost = pieces ? undefined : this.#sql.merged.get(row.position);
    const body = this.#sql.body.get(row.position);
    const header = this.remove(task, row);
    const kept = { task, firstLine: row.firstLine + lines, at: row.at };
    if (pieces === undefined) {
      this.#keepUnplaced(kept, lost ?? { lastPosition: row.position }, { row, lines, header, body });
      return header;
    }
    const [{ run, seq }] = pieces;
    if (header?.codec === CODEC_GAP) {
      this.#keep({ ...kept, pieces, bytes: clipGap(header, seq) });
      return header;
    }
    const bytes = this.#linesBehind({ row, lines, header, body }, { run, seq });
    if (bytes) this.#keep({ ...kept, pieces, bytes });
    else this.#keepGaps(kept, pieces, header?.maxTime ?? row.at);
    return header;
  }

  /** Undefined if nobody knows any more whose and where they are. */
  #piecesBehind(row: ChunkRow, lines: number): Piece[] | undefined {
    try {
      return clipPieces(this.pieces(row), lines);
    } catch (error) {
      if (error instanceof ChunkError) return undefined;
      throw error;
    }
  }

  /** A chunk of the lines, or undefined if they can't be read. */
  #linesBehind(
    { row, lines, header, body = Buffer.alloc(0) }: Cut,
    { run, seq }: { run: number; seq: number },
  ): Buffer | undefined {
    if (!header) return undefined;
    try {
      const decoded = decodeStored(header, { header: row.header, body });
      const range = { lines: decoded, first: lines, end: header.count };
      return joinLines({ run: this.#runName(run), firstSeq: seq }, [range]);
    } catch (error) {
      if (error instanceof ChunkError) return undefined;
      throw error;
    }
  }

  /**
   * Without a list of pieces that can be read, the lines stay readable by their numbers, as they were. By position they
   * stay missing: at that of the last one, the only place that is known to be of this chunk and no other.
   */
  #keepUnplaced(
    kept: { task: TaskState; firstLine: number; at: number },
    { lastPosition, pieces = Buffer.alloc(0) }: { lastPosition: number; pieces?: Buffer },
    cut: Cut,
  ): void {
    const { row, lines, header } = cut;
    const { run, runs } = row;
    const seq = (header?.firstSeq ?? 0) + lines;
    const count = row.count - lines;
    const time = header?.maxTime ?? row.at;
    const bytes =
      this.#linesBehind(cut, { run, seq }) ??
      encodeGap({ run: this.#runName(run), firstSeq: seq, count, reason: 'corrupt', time });
    const place = { position: lastPosition, run, lastPosition, runs, pieces };
    this.replace({ ...kept, bytes, place, header: readStoredHeader(bytes), level: MERGED_ENOUGH });
  }

  #keep({ pieces, ...chunk }: Omit<NewChunk, 'header' | 'level' | 'place'> & { pieces: readonly Piece[] }): void {
    const header = readStoredHeader(chunk.bytes);
    this.replace({ ...chunk, place: placeOf(pieces), header, level: MERGED_ENOUGH });
  }

  #keepGaps(kept: { task: TaskState; firstLine: number; at: number }, pieces: readonly Piece[], time: number): void {
    let { firstLine } = kept;
    for (const piece of pieces) {
      const { run, seq: firstSeq, count } = piece;
      const bytes = encodeGap({ run: this.#runName(run), firstSeq, count, reason: 'corrupt', time });
      this.#keep({ ...kept, firstLine, pieces: [piece], bytes });
      firstLine += count;
    }
  }

  #runName(run: number): string {
    const name = this.#sql.runName.get(run);
    if (name === undefined) throw new Error(`the store has lost run ${run}`);
    return name;
  }

  /** Dates the task by the chunks that are left. */
  redate(task: TaskState): void {
    Object.assign(task, this.#sql.times.get(task.id));
  }

  #count(task: TaskState, header: ChunkHeader, sign: 1 | -1): void {
    this.#totals.chunks += sign;
    if (header.codec === CODEC_GAP) {
      task.missing += sign * header.count;
      return;
    }
    const bytes = sign * (CHUNK_HEADER_BYTES + header.bodyBytes);
    this.#totals.bytes += bytes;
    task.storedBytes += bytes;
    task.lines += sign * header.count;
    task.textBytes += sign * header.textBytes;
    for (let pair = 0; pair < header.counts.length; pair++) task.counts[pair] += sign * header.counts[pair];
  }
}
