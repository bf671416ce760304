import { setTimeout as delay } from 'node:timers/promises';
import { pipelineOf, together } from '../store/pipeline-of.ts';
import type { PipelineRecord, Store } from '../store/store.ts';

type Source = Pick<Store, 'task' | 'pipeline' | 'change' | 'waitChange'>;

/**
 * Tells the readers of groups when a group ends. One wait at the store for all of them; each group is looked at once
 * for all its readers, one after the other, and the more time that takes the rarer it is done.
 */
export class GroupEnds {
  readonly #store: Source;
  readonly #intervalMs: number;
  readonly #groups = new Map<string, Group>();
  #stop: AbortController | undefined;

  constructor(options: { store: Source; intervalMs?: number }) {
    this.#store = options.store;
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS;
  }

  /** Calls `onNews` when the group has ended and that was not said yet, or when that can't be known; until `close`. */
  open(name: string, onNews: () => void): GroupEnd {
    const group = this.#groups.get(name) ?? new Group(name, this.#store);
    const end = new GroupEnd(group, {
      onNews,
      onClose: () => {
        if (group.ends.delete(end) && group.ends.size === 0) this.#drop(group);
      },
    });
    group.ends.add(end);
    if (!this.#groups.has(name)) this.#joined(group);
    return end;
  }

  #joined(group: Group): void {
    this.#groups.set(group.name, group);
    if (this.#stop === undefined) {
      this.#stop = new AbortController();
      void this.#run(this.#stop.signal);
    } else {
      group.look().catch((error: unknown) => this.#fail(group, error));
    }
  }

  #drop(group: Group): void {
    if (this.#groups.get(group.name) !== group) return;
    this.#groups.delete(group.name);
    if (this.#groups.size > 0) return;
    this.#stop?.abort();
    this.#stop = undefined;
  }

  /** Whoever reads the group hears of it; who comes later tries again. */
  #fail(group: Group, error: unknown): void {
    this.#drop(group);
    group.fail(error);
  }

  /** Looks at all groups whenever something has changed in the store. */
  async #run(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        // Asked for first: what changes while the groups are read is a change to come.
        const change = await this.#store.change();
        const since = performance.now();
        for (const group of this.#groups.values()) {
          await group.look();
          signal.throwIfAborted();
        }
        await delay(Math.max(this.#intervalMs, REST * (performance.now() - since)), undefined, { signal });
        await this.#store.waitChange(change, signal);
      }
    } catch (error) {
      if (signal.aborted) return;
      for (const group of [...this.#groups.values()]) this.#fail(group, error);
    }
  }
}

class Group {
  readonly name: string;
  readonly ends = new Set<GroupEnd>();
  /** As it was last looked at. */
  record: PipelineRecord | undefined;
  failure: { error: unknown } | undefined;
  readonly #store: Source;

  constructor(name: string, store: Source) {
    this.name = name;
    this.#store = store;
  }

  read(): Promise<PipelineRecord | undefined> {
    return groupRecord(this.#store, this.name);
  }

  async look(): Promise<void> {
    this.record = await this.read();
    for (const end of this.ends) end.looked();
  }

  fail(error: unknown): void {
    this.failure = { error };
    for (const end of this.ends) end.looked();
  }
}

/** One reader's: what it was told of its group's end. */
export class GroupEnd {
  readonly #group: Group;
  readonly #options: { onNews: () => void; onClose: () => void };
  #saidRuns = 0;

  constructor(group: Group, options: { onNews: () => void; onClose: () => void }) {
    this.#group = group;
    this.#options = options;
  }

  /**
   * The group as it was last looked at, if no run of it was open, and if there were more than when that was said. Throws
   * what kept the group from being looked at.
   */
  news(): PipelineRecord | undefined {
    const { record, failure } = this.#group;
    if (failure !== undefined) throw failure.error;
    return this.#ifNews(record);
  }

  said({ runs }: PipelineRecord): void {
    this.#saidRuns = runs;
  }

  /** Looks at the group now. */
  async read(): Promise<PipelineRecord | undefined> {
    return this.#ifNews(await this.#group.read());
  }

  looked(): void {
    const { record } = this.#group;
    // With a task that has left the group its runs have left: what is said next is of those that are there.
    if (record !== undefined) this.#saidRuns = Math.min(this.#saidRuns, record.runs);
    if (this.#group.failure !== undefined || this.news() !== undefined) this.#options.onNews();
  }

  close(): void {
    this.#options.onClose();
  }

  #ifNews(record: PipelineRecord | undefined): PipelineRecord | undefined {
    return record?.openRuns === 0 && record.runs > this.#saidRuns ? record : undefined;
  }
}

/** What the tasks of a group add up to; undefined if there are none. */
export async function groupRecord(
  store: Pick<Store, 'task' | 'pipeline'>,
  group: string,
): Promise<PipelineRecord | undefined> {
  const [pipeline, task] = await Promise.all([store.pipeline(group), store.task(group)]);
  const alone = task !== undefined && task.pipelineId === undefined ? pipelineOf(group, [task]) : undefined;
  return pipeline === undefined || alone === undefined ? (pipeline ?? alone) : together(pipeline, alone);
}

const INTERVAL_MS = 100;
/** So many times as long as the groups took to look at, they are left alone. */
const REST = 9;
