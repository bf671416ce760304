import type { ReadsElsewhere } from '../store/store.ts';
import { StoreError } from '../store/store.ts';
import type { Scan, Scanned } from './scan.ts';
import { SearchThread } from './search-thread.ts';

/**
 * The threads that search. They are started when they are needed, and end when nothing was searched for a while. What
 * waits is taken in order: searches that go on at the same time have a few stretches here each, and so share.
 */
export class SearchPool {
  readonly #elsewhere: ReadsElsewhere;
  readonly #maxThreads: number;
  readonly #idleMs: number;
  readonly #threads: SearchThread[] = [];
  readonly #ending = new Set<Promise<void>>();
  readonly #queue: Waiting[] = [];
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(elsewhere: ReadsElsewhere, { threads = THREADS, idleMs = IDLE_MS } = {}) {
    this.#elsewhere = elsewhere;
    this.#maxThreads = threads;
    this.#idleMs = idleMs;
  }

  /** Threads that there are. */
  get size(): number {
    return this.#threads.length;
  }

  /** Stretches that a search may have here, so that no thread waits for the next one. */
  get ahead(): number {
    return this.#maxThreads * THREAD_LOAD;
  }

  /**
   * Searches a stretch. Once `stop` is not 0, it is broken off between two chunks, and rejects with an error that nobody
   * should see. Rejects with a StoreError if the thread fails.
   */
  scan(scan: Scan, stop: Int32Array): Promise<Scanned> {
    if (this.#closed) return Promise.reject(new StoreError('closed', 'the store is closed'));
    const waiting = { scan, stop, answer: Promise.withResolvers<Scanned>() };
    this.#queue.push(waiting);
    this.#dispatch();
    return waiting.answer.promise;
  }

  /** Ends the threads, when they have answered what they were asked. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    for (const { answer } of this.#queue.splice(0)) answer.reject(new StoreError('closed', 'the store is closed'));
    this.#endThreads();
    await Promise.all(this.#ending);
  }

  #dispatch(): void {
    clearTimeout(this.#idle);
    for (let at = this.#threads.length - 1; at >= 0; at--) if (this.#threads[at].dead) this.#threads.splice(at, 1);
    while (this.#queue.length > 0) {
      const thread = this.#freeThread();
      if (thread === undefined) return;
      const waiting = this.#queue.shift();
      if (waiting === undefined) return;
      const { scan, stop, answer } = waiting;
      thread.scan(scan, stop).then(answer.resolve, answer.reject);
    }
    if (this.#threads.length === 0 || this.#threads.some(({ load }) => load > 0)) return;
    this.#idle = setTimeout(() => this.#endThreads(), this.#idleMs).unref();
  }

  /** The one with the least to do, or a new one; undefined if all have enough. */
  #freeThread(): SearchThread | undefined {
    const least = this.#threads.toSorted((a, b) => a.load - b.load).at(0);
    if (least !== undefined && least.load === 0) return least;
    if (this.#threads.length < this.#maxThreads) return this.#start();
    return least !== undefined && least.load < THREAD_LOAD ? least : undefined;
  }

  #start(): SearchThread {
    const thread = new SearchThread(this.#elsewhere);
    thread.onChange = () => {
      if (!this.#closed) this.#dispatch();
    };
    this.#threads.push(thread);
    return thread;
  }

  #endThreads(): void {
    for (const thread of this.#threads.splice(0)) {
      const ended = thread.close().finally(() => this.#ending.delete(ended));
      this.#ending.add(ended);
    }
  }
}

interface Waiting {
  scan: Scan;
  stop: Int32Array;
  answer: PromiseWithResolvers<Scanned>;
}

const THREADS = 2;
/** One under way, and one behind it while the answer travels. */
const THREAD_LOAD = 2;
const IDLE_MS = 30_000;
