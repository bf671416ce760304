import { setImmediate as turn } from 'node:timers/promises';
import { MAX_LINES, TARGET_TEXT_BYTES } from '../../shared/chunk.ts';
import type { LineInput } from '../../shared/columns.ts';
import { KerutaError } from '../../shared/errors.ts';
import { STORE_PATIENCE_MS } from '../ingest-run.ts';
import type { AppendOutcome } from '../store/store.ts';
import { notAsked, unknownOutcome } from './patience.ts';
import type { RunResult, SentRun } from './sent-run.ts';

/**
 * One sender's lines on their way into the store, in a run that is opened when the first one comes, and again when
 * more come after its end. What comes while an append is under way goes into the next chunk together, in order; lines
 * that were given together stay together, in one chunk. Whoever writes bounds what waits here (see Senders.take).
 */
export class Sender {
  readonly task: string;
  readonly #options: SenderOptions;
  readonly #queue: Work[] = [];
  #run: SentRun | undefined;
  #working: Promise<void> | undefined;
  /** Whether the store has left the last call unanswered for too long, and still does. */
  #silent = false;
  #noting = false;

  /** `run`: one that is open already. */
  constructor(options: SenderOptions, run?: SentRun) {
    this.task = options.task;
    this.#options = options;
    this.#run = run;
  }

  /** Whether a run of it is open, or about to be. */
  get open(): boolean {
    return this.#run !== undefined || this.#working !== undefined;
  }

  /** Resolves when all these lines are durable; rejects with a KerutaError or StoreError if none of them was stored, or
   * a DATABASE_ERROR if the store does not say in time. */
  write(lines: readonly LineInput[]): Promise<Written> {
    const written = Promise.withResolvers<Written>();
    const bytes = lines.reduce((sum, line) => sum + line.text.length + 1 + (line.metadata?.length ?? 0), 0);
    this.#enqueue({ kind: 'lines', lines, bytes, ...written });
    return written.promise;
  }

  /** Appends lines from a place of the run on that the sender has numbered itself. Answers what became of them. */
  writeAt(seq: number, lines: readonly LineInput[]): Promise<AppendOutcome> {
    const written = Promise.withResolvers<AppendOutcome>();
    this.#enqueue({ kind: 'at', seq, lines, ...written });
    return written.promise;
  }

  /** Opens the run, if none is open. */
  start(): Promise<void> {
    const started: PromiseWithResolvers<void> = Promise.withResolvers();
    this.#enqueue({ kind: 'start', ...started });
    return started.promise;
  }

  /** Ends the run behind all that was written before. Without an open run, nothing happens. */
  end(result: RunResult): Promise<void> {
    const ended: PromiseWithResolvers<void> = Promise.withResolvers();
    this.#enqueue({ kind: 'end', result, ...ended });
    return ended.promise;
  }

  /** Resolves when nothing waits any more. */
  async settled(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  /** Tells the store that the run's sender is still there, if it was not told lately. Rejects as the store does. */
  async sweep(now: number, seenEveryMs: number): Promise<void> {
    if (this.#run === undefined || this.#noting || now - this.#run.seenAt < seenEveryMs) return;
    this.#noting = true;
    try {
      await this.#run.seen(now);
    } finally {
      this.#noting = false;
    }
  }

  #enqueue(work: Work): void {
    if (this.#silent) {
      work.reject(notAsked());
      return;
    }
    this.#queue.push(work);
    this.#working ??= this.#work();
  }

  async #work(): Promise<void> {
    // What comes within this turn of the event loop shares a chunk.
    await turn();
    for (let work = this.#queue.shift(); work !== undefined; work = this.#queue.shift()) {
      await this.#inTime(work.kind === 'lines' ? this.#gather(work) : [work]);
    }
    this.#working = undefined;
  }

