import type Database from 'better-sqlite3';
import { ChunkError, readStoredHeader } from '../../shared/chunk.ts';
import type { StoredBytes } from './decode.ts';
import { LEVELS, MERGED_ENOUGH, type Mergeable } from './merge-plan.ts';
import { decodePieces, type Piece } from './pieces.ts';

/** A task, as far as merging its chunks goes. */
export interface MergeTask {
  id: number;
  task: string;
  looseFrom: number;
  nextLine: number;
}

export interface MergeRow extends Mergeable {
  run: number;
  runs: number;
  /** Of a small one, which was read with its row. */
  bytes?: StoredBytes;
}

/** Chunks that are looked at together. */
const MAX_ROWS = 1024;
/** Chunks before the loose ones, which may be merged with what becomes of those. */
const MAX_ROWS_BEFORE = 256;
/** Bodies up to this, in bytes, are read with their rows: mostly they lie on the same page. */
const SMALL_BODY_BYTES = 512;
/** Tasks that a sweep passes over at once. */
const SWEEP_ROWS = 4096;

const COLUMNS = `chunk.position, chunk.first_line AS firstLine, chunk.count, chunk.at, chunk.level, chunk.run,
  chunk.runs, chunk.header, merged.last_position AS lastPosition,
  CASE WHEN length(chunk.body) <= ${SMALL_BODY_BYTES} THEN chunk.body END AS body`;
const TABLES = 'chunk LEFT JOIN merged ON chunk.runs > 0 AND merged.position = chunk.position';

interface Row extends Omit<MergeRow, 'textBytes' | 'rawBytes' | 'lastPosition' | 'bytes'> {
  header: Buffer;
  body: Buffer | null;
  lastPosition: number | null;
}

/** What merging reads of the store. */
export class MergeReads {
  readonly #db: Database.Database;
  readonly #sql;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#sql = {
      task: db.prepare<[string], MergeTask>(
        'SELECT id, task, loose_from AS looseFrom, next_line AS nextLine FROM task WHERE task = ?',
      ),
      tasks: db.prepare<[number, number], { id: number; task: string; loose: number }>(
        'SELECT id, task, loose FROM task WHERE id > ? ORDER BY id LIMIT ?',
      ),
      before: db.prepare<[number, number, number], Row>(
        `SELECT ${COLUMNS} FROM ${TABLES} WHERE chunk.task = ? AND chunk.first_line < ?
           ORDER BY chunk.first_line DESC LIMIT ?`,
      ),
      from: db.prepare<[number, number, number], Row>(
        `SELECT ${COLUMNS} FROM ${TABLES} WHERE chunk.task = ? AND chunk.first_line >= ?
           ORDER BY chunk.first_line LIMIT ?`,
      ),
      bytes: db.prepare<[number, number, number], StoredBytes>(
        'SELECT header, body FROM chunk WHERE position = ? AND first_line = ? AND count = ?',
      ),
      pieces: db.prepare<[number], Buffer>('SELECT pieces FROM merged WHERE position = ?').pluck(),
      runName: db.prepare<[number], string>('SELECT run FROM run WHERE id = ?').pluck(),
    };
  }

  task(task: string): MergeTask | undefined {
    return this.#sql.task.get(task);
  }

  /** Some tasks behind the one with that number, and the one to go on behind: all of them, or those with loose chunks. */
  tasks({ after, force }: { after: number; force: boolean }, limit: number): { tasks: string[]; after?: number } {
    const tasks: string[] = [];
    let last = after;
    const rows = this.#sql.tasks.all(after, SWEEP_ROWS);
    for (const { id, task, loose } of rows) {
      if (tasks.length === limit) return { tasks, after: last };
      if (force || loose >= 2) tasks.push(task);
      last = id;
    }
    return rows.length < SWEEP_ROWS ? { tasks } : { tasks, after: last };
  }

  /** A task's loose chunks, and before them those that are not merged enough yet. */
  around(task: MergeTask): MergeRow[] {
    return this.#db.transaction(() => {
      const rows = this.#sql.from.all(task.id, task.looseFrom, MAX_ROWS);
      for (const row of this.#sql.before.iterate(task.id, task.looseFrom, MAX_ROWS_BEFORE)) {
        if (row.level >= LEVELS) break;
        rows.unshift(row);
      }
      return rows.map(toMergeRow);
    })();
  }

  /** A task's chunks that start at a line or behind it, up to a limit. */
  from(task: MergeTask, line: number): MergeRow[] {
    return this.#sql.from.all(task.id, line, MAX_ROWS).map(toMergeRow);
  }

  /** Header and body, or undefined if the chunk is not there any more. */
  bytes({ position, firstLine, count, bytes }: MergeRow): StoredBytes | undefined {
    // Lines never change, and whoever swaps looks whether they are there still.
    return bytes ?? this.#sql.bytes.get(position, firstLine, count);
  }

  pieces({ position, run, runs, count }: MergeRow, firstSeq: number): Piece[] {
    if (runs === 0) return [{ run, seq: firstSeq, position, count }];
    return decodePieces(this.#sql.pieces.get(position) ?? Buffer.alloc(0));
  }

  runName(run: number): string {
    const name = this.#sql.runName.get(run);
    if (name === undefined) throw new Error(`the store has lost run ${run}`);
    return name;
  }
}

function toMergeRow({ header, body, lastPosition, ...row }: Row): MergeRow {
  const known = {
    ...row,
    lastPosition: lastPosition ?? row.position + row.count - 1,
    ...(body && { bytes: { header, body } }),
  };
  try {
    const { textBytes, rawBytes } = readStoredHeader(header);
    return { ...known, textBytes, rawBytes };
  } catch (error) {
    if (!(error instanceof ChunkError)) throw error;
    return { ...known, level: MERGED_ENOUGH, textBytes: 0, rawBytes: 0 };
  }
}
