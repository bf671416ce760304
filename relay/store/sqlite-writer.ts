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
import { Ledger, type ChangedHead } from './sqlite-ledger.ts';
import { openForWriting, PAGE_BYTES } from './sqlite-schema.ts';

/** The worker thread that owns the writing connection: what waits for the disk waits here. */
export type WriterRequest =
  | { type: 'group'; group: GroupMessage }
  | { type: 'trim'; id: number; task: string; throughLine: number }
  | { type: 'poll' }
  | { type: 'close' };

/** Comes with every answer. */
export interface WriterState {
  epoch: string;
  generation: number;
  nextPosition: number;
  /** Another connection has committed since the last answer. */
  foreign: boolean;
}

export type WriterAnswer =
  | { type: 'ready'; state: WriterState }
  | { type: 'failed'; message: string }
  | { type: 'group'; state: WriterState; answer: GroupAnswer; changed: ChangedHead[] }
  | { type: 'trimmed'; id: number; result: number | Failure; state: WriterState }
  | { type: 'polled'; state: WriterState }
  /** The device failed: nothing is written any more. */
  | { type: 'dead'; failure: Failure };

export interface WriterOptions {
  path: string;
  maxBytes?: number;
}

/** The write-ahead log is copied into the file when it has grown to this. */
const CHECKPOINT_PAGES = (16 * 1024 * 1024) / PAGE_BYTES;
/** A step of trimming: short beside a group, so that appends hardly wait. */
const TRIM_CHUNKS = 128;
/** Free pages are given back to the file system in steps of 2 MiB, but for those that the next appends take anyway. */
const VACUUM_PAGES = 512;
const KEPT_FREE_PAGES = 1024;

class Writer {
  readonly #port: MessagePort;
  readonly #db: Database.Database;
  readonly #ledger: Ledger;
  readonly #walPages;
  readonly #freePages;
  readonly #trims: { id: number; task: string; throughLine: number }[] = [];
  #vacuum = false;
  #dead: Failure | undefined;
  #step: NodeJS.Immediate | undefined;

  constructor(port: MessagePort, options: WriterOptions) {
    this.#port = port;
    this.#db = openForWriting(options.path, options.maxBytes);
    this.#ledger = new Ledger(this.#db);
    this.#walPages = this.#db.prepare<[], { log: number; checkpointed: number }>('PRAGMA wal_checkpoint(NOOP)');
    this.#freePages = this.#db.prepare<[], number>('PRAGMA freelist_count').pluck();
    port.on('message', (request: WriterRequest) => this.#receive(request));
    this.#answer({ type: 'ready', state: this.#state() });
  }

  #receive(request: WriterRequest): void {
    switch (request.type) {
      case 'group':
        this.#group(request.group);
        break;
      case 'trim':
        this.#trims.push(request);
        this.#schedule();
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
    const { outcomes, changed } = this.#run(unpackGroup(group));
    const answer = packOutcomes(outcomes, group.bytes);
    this.#answer({ type: 'group', state: this.#state(), answer, changed }, [answer.bytes]);
    this.#checkpoint();
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
    this.#trims.length = 0;
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

  #schedule(): void {
    this.#step ??= setImmediate(() => {
      this.#step = undefined;
      this.#work();
      if (this.#trims.length > 0 || this.#vacuum) this.#schedule();
    });
  }

  #work(): void {
    const trim = this.#trims.at(0);
    if (trim) this.#trim(trim);
    else this.#giveBack();
    this.#checkpoint();
  }

  #trim({ id, task, throughLine }: { id: number; task: string; throughLine: number }): void {
    let result: number | Failure;
    try {
      this.#ledger.begin();
      const { trimmedLine, done } = this.#ledger.trim(task, throughLine, TRIM_CHUNKS);
      this.#ledger.commit();
      this.#vacuum = true;
      if (!done) return;
      result = trimmedLine;
    } catch (error) {
      result = this.#undo(error);
    }
    this.#trims.shift();
    this.#answer({ type: 'trimmed', id, result, state: this.#state() });
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
    this.#db.close();
    this.#port.close();
  }

  #state(): WriterState {
    const { epoch, generation, nextPosition, foreign } = this.#ledger;
    this.#ledger.foreign = false;
    return { epoch, generation, nextPosition, foreign };
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
