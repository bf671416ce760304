import type Database from 'better-sqlite3';
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { failureOf } from './sqlite-errors.ts';
import {
  packOutcomes,
  unpackGroup,
  type Call,
  type Failure,
  type GroupAnswer,
  type GroupMessage,
  type Outcome,
} from './sqlite-group.ts';
import type { Steps } from './sqlite-forget.ts';
import { Ledger, type ChangedHead } from './sqlite-ledger.ts';
import { Merging, StepFailed, type Merged } from './sqlite-merging.ts';
import { MergePace } from './merge-pace.ts';
import { openForWriting, PAGE_BYTES } from './sqlite-schema.ts';
import type { Expired, ExpirePolicy, Trimmed } from './store.ts';

/** The worker thread that owns the writing connection: what waits for the disk waits here. */
export type WriterRequest =
  | { type: 'group'; group: GroupMessage }
  | { type: 'trim'; id: number; task: string; throughLine: number }
  | { type: 'expire'; id: number; policy: ExpirePolicy; now: number }
  /** Merges all that can be merged, and answers when it is done. */
  | { type: 'settle'; id: number }
  | { type: 'poll' }
  | { type: 'close' };

/** Comes with every answer. */
export interface WriterState {
  epoch: string;
  generation: number;
  nextPosition: number;
  change: number;
  /** Another connection has committed since the last answer. */
  foreign: boolean;
}

export type WriterAnswer =
  | { type: 'ready'; state: WriterState }
  | { type: 'failed'; message: string }
  | { type: 'group'; state: WriterState; answer: GroupAnswer; changed: ChangedHead[]; ms: number }
  | { type: 'done'; id: number; result: Trimmed | Expired | undefined; state: WriterState }
  | { type: 'undone'; id: number; failure: Failure; state: WriterState }
  /** The thread that merges is needed. */
  | { type: 'merging'; state: WriterState }
  | { type: 'merged'; merged: Merged; state: WriterState }
  /** Merging had trouble, which no caller waits to hear of. */
  | { type: 'trouble'; message: string; state: WriterState }
  | { type: 'polled'; state: WriterState }
  /** The device failed: nothing is written any more. */
  | { type: 'dead'; failure: Failure };

export interface WriterOptions {
  path: string;
  maxBytes?: number;
  /** To the thread that merges. */
  merger: MessagePort;
}

/** Long work of a call, done in steps. */
interface Job {
  id: number;
  step: Steps<Trimmed | Expired>;
}

/** The write-ahead log is copied into the file when it has grown to this. Appending and merging change the same pages
 * again and again, and each is copied once. */
const CHECKPOINT_PAGES = (16 * 1024 * 1024) / PAGE_BYTES;
/** Free pages are given back to the file system in steps of 2 MiB, but for those that the next appends take anyway. */
const VACUUM_PAGES = 512;
const KEPT_FREE_PAGES = 1024;

class Writer {
  readonly #port: MessagePort;
  readonly #db: Database.Database;
  readonly #ledger: Ledger;
  readonly #walPages;
  readonly #freePages;
  readonly #merging: Merging;
  readonly #jobs: Job[] = [];
  #vacuum = false;
  #dead: Failure | undefined;
  readonly #pace = new MergePace();
  #step: NodeJS.Immediate | undefined;
  /** Set while merging waits for appends. */
  #pause: NodeJS.Timeout | undefined;

