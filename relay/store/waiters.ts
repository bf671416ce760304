import { StoreError } from './store.ts';

/** How far a task is, as far as it is known here. Both numbers only grow. */
export interface KnownHead {
  nextLine: number;
  revision: number;
}

/** How far the whole store is. Both numbers only grow. */
export interface Levels {
  nextPosition: number;
  change: number;
}

/** What the engine says when asked: heads in the order of the tasks, undefined for one that does not exist. */
export type LookUp = (tasks: string[]) => Promise<{ heads: (KnownHead | undefined)[] } & Levels>;

interface Waiter<Past> {
  past: Past;
  resolve: () => void;
  reject: (error: Error) => void;
  signal: AbortSignal;
  onAbort: () => void;
}

interface Watch extends KnownHead {
  /** Whether the head was ever looked up or told since `forget`. */
  known: boolean;
  exists: boolean;
  waiters: Set<Waiter<KnownHead>>;
}

/** One number of the whole store, and who waits for it. */
interface Level {
  reached: number;
  waiters: Set<Waiter<number>>;
}

/** Heads remembered of tasks that nobody waits for. */
const MAX_IDLE = 4096;

/**
 * Who waits for what. Level-triggered: a waiter is compared with what is known, and what is not known is looked up
 * once for all waiters of the moment. Waking is put off to the next turn of the event loop, so that whoever made the
 * lines (ingest, which fills a cache) is served before whoever reads them.
 *
 * Own commits are told by `advance`. What other handles commit is noticed elsewhere and told by `forget`.
 */
export class Waiters {
  /** Called when someone waits and nobody did. */
  onFirst: () => void = () => undefined;
  readonly #lookUp: LookUp;
  readonly #watches = new Map<string, Watch>();
  readonly #nextPosition: Level = { reached: -1, waiters: new Set() };
  readonly #change: Level = { reached: -1, waiters: new Set() };
  /** Whether both levels were looked up since `forget`. */
  #levelsKnown = false;
  /** Counts `forget`. */
  #age = 0;
  #count = 0;
  readonly #unknown = new Set<string>();
  readonly #ready = new Set<Watch>();
  readonly #readyLevels = new Set<Level>();
  #wake: NodeJS.Immediate | undefined;
  #look: NodeJS.Immediate | undefined;
  #closed: StoreError | undefined;

  constructor(lookUp: LookUp) {
    this.#lookUp = lookUp;
  }

  get count(): number {
    return this.#count;
  }

