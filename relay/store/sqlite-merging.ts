import type { MessagePort } from 'node:worker_threads';
import type { Failure } from './sqlite-group.ts';
import type { Ledger } from './sqlite-ledger.ts';
import type { ReadyTask } from './sqlite-loose.ts';
import type { Considered, Swap } from './sqlite-swaps.ts';

/** What the thread that merges is asked, one thing at a time. */
export type MergerRequest =
  | { type: 'tasks'; tasks: ReadyTask[] }
  /** Some tasks behind the one with this number: with `force` all, and whatever can be merged; else what is loose. */
  | { type: 'sweep'; after: number; force: boolean }
  /** To its `swap`: which of the swaps were done. */
  | { type: 'swapped'; done: boolean[] };

/** And what it says. After `done` it waits for the next request. */
export type MergerAnswer =
  | { type: 'swap'; swaps: Swap[] }
  | { type: 'done'; considered: Considered[]; after: number | undefined; trouble: string[] };

/** What merging has done: so many chunks became so many, that hold so many lines. */
export interface Merged {
  chunks: number;
  into: number;
  lines: number;
}

/** Work that was taken back. */
export class StepFailed {
  readonly failure: Failure;
  constructor(failure: Failure) {
    this.failure = failure;
  }
}

interface MergingOptions {
  port: MessagePort;
  ledger: Ledger;
  /** Does the work in one transaction, or takes it back. It need not be durable at once. */
  transaction: <Result>(work: () => Result) => Result | StepFailed;
  /** Called before the other thread is asked for the first time. */
  onFirst: () => void;
  /** Called when `step` is to be called. */
  onWork: () => void;
  onMerged: (merged: Merged) => void;
  onTrouble: (message: string) => void;
}

/** Rows that one transaction takes away: what an append may have to wait for. */
const STEP_CHUNKS = 256;
const TASKS_AT_ONCE = 64;
/** A task in which nothing happened during a whole one is quiet. */
const TICK_MS = 30_000;

/**
 * The writer's side of merging. Another thread reads small chunks and makes larger ones of them; here is decided when,
 * and here they are put into place, a few at a time, between two groups of appends.
 */
export class Merging {
  readonly #options: MergingOptions;
  /** What the other thread is at. */
  #asked: MergerRequest | undefined;
  /** What is to be put into place, and what became of those before. */
  #swaps: Swap[] = [];
  #swapped: boolean[] = [];
  #answer: (MergerAnswer & { type: 'done' }) | undefined;
  #closed = false;
  readonly #sweeps: Sweep[] = [];
  #asks = 0;
  #ticks = 0;
  readonly #tick: NodeJS.Timeout;

  constructor(options: MergingOptions) {
    this.#options = options;
    options.port.on('message', (answer: MergerAnswer) => this.#receive(answer));
    this.#tick = setInterval(() => {
      // What was left unmerged when the store was closed is looked for once, when the start is over.
      if (this.#ticks++ === 0) this.#sweeps.push({ after: 0, force: false, onDone: () => undefined });
      options.ledger.loose.tick();
      this.feed();
    }, TICK_MS);
  }

  get hasWork(): boolean {
    return this.#swaps.length > 0 || this.#answer !== undefined;
  }

  /** Gives the other thread something to do, if it has nothing and there is something. */
  feed(): void {
    if (this.#asked || this.#closed) return;
    const sweep = this.#sweeps.at(0);
    const { loose } = this.#options.ledger;
    if (sweep) this.#ask({ type: 'sweep', after: sweep.after, force: sweep.force });
    else if (loose.ready > 0) this.#ask({ type: 'tasks', tasks: loose.take(TASKS_AT_ONCE) });
  }

  /** Merges whatever can be merged in the whole store. */
  settle(onDone: () => void): void {
    this.#sweeps.push({ after: 0, force: true, onDone });
    this.feed();
  }

  /** Puts some of what was merged into place. */
  step(): void {
    if (this.#closed) return;
    if (this.#swaps.length > 0) this.#swap();
    else if (this.#answer) this.#finish(this.#answer);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#tick);
    this.#options.port.close();
  }

  #ask(request: MergerRequest): void {
    this.#asked = request;
    if (this.#asks++ === 0) this.#options.onFirst();
    this.#options.port.postMessage(request);
  }

  #receive(answer: MergerAnswer): void {
    if (this.#closed) return;
    if (answer.type === 'swap') this.#swaps = answer.swaps;
    else this.#answer = answer;
    this.#options.onWork();
  }

  #swap(): void {
    const some: Swap[] = [];
    let rows = 0;
    for (const swap of this.#swaps) {
      rows += swap.old.length;
      if (some.length > 0 && rows > STEP_CHUNKS) break;
      some.push(swap);
    }
    this.#swaps.splice(0, some.length);
    const { transaction, ledger, onMerged } = this.#options;
    const done = transaction(() => some.map((swap) => ledger.swaps.swap(swap)));
    if (done instanceof StepFailed) this.#trouble(done);
    else onMerged(sumOf(some.filter((swap, index) => done[index] && swap.merged)));
    this.#swapped.push(...(done instanceof StepFailed ? some.map(() => false) : done));
    if (this.#swaps.length > 0 || this.#closed) return;
    this.#options.port.postMessage({ type: 'swapped', done: this.#swapped } satisfies MergerRequest);
    this.#swapped = [];
  }

  #finish({ considered, after, trouble }: MergerAnswer & { type: 'done' }): void {
    this.#answer = undefined;
    for (const message of trouble) this.#options.onTrouble(message);
    if (considered.length > 0) {
      const { transaction, ledger } = this.#options;
      const done = transaction(() => considered.forEach((one) => ledger.considered(one)));
      if (done instanceof StepFailed) this.#trouble(done);
    }
    if (this.#asked?.type === 'sweep') {
      const [sweep] = this.#sweeps;
      if (after === undefined) this.#sweeps.shift()?.onDone();
      else sweep.after = after;
    }
    this.#asked = undefined;
    this.feed();
  }

  /** Nobody waits for it: what could not be put into place stays as it was. */
  #trouble({ failure }: StepFailed): void {
    this.#options.onTrouble(`small chunks could not be merged: ${failure.message}`);
  }
}

interface Sweep {
  after: number;
  force: boolean;
  onDone: () => void;
}

function sumOf(swaps: readonly Swap[]): Merged {
  const merged = { chunks: 0, into: swaps.length, lines: 0 };
  for (const { old } of swaps) {
    merged.chunks += old.length;
    for (const { count } of old) merged.lines += count;
  }
  return merged;
}
