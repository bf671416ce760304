import { readStoredHeader } from '../../shared/chunk.ts';
import type { Place } from './pieces.ts';
import type { Chunks } from './sqlite-chunks.ts';
import type { Rows, TaskState } from './sqlite-rows.ts';

/** Chunks that are to become one, and that one. */
export interface Swap {
  task: string;
  /** In the order of their lines, as they were when they were read. */
  old: { position: number; firstLine: number; count: number }[];
  level: number;
  /** When it was taken in, ms: the last of the old ones. */
  at: number;
  /** What takes their place; absent: they can't be merged, and are given the level, to be left alone. */
  merged?: { bytes: Uint8Array; place: Place };
}

/** A task whose chunks were looked at: how many of them were loose, all below `nextLine`. */
export interface Considered {
  task: string;
  loose: number;
  nextLine: number;
}

/** Puts merged chunks into the place of those that they were made of. Within a transaction, as all of the ledger. */
export class Swaps {
  readonly #rows: Rows;
  readonly #chunks: Chunks;

  constructor({ rows, chunks }: { rows: Rows; chunks: Chunks }) {
    this.#rows = rows;
    this.#chunks = chunks;
  }

  /**
   * Compares and swaps. False if one of the old chunks is not there any more: it was trimmed, or merged by another
   * handle. Lines never change, so a chunk with the same lines holds the same.
   */
  swap({ task: name, old, level, at, merged }: Swap): boolean {
    const task = this.#rows.task(name);
    if (!task) return false;
    const rows = old.map(({ position }) => this.#chunks.row(task, position));
    const same = rows.every((row, i) => row?.firstLine === old[i].firstLine && row.count === old[i].count);
    if (!same) return false;
    if (!merged) {
      for (const { position } of old) this.#chunks.setLevel(position, level);
      return true;
    }
    for (const row of rows) if (row) this.#chunks.remove(task, row);
    const bytes = Buffer.from(merged.bytes.buffer, merged.bytes.byteOffset, merged.bytes.length);
    const { firstLine } = old[0];
    const header = readStoredHeader(bytes);
    this.#chunks.replace({ task, firstLine, place: merged.place, bytes, header, at, level });
    this.#rows.touch(task);
    return true;
  }

  /** What was looked at is no longer loose; what came meanwhile is. */
  considered({ task: name, loose, nextLine }: Considered): TaskState | undefined {
    const task = this.#rows.task(name);
    if (!task) return undefined;
    // What was trimmed before anybody looked at it is counted still: there are no more than lines that came since.
    task.loose = Math.max(0, Math.min(task.loose - loose, task.nextLine - nextLine));
    task.looseFrom = nextLine;
    this.#rows.touch(task);
    return task;
  }
}