  /** `first` and what follows it, as far as one chunk takes it. */
  #gather(first: LineWork): LineWork[] {
    const gathered = [first];
    let { bytes } = first;
    let count = first.lines.length;
    for (let next = this.#queue.at(0); next?.kind === 'lines'; next = this.#queue.at(0)) {
      bytes += next.bytes;
      count += next.lines.length;
      if (bytes > TARGET_TEXT_BYTES || count > MAX_LINES) break;
      gathered.push(next);
      this.#queue.shift();
    }
    return gathered;
  }

  async #inTime(works: Work[]): Promise<void> {
    let patience: NodeJS.Timeout | undefined;
    const wait = (): void => {
      patience = setTimeout(() => (this.#options.holds?.() === true ? wait() : this.#giveUp(works)), STORE_PATIENCE_MS);
    };
    wait();
    try {
      await this.#do(works);
    } catch (error) {
      for (const work of works) work.reject(error);
      if (this.#options.chained === true) this.#drop(error);
    } finally {
      clearTimeout(patience);
      this.#silent = false;
    }
  }

  async #do(works: Work[]): Promise<void> {
    const [first] = works;
    switch (first.kind) {
      case 'lines':
        await this.#write(works as LineWork[]);
        break;
      case 'at':
        first.resolve(await this.#writeAt(first));
        break;
      case 'start':
        this.#run ??= await this.#options.open();
        first.resolve();
        break;
      case 'end':
        await this.#run?.end(first.result, this.#options.now());
        this.#run = undefined;
        first.resolve();
    }
  }

  async #write(works: readonly LineWork[]): Promise<void> {
    let line = await this.#append(works.flatMap((work) => work.lines));
    for (const work of works) {
      work.resolve({ firstLine: line });
      line += work.lines.length;
    }
  }

  /** Answers the number of the first line. */
  async #append(lines: readonly LineInput[]): Promise<number> {
    for (let attempt = 1; ; attempt++) {
      this.#run ??= await this.#options.open();
      const outcome = await this.#run.append(this.#run.encode(lines), this.#options.now());
      if (outcome.outcome === 'stored') return outcome.firstLine;
      // Somebody has ended or taken over the run. None of these lines is in it: they go into another one.
      this.#run = undefined;
      if (attempt === MAX_ATTEMPTS)
        throw new KerutaError('FENCED', `Another sender writes to the task ${JSON.stringify(this.task)}.`);
    }
  }

  async #writeAt({ lines, seq }: NumberedWork): Promise<AppendOutcome> {
    for (let attempt = 1; ; attempt++) {
      this.#run ??= await this.#options.open();
      const outcome = await this.#run.append(this.#run.encode(lines, seq), this.#options.now());
      if (outcome.outcome !== 'fenced' || attempt === MAX_ATTEMPTS) return outcome;
      this.#run = undefined;
    }
  }

  /** The store stands still: nobody waits for it longer, and until it answers it is not asked anything more. */
  #giveUp(works: readonly Work[]): void {
    this.#silent = true;
    for (const work of works) work.reject(unknownOutcome());
    this.#drop(notAsked());
  }

  #drop(error: unknown): void {
    for (const work of this.#queue.splice(0)) work.reject(error);
  }
}

export interface SenderOptions {
  task: string;
  /** Opens a run for its lines. Rejects with a KerutaError or StoreError if none can be. */
  open: () => Promise<SentRun>;
  /** What fails takes all with it that waits behind it: the sender is told once, and comes back with all of it. */
  chained?: boolean;
  /** Whether what was taken over is held for as long as the store stands still, since nobody would send it again. */
  holds?: () => boolean;
  /** ms since 1970 */
  now: () => number;
}

/** Where lines were stored. */
export interface Written {
  /** 0 if the line was stored earlier, and has been trimmed since. */
  firstLine: number;
  /** They were there already. */
  again?: true;
}

type Settle<T> = Omit<PromiseWithResolvers<T>, 'promise'>;
type LineWork = { kind: 'lines'; lines: readonly LineInput[]; bytes: number } & Settle<Written>;
type NumberedWork = { kind: 'at'; seq: number; lines: readonly LineInput[] } & Settle<AppendOutcome>;
type StartWork = { kind: 'start' } & Settle<void>;
type EndWork = { kind: 'end'; result: RunResult } & Settle<void>;
type Work = LineWork | NumberedWork | StartWork | EndWork;

const MAX_ATTEMPTS = 2;
