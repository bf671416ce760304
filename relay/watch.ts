import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import type { RunRecord, Store, TaskHead, TaskRecord } from './store/store.ts';
import { WakePace } from './wake-pace.ts';

/**
 * Lets the readers of a task wait together: one wait at the store for all of them, and wakes at the pace of
 * `WakePace`. The first wake is immediate.
 */
export class Watch {
  readonly #store: Store;
  readonly #wakeIntervalMs: number | undefined;
  readonly #topics = new Map<string, Topic>();

  constructor(options: { store: Store; wakeIntervalMs?: number }) {
    this.#store = options.store;
    this.#wakeIntervalMs = options.wakeIntervalMs;
  }

  /** What a reader of `task` waits on, until it calls `close` or `signal` aborts its wait. */
  open(task: string, signal: AbortSignal): Watcher {
    let topic = this.#topics.get(task);
    if (topic === undefined) {
      topic = new Topic({ task, store: this.#store, pace: new WakePace(this.#wakeIntervalMs) });
      this.#topics.set(task, topic);
    }
    const opened = topic;
    opened.members++;
    return new Watcher(opened, signal, () => {
      if (--opened.members > 0) return;
      opened.stop();
      this.#topics.delete(task);
    });
  }
}

/** A place to wait behind: lines below `nextLine` and changes up to `revision` are known. */
export interface Past {
  nextLine: number;
  revision: number;
}

/** How a task ended: its record and its runs, in the order in which they were opened. */
export interface Ending {
  task: TaskRecord;
  runs: RunRecord[];
}

export class Watcher {
  past: Past = { nextLine: 0, revision: 0 };
  readonly #topic: Topic;
  readonly #signal: AbortSignal;
  readonly #onClose: () => void;
  readonly #onAbort = (): void => {
    this.#topic.waiting.delete(this);
    this.settle(this.#signal.reason);
  };
  #waiting: PromiseWithResolvers<void> | undefined;
  #closed = false;

  constructor(topic: Topic, signal: AbortSignal, onClose: () => void) {
    this.#topic = topic;
    this.#signal = signal;
    this.#onClose = onClose;
    // Once, not once a wait: there are many of them.
    signal.addEventListener('abort', this.#onAbort);
  }

  /**
   * Resolves when the task's head is past that place, at once if it already is; may do so without need. Rejects with
   * the signal's reason, or as the store does. One wait at a time.
   */
  wait(past: Past): Promise<void> {
    this.#signal.throwIfAborted();
    this.past = past;
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    this.#topic.add(this);
    return promise;
  }

  /** The task's head now, asked once for all who ask at the same time. */
  head(): Promise<TaskHead | undefined> {
    return this.#topic.head();
  }

  /** As `head`, what became of the task and its runs. */
  ending(): Promise<Ending | undefined> {
    return this.#topic.ending();
  }

  /** Ends the wait; with an error if one is given. */
  settle(...error: unknown[]): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (error.length > 0) waiting?.reject(error[0]);
    else waiting?.resolve();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#topic.waiting.delete(this);
    this.#onClose();
  }
}

/** One task and all who wait for it. */
class Topic {
  members = 0;
  readonly waiting = new Set<Watcher>();
  readonly #task: string;
  readonly #store: Store;
  readonly #pace: WakePace;
  readonly #stop = new AbortController();
  /** The furthest that any reader has seen: whoever waits below it need not wait. */
  #known: Past = { nextLine: 0, revision: -1 };
  #running = false;
  #head: Promise<TaskHead | undefined> | undefined;
  #ending: Promise<Ending | undefined> | undefined;

  constructor(options: { task: string; store: Store; pace: WakePace }) {
    this.#task = options.task;
    this.#store = options.store;
    this.#pace = options.pace;
  }

  add(watcher: Watcher): void {
    const { nextLine, revision } = watcher.past;
    const known = this.#known;
    if (nextLine < known.nextLine || revision < known.revision) {
      watcher.settle();
      return;
    }
    if (nextLine > known.nextLine || revision > known.revision) this.#known = watcher.past;
    this.waiting.add(watcher);
    if (!this.#running) {
      this.#running = true;
      void this.#run();
    }
  }

  head(): Promise<TaskHead | undefined> {
    this.#head ??= this.#store.head(this.#task).finally(() => (this.#head = undefined));
    return this.#head;
  }

  ending(): Promise<Ending | undefined> {
    this.#ending ??= this.#readEnding().finally(() => (this.#ending = undefined));
    return this.#ending;
  }

  stop(): void {
    this.#stop.abort();
  }

  async #readEnding(): Promise<Ending | undefined> {
    const [task, runs] = await Promise.all([this.#store.task(this.#task), this.#store.runs(this.#task)]);
    return task && { task, runs };
  }

  /** Waits and wakes for as long as somebody waits. */
  async #run(): Promise<void> {
    const { signal } = this.#stop;
    try {
      while (this.waiting.size > 0) {
        const past = this.#known;
        this.#wakeBelow(past);
        if (this.waiting.size === 0) break;
        await this.#store.wait(this.#task, past, signal);
        const early = this.#pace.wait(performance.now());
        if (early > 0) await delay(early, undefined, { signal });
        const start = performance.now();
        await this.#wake(past);
        this.#pace.woke(start, performance.now());
      }
      this.#running = false;
    } catch (error) {
      this.#running = false;
      const waiting = [...this.waiting];
      this.waiting.clear();
      for (const watcher of waiting) watcher.settle(error);
    }
  }

  /** Wakes those for whom there is something already: somebody who has seen more came after them, while nobody waited. */
  #wakeBelow({ nextLine, revision }: Past): void {
    for (const watcher of this.waiting) {
      if (watcher.past.nextLine >= nextLine && watcher.past.revision >= revision) continue;
      this.waiting.delete(watcher);
      watcher.settle();
    }
  }

  /**
   * Wakes all who wait at `past` or below it; who came with a later place meanwhile waits on. Some at a time: who was
   * woken reads, writes and comes back, and then others run.
   */
  async #wake(past: Past): Promise<void> {
    const behind = [...this.waiting].filter((watcher) => !isAhead(watcher.past, past));
    for (let at = 0; at < behind.length || at === 0; at += WOKEN_AT_ONCE) {
      for (const watcher of behind.slice(at, at + WOKEN_AT_ONCE)) {
        if (this.waiting.delete(watcher)) watcher.settle();
      }
      await turn();
    }
  }
}

function isAhead(one: Past, other: Past): boolean {
  return one.nextLine > other.nextLine || one.revision > other.revision;
}

/** About a millisecond's worth of writing to sockets. */
export const WOKEN_AT_ONCE = 128;
