import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import type { Store } from '../store/store.ts';
import { WOKEN_AT_ONCE } from '../watch.ts';
import { WakePace } from '../wake-pace.ts';

/** Tells whether a group has nothing from a position on, and how far that is known. */
interface Quiet {
  readonly end: number | undefined;
  isQuiet(group: string, position: number): boolean;
}

/**
 * Lets the readers of merged streams wait together: one wait at the store for all, and wakes at the pace of
 * `WakePace`. Readers of a group sleep on while others write.
 */
export class MergedWatch {
  readonly #store: Pick<Store, 'waitAll'>;
  readonly #tail: Quiet;
  readonly #pace: WakePace;
  readonly #waiting = new Set<MergedWatcher>();
  /** The furthest that any reader has seen: whoever waits below it need not wait. */
  #known = 0;
  #members = 0;
  #stop = new AbortController();
  #running = false;

  constructor(options: { store: Pick<Store, 'waitAll'>; tail: Quiet; wakeIntervalMs?: number }) {
    this.#store = options.store;
    this.#tail = options.tail;
    this.#pace = new WakePace(options.wakeIntervalMs);
  }

  /** What a reader waits on, until it calls `close` or `signal` aborts its wait. */
  open({ group, signal }: { group?: string | undefined; signal: AbortSignal }): MergedWatcher {
    this.#members++;
    return new MergedWatcher({
      group,
      signal,
      onWait: (watcher) => this.#add(watcher),
      onLeave: (watcher) => this.#waiting.delete(watcher),
      onClose: () => this.#closed(),
    });
  }

  #closed(): void {
    if (--this.#members > 0) return;
    this.#stop.abort();
    // Who comes next is served by another run: this one may still be on its way out.
    this.#stop = new AbortController();
    this.#running = false;
    this.#known = 0;
  }

  #add(watcher: MergedWatcher): void {
    if (watcher.position < this.#known && !this.#passes(watcher)) {
      watcher.settle();
      return;
    }
    this.#known = Math.max(this.#known, watcher.position);
    this.#waiting.add(watcher);
    if (this.#running) return;
    this.#running = true;
    void this.#run(this.#stop.signal);
  }

  /** Whether nothing of the watcher's group has come: then it is further on, and waits there. */
  #passes(watcher: MergedWatcher): boolean {
    const { group, position } = watcher;
    const { end } = this.#tail;
    if (group === undefined || end === undefined || !this.#tail.isQuiet(group, position)) return false;
    watcher.position = end;
    return true;
  }

  /** Waits and wakes for as long as somebody waits. */
  async #run(signal: AbortSignal): Promise<void> {
    try {
      while (this.#waiting.size > 0) {
        const past = this.#known;
        // Somebody who has seen more may have come after others, while nobody waited at the store: these are behind.
        this.#wakeBelow(past);
        if (this.#waiting.size === 0) break;
        await this.#store.waitAll(past, signal);
        const early = this.#pace.wait(performance.now());
        if (early > 0) await delay(early, undefined, { signal });
        const start = performance.now();
        await this.#wake(past, signal);
        this.#pace.woke(start, performance.now());
      }
      this.#running = false;
    } catch (error) {
      if (signal.aborted) return;
      this.#running = false;
      const waiting = [...this.#waiting];
      this.#waiting.clear();
      for (const watcher of waiting) watcher.settle(error);
    }
  }

  /** Wakes those for whom there may be something already. */
  #wakeBelow(past: number): void {
    for (const watcher of this.#waiting) if (watcher.position < past) this.#wakeOne(watcher);
  }

  /**
   * Wakes all who wait at `past` or below it; who came with a later place meanwhile waits on. Some at a time: who was
   * woken reads, writes and comes back, and then others run.
   */
  async #wake(past: number, signal: AbortSignal): Promise<void> {
    const behind = [...this.#waiting].filter(({ position }) => position <= past);
    for (let at = 0; at < behind.length || at === 0; at += WOKEN_AT_ONCE) {
      for (const watcher of behind.slice(at, at + WOKEN_AT_ONCE)) {
        if (this.#waiting.has(watcher)) this.#wakeOne(watcher);
      }
      await turn(undefined, { signal });
    }
  }

  /** But one of whose group nothing has come: that sleeps on, further on. */
  #wakeOne(watcher: MergedWatcher): void {
    if (this.#passes(watcher)) {
      this.#known = Math.max(this.#known, watcher.position);
      return;
    }
    this.#waiting.delete(watcher);
    watcher.settle();
  }
}

interface WatcherOptions {
  group: string | undefined;
  signal: AbortSignal;
  onWait: (watcher: MergedWatcher) => void;
  onLeave: (watcher: MergedWatcher) => void;
  onClose: () => void;
}

export class MergedWatcher {
  readonly group: string | undefined;
  /** Nothing of the reader's lies before it that was not handed out. */
  position = 0;
  readonly #options: WatcherOptions;
  readonly #onAbort = (): void => {
    this.#options.onLeave(this);
    this.settle(this.#options.signal.reason);
  };
  #waiting: PromiseWithResolvers<void> | undefined;
  #closed = false;

  constructor(options: WatcherOptions) {
    this.group = options.group;
    this.#options = options;
    // Once, not once a wait: there are many of them.
    options.signal.addEventListener('abort', this.#onAbort);
  }

  /**
   * Resolves with where to go on when the store's head is past that position and something of the group may have come,
   * at once if that is so; or when `wake` is called. May do so without need. Rejects with the signal's reason, or as the
   * store does. One wait at a time.
   */
  async wait(position: number): Promise<number> {
    this.#options.signal.throwIfAborted();
    this.position = position;
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    this.#options.onWait(this);
    await promise;
    return this.position;
  }

  /** Ends the wait, if there is one. */
  wake(): void {
    this.#options.onLeave(this);
    this.settle();
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
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    this.#options.onLeave(this);
    this.#options.onClose();
  }
}
