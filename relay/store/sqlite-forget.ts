import type Database from 'better-sqlite3';
import { CHUNK_HEADER_BYTES, CODEC_GAP } from '../../shared/chunk.ts';
import type { ChunkRow, Chunks } from './sqlite-chunks.ts';
import type { Rows, TaskState } from './sqlite-rows.ts';
import type { Totals } from './sqlite-totals.ts';
import type { Expired, ExpirePolicy, Trimmed } from './store.ts';

/** A step of forgetting: short beside a group of appends, so that they hardly wait. */
const STEP_CHUNKS = 128;
const STEP_MS = 5;
/** Tasks that one step looks at. */
const STEP_TASKS = 512;

/** Work that is done in steps, each in a transaction of its own. Answers undefined as long as there is more to do. */
export type Steps<Result> = () => Result | undefined;

interface Parts {
  rows: Rows;
  totals: Totals;
  chunks: Chunks;
}

/** Forgets lines: those that somebody names, and those that are too old or too many. */
export class Forgetting {
  readonly #parts: Parts;
  readonly #sql;

  constructor(db: Database.Database, parts: Parts) {
    this.#parts = parts;
    this.#sql = {
      tasks: db.prepare<[number, number], { id: number; task: string; wanted: number }>(
        `SELECT id, task, pinned = 0 AND next_line - 1 > trimmed_line AS wanted FROM task WHERE id > ?
           ORDER BY id LIMIT ?`,
      ),
      oldest: db.prepare<[number, number], ChunkRow & { task: string }>(
        `SELECT chunk.position, chunk.first_line AS firstLine, chunk.count, chunk.run, chunk.at, chunk.runs,
           chunk.header, task.task FROM chunk JOIN task ON task.id = chunk.task WHERE chunk.position > ?
           ORDER BY chunk.position LIMIT ?`,
      ),
      notLater: db.prepare<[number, number, number]>('UPDATE chunk SET at = ? WHERE task = ? AND at > ?'),
    };
  }

  trim(name: string, throughLine: number): Steps<Trimmed> {
    let lines = 0;
    return () => {
      const task = this.#parts.rows.task(name);
      if (!task) return { trimmedLine: 0, lines: 0 };
      const through = Math.min(throughLine, task.nextLine - 1);
      const chunks = this.#parts.chunks.oldest(task, through, STEP_CHUNKS);
      for (const chunk of chunks) lines += this.#forget(task, chunk, through).lines;
      if (chunks.length === STEP_CHUNKS) return undefined;
      // What is left is dated once, at the end: it takes a look at every chunk's times.
      this.#parts.chunks.redate(task);
      return { trimmedLine: task.trimmedLine, lines };
    };
  }

  expire(policy: ExpirePolicy, now: number): Steps<Expired> {
    const expired = new Expiry(policy, now);
    let afterTask: number | undefined = 0;
    let afterPosition: number | undefined = policy.maxBytes === undefined ? undefined : -1;
    return () => {
      if (afterTask !== undefined) afterTask = this.#sweep(expired, afterTask);
      else if (afterPosition !== undefined) afterPosition = this.#shrink(expired, afterPosition);
      else this.#redate(expired.undated);
      const over = afterTask === undefined && afterPosition === undefined && expired.undated.size === 0;
      return over ? expired.result : undefined;
    };
  }

  /** Looks at some tasks, what is too old or too much of each. Answers the one to go on behind. */
  #sweep(expired: Expiry, after: number): number | undefined {
    const { rows } = this.#parts;
    let left = STEP_CHUNKS;
    const tasks = this.#sql.tasks.all(after, STEP_TASKS);
    let last = after;
    for (const { id, task: name, wanted } of tasks) {
      const task = wanted === 1 ? rows.task(name) : undefined;
      if (task) {
        for (const chunk of this.#oldestOf(task)) {
          // The clock was put back since: what came before counts as of now, or it would be kept for ever.
          if (chunk.at > expired.now) this.#sql.notLater.run(expired.now, task.id, expired.now);
          if (left === 0 || !expired.isOver(task, chunk)) break;
          expired.count(task, this.#forget(task, chunk, Infinity));
          left--;
        }
        if (left === 0) return last;
      }
      last = id;
    }
    return tasks.length < STEP_TASKS ? undefined : last;
  }

  *#oldestOf(task: TaskState): Generator<ChunkRow> {
    // Mostly nothing is over, and one look says so.
    for (const limit of [1, STEP_CHUNKS]) yield* this.#parts.chunks.oldest(task, Infinity, limit);
  }

  /** The oldest chunks of all, as long as there is too much. */
  #shrink(expired: Expiry, after: number): number | undefined {
    const { rows, totals } = this.#parts;
    const oldest = this.#sql.oldest.all(after, STEP_CHUNKS);
    let last: number | undefined = after;
    for (const chunk of oldest) {
      if (totals.bytes <= (expired.policy.maxBytes ?? Infinity)) {
        last = undefined;
        break;
      }
      last = chunk.position;
      const task = rows.task(chunk.task);
      if (!task || task.pinned) continue;
      expired.count(task, this.#forget(task, chunk, Infinity));
    }
    return oldest.length < STEP_CHUNKS ? undefined : last;
  }

  /** Dates some tasks, each once: it takes a look at every chunk that is left of it. */
  #redate(undated: Set<string>): void {
    const { rows, chunks } = this.#parts;
    const start = performance.now();
    for (const name of undated) {
      undated.delete(name);
      const task = rows.task(name);
      if (task) {
        chunks.redate(task);
        rows.touch(task);
      }
      if (performance.now() - start > STEP_MS) return;
    }
  }

  /** Forgets what a task's oldest chunk holds at or below a line. Answers how much that is, gaps not counted. */
  #forget(task: TaskState, chunk: ChunkRow, throughLine: number): Forgotten {
    const { rows, chunks } = this.#parts;
    const lines = Math.min(chunk.count, throughLine - chunk.firstLine + 1);
    const position = chunks.positionOf(chunk, lines - 1);
    const header = lines < chunk.count ? chunks.cut(task, chunk, lines) : chunks.remove(task, chunk);
    task.trimmedLine = chunk.firstLine + lines - 1;
    task.trimmedPosition = Math.max(task.trimmedPosition, position);
    rows.touch(task);
    return header === undefined || header.codec === CODEC_GAP
      ? { lines: 0, bytes: 0 }
      : { lines, bytes: CHUNK_HEADER_BYTES + header.bodyBytes };
  }
}

interface Forgotten {
  lines: number;
  /** Of the chunk, which may have held more lines. */
  bytes: number;
}

/** What is too much, and what was done about it. */
class Expiry {
  readonly policy: ExpirePolicy;
  /** Tasks that lost chunks, and are to be dated by what is left when all is done. */
  readonly undated = new Set<string>();
  readonly result: Expired = { tasks: 0, chunks: 0, lines: 0, bytes: 0 };
  readonly now: number;
  readonly #tasks = new Set<number>();

  constructor(policy: ExpirePolicy, now: number) {
    this.policy = policy;
    this.now = now;
  }

  isOver(task: TaskState, chunk: ChunkRow): boolean {
    const { maxAgeMs = Infinity, maxTaskBytes = Infinity, maxTaskLines = Infinity } = this.policy;
    return chunk.at < this.now - maxAgeMs || task.storedBytes > maxTaskBytes || task.lines > maxTaskLines;
  }

  count(task: TaskState, { lines, bytes }: Forgotten): void {
    this.#tasks.add(task.id);
    this.undated.add(task.task);
    this.result.tasks = this.#tasks.size;
    this.result.chunks++;
    this.result.lines += lines;
    this.result.bytes += bytes;
  }
}
