import { setImmediate as turn } from 'node:timers/promises';
import type { Filter } from '../filter.ts';
import type { RunFacts } from '../run-facts.ts';
import { BATCH_WORK, LINE_WORK } from '../slice.ts';
import type { Store } from '../store/store.ts';
import { scanStretch, STRETCH_WORK, type Scan, type Scanned } from './scan.ts';
import { SearchPool } from './search-pool.ts';

export interface SearchOptions {
  task: string;
  filter: Filter;
  /** Line numbers: from `from` through `through`, which are no further than the task's head. */
  from: number;
  through: number;
  /** How many lines match is enough. */
  counts?: boolean;
  /** Bytes of text that a line of the task has, about. */
  lineBytes?: number;
  signal: AbortSignal;
}

/** Searches tasks for lines, in threads of their own. */
export class Searches {
  readonly #store: Store;
  readonly #facts: RunFacts;
  #pool: SearchPool | undefined;

  constructor({ store, facts }: { store: Store; facts: RunFacts }) {
    this.#store = store;
    this.#facts = facts;
  }

  /**
   * What a filter finds in a range of a task's lines, in order, a stretch at a time. Several stretches are searched at
   * once; whoever breaks off, or whose signal aborts, leaves none of them running. Rejects with the signal's reason, or
   * with a StoreError.
   */
  async *search(options: SearchOptions): AsyncGenerator<Scanned, void, undefined> {
    const { task, filter, from, through, counts = false, signal } = options;
    signal.throwIfAborted();
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => undefined);
    const abort = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort);
    const { ask, ahead } = this.#asker(filter, stop);
    const cut = new Cut(options);
    const asked: { through: number; answer: Promise<Scanned> }[] = [];
    const send = (first: number, last: number): (typeof asked)[number] => {
      const scan = { task, from: first, through: last, spec: filter.spec, key: filter.key, counts };
      // It may be that nobody is there any more to hear of a failure.
      const answer = Promise.race([ask(scan), aborted.promise]);
      answer.catch(() => undefined);
      return { through: last, answer };
    };
    try {
      for (let next = from; next <= through || asked.length > 0;) {
        while (asked.length < ahead && next <= through) {
          const last = Math.min(through, next + cut.next() - 1);
          asked.push(send(next, last));
          next = last + 1;
        }
        const first = asked.shift();
        if (first === undefined) return;
        const scanned = await first.answer;
        // It may have been there before the signal.
        signal.throwIfAborted();
        // What is left of it comes before the others.
        if (scanned.nextLine <= first.through) asked.unshift(send(scanned.nextLine, first.through));
        yield scanned;
      }
    } finally {
      signal.removeEventListener('abort', abort);
      Atomics.store(stop, 0, 1);
    }
  }

  /** Ends the threads, when they have answered what they were asked. Searches that go on then reject. */
  async close(): Promise<void> {
    await this.#pool?.close();
  }

  #asker(filter: Filter, stop: Int32Array): { ask: (scan: Scan) => Promise<Scanned>; ahead: number } {
    const elsewhere = this.#store.readsElsewhere();
    if (elsewhere !== undefined) {
      const pool = (this.#pool ??= new SearchPool(elsewhere));
      return { ask: (scan) => pool.scan(scan, stop), ahead: pool.ahead };
    }
    const check = (): void => {
      if (Atomics.load(stop, 0) !== 0) throw new Error('the search was stopped');
    };
    const parts = { reads: this.#store, facts: this.#facts, filter, check, pause: () => turn() };
    return { ask: (scan) => scanStretch(scan, parts), ahead: 1 };
  }
}

/** How many lines to search at once: first few, since a page may be found in them, then as many as a turn takes. */
class Cut {
  readonly #most: number;
  #lines = FIRST_LINES;

  constructor({ filter, lineBytes = LINE_BYTES }: SearchOptions) {
    const perLine = LINE_WORK + lineBytes * (BATCH_WORK / filter.sliceBytes);
    this.#most = Math.max(1, Math.floor((0.9 * STRETCH_WORK) / perLine));
  }

  next(): number {
    const lines = Math.min(this.#lines, this.#most);
    this.#lines *= 2;
    return lines;
  }
}

const FIRST_LINES = 4096;
const LINE_BYTES = 128;