  wait(task: string, past: KnownHead, signal: AbortSignal): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    const watch = this.#watch(task);
    if (isPast(watch, past) && !signal.aborted) return Promise.resolve();
    if (!watch.known) this.#ask(task);
    return this.#add(watch.waiters, past, signal);
  }

  waitAll(nextPosition: number, signal: AbortSignal): Promise<void> {
    return this.#waitLevel(this.#nextPosition, nextPosition, signal);
  }

  waitChange(past: number, signal: AbortSignal): Promise<void> {
    return this.#waitLevel(this.#change, past, signal);
  }

  #waitLevel(level: Level, past: number, signal: AbortSignal): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (level.reached > past && !signal.aborted) return Promise.resolve();
    if (!this.#levelsKnown) this.#ask();
    return this.#add(level.waiters, past, signal);
  }

  /** A task's head is at least this. Tasks that nobody asked for are not remembered. */
  advance(task: string, head: Partial<KnownHead>): void {
    const watch = this.#watches.get(task);
    if (!watch) return;
    watch.exists = true;
    watch.nextLine = Math.max(watch.nextLine, head.nextLine ?? 0);
    watch.revision = Math.max(watch.revision, head.revision ?? 0);
    if (watch.waiters.size === 0) return;
    this.#ready.add(watch);
    this.#schedule();
  }

  /** The whole store is at least this far. */
  advanceAll({ nextPosition, change }: Levels): void {
    this.#advanceLevel(this.#nextPosition, nextPosition);
    this.#advanceLevel(this.#change, change);
  }

  #advanceLevel(level: Level, reached: number): void {
    if (reached <= level.reached) return;
    level.reached = reached;
    if (level.waiters.size === 0) return;
    this.#readyLevels.add(level);
    this.#schedule();
  }

  /** Another handle has committed: what is known may be too little. Looks up all that is waited for. */
  forget(): void {
    this.#age++;
    this.#levelsKnown = false;
    for (const [task, watch] of this.#watches) {
      watch.known = false;
      if (watch.waiters.size > 0) this.#ask(task);
    }
    if (this.#nextPosition.waiters.size + this.#change.waiters.size > 0) this.#ask();
  }

  /** Rejects all waiters, now and later. */
  close(error: StoreError): void {
    this.#closed = error;
    clearImmediate(this.#wake);
    clearImmediate(this.#look);
    for (const watch of this.#watches.values()) this.#rejectAll(watch.waiters, error);
    this.#rejectLevels(error);
    this.#watches.clear();
  }

  #watch(task: string): Watch {
    let watch = this.#watches.get(task);
    if (watch) {
      // The map's order is that of use.
      this.#watches.delete(task);
    } else {
      this.#evict();
      watch = { nextLine: 0, revision: 0, known: false, exists: false, waiters: new Set() };
    }
    this.#watches.set(task, watch);
    return watch;
  }

  /** Makes room for one more; what is waited for stays, but moves behind what is not. */
  #evict(): void {
    if (this.#watches.size < MAX_IDLE + this.#count) return;
    for (const [task, watch] of this.#watches) {
      this.#watches.delete(task);
      if (watch.waiters.size === 0) return;
      this.#watches.set(task, watch);
    }
  }

  #add<Past>(waiters: Set<Waiter<Past>>, past: Past, signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const waiter: Waiter<Past> = {
        past,
        resolve,
        reject,
        signal,
        onAbort: () => {
          this.#remove(waiters, waiter);
          reject(signal.reason as Error);
        },
      };
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      signal.addEventListener('abort', waiter.onAbort, { once: true });
      waiters.add(waiter);
      if (++this.#count === 1) this.onFirst();
    });
  }

  #remove<Past>(waiters: Set<Waiter<Past>>, waiter: Waiter<Past>): void {
    waiter.signal.removeEventListener('abort', waiter.onAbort);
    waiters.delete(waiter);
    this.#count--;
  }

  #rejectAll<Past>(waiters: Set<Waiter<Past>>, error: Error): void {
    for (const waiter of waiters) {
      this.#remove(waiters, waiter);
      waiter.reject(error);
    }
  }

  #rejectLevels(error: Error): void {
    for (const { waiters } of [this.#nextPosition, this.#change]) this.#rejectAll(waiters, error);
  }

  #schedule(): void {
    this.#wake ??= setImmediate(() => {
      this.#wake = undefined;
      for (const watch of this.#ready) {
        for (const waiter of watch.waiters) if (isPast(watch, waiter.past)) this.#resolve(watch.waiters, waiter);
      }
      this.#ready.clear();
      for (const { reached, waiters } of this.#readyLevels) {
        for (const waiter of waiters) if (reached > waiter.past) this.#resolve(waiters, waiter);
      }
      this.#readyLevels.clear();
    });
  }

  #resolve<Past>(waiters: Set<Waiter<Past>>, waiter: Waiter<Past>): void {
    this.#remove(waiters, waiter);
    waiter.resolve();
  }

  /** Every look-up also tells how far the store is. */
  #ask(task?: string): void {
    if (task !== undefined) this.#unknown.add(task);
    this.#look ??= setImmediate(() => {
      this.#look = undefined;
      const tasks = [...this.#unknown];
      const age = this.#age;
      this.#unknown.clear();
      this.#lookUp(tasks).then(
        ({ heads, ...levels }) => this.#learn(tasks, heads, { ...levels, current: age === this.#age }),
        (error: unknown) => this.#fail(tasks, error as Error),
      );
    });
  }

  /** `current`: nothing was forgotten since the question. What was is asked again, but the answer still may wake. */
  #learn(
    tasks: string[],
    heads: (KnownHead | undefined)[],
    { current, ...levels }: Levels & { current: boolean },
  ): void {
    tasks.forEach((task, index) => {
      const watch = this.#watches.get(task);
      if (!watch) return;
      watch.known ||= current;
      const head = heads[index];
      if (head) this.advance(task, head);
    });
    this.#levelsKnown ||= current;
    this.advanceAll(levels);
  }

  #fail(tasks: string[], error: Error): void {
    for (const task of tasks) {
      const watch = this.#watches.get(task);
      if (watch) this.#rejectAll(watch.waiters, error);
    }
    if (!this.#levelsKnown) this.#rejectLevels(error);
  }
}

/** What the waiter knows may be newer than what is known here, hence `>` also for the revision. */
function isPast(watch: Watch, past: KnownHead): boolean {
  return watch.exists && (watch.nextLine > past.nextLine || watch.revision > past.revision);
}
