import type { TaskState } from './sqlite-rows.ts';

/** A task whose small chunks are to be merged; `final`: few of them will do, since no more come for now. */
export interface ReadyTask {
  task: string;
  final: boolean;
}

/** Small chunks of a task that are worth merging; each line that waits costs a row. */
const ENOUGH = 64;
/** Of a task that is quiet for now, or has ended. */
const ENOUGH_QUIET = 8;
const ENOUGH_ENDED = 2;
/** How many tasks are watched. What the oldest ones of more have is merged when more comes, or after a restart. */
const MAX_TASKS = 65_536;

/**
 * Which tasks have small chunks to be merged. Only hints, in memory: what there is to merge stands in the store. The
 * order of the map is that of the last append, the quietest first.
 */
export class LooseTasks {
  readonly #growing = new Map<string, { chunks: number; tick: number }>();
  readonly #ready = new Map<string, boolean>();
  #tick = 0;

  /** A small chunk was appended. */
  grew({ task, loose }: TaskState): void {
    this.#growing.delete(task);
    if (loose >= ENOUGH) {
      if (!this.#ready.has(task)) this.#ready.set(task, false);
      return;
    }
    this.#growing.set(task, { chunks: loose, tick: this.#tick });
    if (this.#growing.size <= MAX_TASKS) return;
    for (const [oldest] of this.#growing) {
      this.#growing.delete(oldest);
      return;
    }
  }

  /** No run of the task is open. */
  ended({ task, loose }: TaskState): void {
    this.#growing.delete(task);
    if (loose >= ENOUGH_ENDED) this.#ready.set(task, true);
  }

  /** To be called at intervals: what did not grow during a whole one is quiet. */
  tick(): void {
    for (const [task, { chunks, tick }] of this.#growing) {
      if (tick === this.#tick) break;
      this.#growing.delete(task);
      if (chunks >= ENOUGH_QUIET) this.#ready.set(task, true);
    }
    this.#tick++;
  }

  get ready(): number {
    return this.#ready.size;
  }

  /** Takes up to `limit` tasks. */
  take(limit: number): ReadyTask[] {
    const taken: ReadyTask[] = [];
    for (const [task, final] of this.#ready) {
      if (taken.length === limit) break;
      this.#ready.delete(task);
      taken.push({ task, final });
    }
    return taken;
  }
}