  constructor(port: MessagePort, options: WriterOptions) {
    this.#port = port;
    this.#db = openForWriting(options.path, options.maxBytes);
    this.#ledger = new Ledger(this.#db);
    this.#walPages = this.#db.prepare<[], { log: number; checkpointed: number }>('PRAGMA wal_checkpoint(NOOP)');
    this.#freePages = this.#db.prepare<[], number>('PRAGMA freelist_count').pluck();
    this.#merging = new Merging({
      port: options.merger,
      ledger: this.#ledger,
      transaction: (work) => this.#relaxed(() => this.#transaction(work)),
      onFirst: () => this.#answer({ type: 'merging', state: this.#state() }),
      onWork: () => this.#schedule(),
      onMerged: (merged) => this.#answer({ type: 'merged', merged, state: this.#state() }),
      onTrouble: (message) => this.#answer({ type: 'trouble', message, state: this.#state() }),
    });
    port.on('message', (request: WriterRequest) => this.#receive(request));
    this.#answer({ type: 'ready', state: this.#state() });
  }

  #receive(request: WriterRequest): void {
    switch (request.type) {
      case 'group':
        this.#group(request.group);
        break;
      case 'trim':
        this.#start({ id: request.id, step: this.#ledger.forgetting.trim(request.task, request.throughLine) });
        break;
      case 'expire':
        this.#start({ id: request.id, step: this.#ledger.forgetting.expire(request.policy, request.now) });
        break;
      case 'settle':
        this.#merging.settle(() => {
          this.#answer({ type: 'done', id: request.id, result: undefined, state: this.#state() });
        });
        break;
      case 'poll':
        this.#poll();
        break;
      case 'close':
        this.#close();
        break;
    }
  }

  #group(group: GroupMessage): void {
    const start = performance.now();
    const { outcomes, changed } = this.#run(unpackGroup(group));
    const answer = packOutcomes(outcomes, group.bytes);
    const ms = performance.now() - start;
    this.#pace.committed(ms, performance.now());
    this.#answer({ type: 'group', state: this.#state(), answer, changed, ms }, [answer.bytes]);
    this.#checkpoint();
    this.#merging.feed();
  }

  /** All calls in one transaction; if that fails for lack of room, each in its own, so that what fits is stored. */
  #run(calls: Call[]): { outcomes: Outcome[]; changed: ChangedHead[] } {
    try {
      this.#ledger.begin();
      const outcomes = calls.map((call) => this.#call(call));
      return { outcomes, changed: this.#ledger.commit() };
    } catch (error) {
      const failure = this.#undo(error);
      if (failure.reason !== 'full' || calls.length === 1) return failed(calls, failure);
      const single = calls.map((call) => (this.#dead ? failed([call], this.#dead) : this.#run([call])));
      return {
        outcomes: single.flatMap(({ outcomes }) => outcomes),
        changed: single.flatMap(({ changed }) => changed),
      };
    }
  }

  #call(call: Call): Outcome {
    try {
      if ('append' in call) return { type: 'append', outcome: this.#ledger.append(call.append) };
      return { type: 'other', outcome: this.#ledger.other(call) };
    } catch (error) {
      const failure = failureOf(error);
      // Some errors of SQLite end the whole transaction: then nothing before this call stands either.
      if (failure.reason === 'io' || !this.#db.inTransaction) throw error;
      return { type: 'error', error: failure };
    }
  }

  /** Takes back the transaction. What the device did not write is never tried again: a second fsync would lie. */
  #undo(error: unknown): Failure {
    const failure = failureOf(error);
    if (failure.reason === 'io') this.#die(failure);
    else this.#ledger.rollback();
    return failure;
  }

  #die(failure: Failure): void {
    this.#dead = failure;
    this.#vacuum = false;
    this.#jobs.length = 0;
    clearTimeout(this.#pause);
    this.#merging.close();
    this.#answer({ type: 'dead', failure });
    this.#port.close();
  }

  #checkpoint(): void {
    if (this.#dead) return;
    try {
      const wal = this.#walPages.get();
      if (wal && wal.log - wal.checkpointed >= CHECKPOINT_PAGES) this.#db.pragma('wal_checkpoint(PASSIVE)');
    } catch (error) {
      const failure = failureOf(error);
      // Without room the log stays as it is, and appends will say what is the matter.
      if (failure.reason === 'io') this.#die(failure);
    }
  }

  #start(job: Job): void {
    this.#jobs.push(job);
    this.#schedule();
  }

  /** One step of each kind of work between two groups. */
  #schedule(): void {
    if (this.#dead) return;
    this.#step ??= setImmediate(() => {
      this.#step = undefined;
      const job = this.#jobs.at(0);
      if (job) this.#work(job);
      else if (this.#vacuum) this.#giveBack();
      if (this.#merging.hasWork) this.#merge();
      this.#checkpoint();
      if (this.#jobs.length > 0 || this.#vacuum || (this.#merging.hasWork && !this.#pause)) this.#schedule();
    });
  }

  #merge(): void {
    const start = performance.now();
    const wait = this.#pace.wait(start);
    if (wait > 0) {
      this.#pause ??= setTimeout(() => {
        this.#pause = undefined;
        this.#schedule();
      }, Math.ceil(wait));
      return;
    }
    this.#merging.step();
    const now = performance.now();
    this.#pace.stepped(now - start, now);
  }

  #work({ id, step }: Job): void {
    const done = this.#transaction(step);
    if (done instanceof StepFailed) {
      this.#jobs.shift();
      this.#answer({ type: 'undone', id, failure: done.failure, state: this.#state() });
      return;
    }
    this.#vacuum = true;
    if (done === undefined) return;
    this.#jobs.shift();
    this.#answer({ type: 'done', id, result: done, state: this.#state() });
  }

  /** A step of work that no append is part of. Durable, or taken back. */
  #transaction<Result>(work: () => Result): Result | StepFailed {
    try {
      this.#ledger.begin();
      const result = work();
      this.#ledger.commit();
      return result;
    } catch (error) {
      return new StepFailed(this.#undo(error));
    }
  }

  /** Without a sync of its own: the next commit of appends brings it to the disk, in the order of all commits. */
  #relaxed<Result>(work: () => Result): Result {
    this.#db.pragma('synchronous = NORMAL');
    try {
      return work();
    } finally {
      // After a failed write the transaction may still be open, and nothing is written any more.
      if (!this.#dead) this.#db.pragma('synchronous = FULL');
    }
  }

  #giveBack(): void {
    try {
      this.#vacuum = (this.#freePages.get() ?? 0) > KEPT_FREE_PAGES;
      if (this.#vacuum) this.#db.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
    } catch (error) {
      // Nobody asked for it; the next trim tries again.
      this.#vacuum = false;
      const failure = failureOf(error);
      if (failure.reason === 'io') this.#die(failure);
    }
  }

  #poll(): void {
    this.#ledger.look();
    this.#answer({ type: 'polled', state: this.#state() });
  }

  #close(): void {
    clearImmediate(this.#step);
    clearTimeout(this.#pause);
    this.#merging.close();
    this.#db.close();
    this.#port.close();
  }

  #state(): WriterState {
    const { epoch, generation, nextPosition, change, foreign } = this.#ledger;
    this.#ledger.foreign = false;
    return { epoch, generation, nextPosition, change, foreign };
  }

  #answer(answer: WriterAnswer, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(answer, transfer);
  }
}

function failed(calls: Call[], error: Failure): { outcomes: Outcome[]; changed: ChangedHead[] } {
  return { outcomes: calls.map(() => ({ type: 'error', error })), changed: [] };
}

if (parentPort) {
  try {
    new Writer(parentPort, workerData as WriterOptions);
  } catch (error) {
    parentPort.postMessage({ type: 'failed', message: failureOf(error).message } satisfies WriterAnswer);
  }
}
