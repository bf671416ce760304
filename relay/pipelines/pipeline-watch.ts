import PQueue from 'p-queue';
import { setTimeout as delay } from 'node:timers/promises';
import type { Store } from '../store/store.ts';
import { readSnapshot, type PipelineSnapshot, type SnapshotStore } from './snapshot.ts';

/**
 * Follows pipelines: whenever one of their tasks has changed, all who follow the pipeline get the same snapshot of it,
 * read once. What changes within `intervalMs` is one change; who is slow gets the newest.
 */
export class PipelineWatch {
  readonly #store: WatchedStore;
  readonly #intervalMs: number;
  readonly #pipelines = new Map<string, Followed>();
  /** Any change in the store has all of them looked at, and others want to read as well. */
  readonly #reads = new PQueue({ concurrency: READS_AT_ONCE });

  constructor({ store, intervalMs = INTERVAL_MS }: { store: WatchedStore; intervalMs?: number }) {
    this.#store = store;
    this.#intervalMs = intervalMs;
  }

  /** How many pipelines are followed. */
  get size(): number {
    return this.#pipelines.size;
  }

  /**
   * Snapshots of a group (see `groupOf`), which need not exist: as it is, and then as it is after every change. Never
   * ends; rejects with the signal's reason when that aborts, or as the store does.
   */
  async *follow(group: string, signal: AbortSignal): AsyncGenerator<PipelineSnapshot, never, undefined> {
    signal.throwIfAborted();
    const followed = this.#pipelines.get(group) ?? this.#start(group);
    followed.members++;
    let seen: PipelineSnapshot | undefined;
    try {
      for (;;) {
        seen = await followed.after(seen, signal);
        yield seen;
      }
    } finally {
      if (--followed.members === 0) this.#end(group, followed);
    }
  }

  #start(group: string): Followed {
    const followed = new Followed();
    this.#pipelines.set(group, followed);
    this.#run(group, followed).catch((error: unknown) => {
      followed.fail(error);
      this.#end(group, followed);
    });
    return followed;
  }

  #end(group: string, followed: Followed): void {
    followed.stop();
    if (this.#pipelines.get(group) === followed) this.#pipelines.delete(group);
  }

  async #run(group: string, followed: Followed): Promise<never> {
    const { signal } = followed;
    for (;;) {
      // Asked for first: what changes while the rest is read is a change to come.
      const change = await this.#store.change();
      const snapshot = await this.#reads.add(() => readSnapshot(this.#store, group), { signal });
      followed.take(snapshot);
      const readAt = performance.now();
      await this.#store.waitChange(change, signal);
      const early = readAt + this.#intervalMs - performance.now();
      if (early > 0) await delay(early, undefined, { signal });
    }
  }
}

type WatchedStore = SnapshotStore & Pick<Store, 'change' | 'waitChange'>;

/** One pipeline that somebody follows. */
class Followed {
  members = 0;
  readonly #stop = new AbortController();
  #snapshot: PipelineSnapshot | undefined;
  #failure: { error: unknown } | undefined;
  readonly #waiting = new Set<() => void>();

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Resolves with another snapshot than this one, when there is one. */
  async after(seen: PipelineSnapshot | undefined, signal: AbortSignal): Promise<PipelineSnapshot> {
    signal.throwIfAborted();
    for (;;) {
      if (this.#snapshot !== undefined && this.#snapshot !== seen) return this.#snapshot;
      if (this.#failure !== undefined) throw this.#failure.error;
      await this.#news(signal);
    }
  }

  take(snapshot: PipelineSnapshot): void {
    if (this.#snapshot !== undefined && same(this.#snapshot, snapshot)) return;
    this.#snapshot = snapshot;
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure = { error };
    this.#wake();
  }

  stop(): void {
    this.#stop.abort();
  }

  #news(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onNews = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.delete(onNews);
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(onNews);
    });
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}

/** Whether nothing has changed but what is counted, which no change tells of. */
function same(one: PipelineSnapshot, other: PipelineSnapshot): boolean {
  return (
    one.leftOut === other.leftOut &&
    one.pipeline?.openRuns === other.pipeline?.openRuns &&
    one.tasks.length === other.tasks.length &&
    one.tasks.every(({ task, revision }, at) => task === other.tasks[at].task && revision === other.tasks[at].revision)
  );
}

const INTERVAL_MS = 100;
const READS_AT_ONCE = 2;
