import { stat } from 'node:fs/promises';
import { Commits } from './sqlite-commits.ts';
import type { OtherCall, OtherOutcome, Outcome } from './sqlite-group.ts';
import { unpackPage } from './sqlite-page.ts';
import type { Query, QueryResult, ReaderAnswer, ReaderRequest } from './sqlite-reader.ts';
import { startWorker, StoreWorker } from './sqlite-worker.ts';
import type { WriterAnswer, WriterOptions, WriterRequest, WriterState } from './sqlite-writer.ts';
import {
  StoreError,
  type Append,
  type AppendOutcome,
  type EndOutcome,
  type EndRun,
  type OpenedRun,
  type OpenRun,
  type Read,
  type RunRecord,
  type Store,
  type Stored,
  type TaskHead,
  type TaskQuery,
  type TaskRecord,
} from './store.ts';
import { Waiters } from './waiters.ts';

/** While anyone waits, other handles' commits are looked for this often. */
const POLL_MS = 75;

export interface SqliteOptions {
  /** The file; created if it is missing, in a folder that exists. SQLite keeps two more beside it (-wal, -shm). */
  path: string;
  /** The file does not grow beyond this; appends then reject as if the disk were full. Default: no bound. */
  maxBytes?: number;
}

/**
 * Opens a store in one SQLite file: a worker thread writes, another one reads. Any number of handles, in any number of
 * processes of one machine, may have the file open. Rejects with an Error that says what is wrong with the file.
 *
 * Holds, besides what is called and not yet answered (bounded by the caller), up to 32 MiB of buffers and 64 MiB of
 * SQLite's page caches.
 */
export async function openSqliteStore(options: SqliteOptions): Promise<Store> {
  const { path, maxBytes } = options;
  const workerData: WriterOptions = { path, maxBytes };
  const writer = new StoreWorker<WriterRequest, WriterAnswer>(startWorker('sqlite-writer', workerData));
  const reader = new StoreWorker<ReaderRequest, ReaderAnswer>(startWorker('sqlite-reader', path));
  try {
    return new SqliteStore(path, await ready(writer), writer, reader);
  } catch (error) {
    await Promise.all([writer.terminate(), reader.terminate()]);
    throw error;
  }
}

function ready(writer: StoreWorker<WriterRequest, WriterAnswer>): Promise<WriterState> {
  return new Promise((resolve, reject) => {
    void writer.died.then(reject);
    writer.onAnswer = (answer) => {
      if (answer.type === 'ready') resolve(answer.state);
      else if (answer.type === 'failed') reject(new Error(answer.message));
    };
  });
}

class SqliteStore implements Store {
  readonly #path: string;
  readonly #writer: StoreWorker<WriterRequest, WriterAnswer>;
  readonly #reader: StoreWorker<ReaderRequest, ReaderAnswer>;
  readonly #commits: Commits;
  readonly #waiters: Waiters;
  readonly #queries = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  readonly #trims = new Map<number, { resolve: (line: number) => void; reject: (error: Error) => void }>();
  readonly #calls = new Set<Promise<unknown>>();
  #nextId = 1;
  #epoch: string;
  #generation: number;
  #poll: NodeJS.Timeout | undefined;
  /** Set as soon as nothing can be called any more. */
  #ended: StoreError | undefined;
  #closed: Promise<void> | undefined;

  constructor(
    path: string,
    state: WriterState,
    writer: StoreWorker<WriterRequest, WriterAnswer>,
    reader: StoreWorker<ReaderRequest, ReaderAnswer>,
  ) {
    this.#path = path;
    this.#epoch = state.epoch;
    this.#generation = state.generation;
    this.#writer = writer;
    this.#reader = reader;
    this.#commits = new Commits((group) => writer.post({ type: 'group', group }, [group.bytes]));
    this.#waiters = new Waiters((tasks) => this.#query('heads', { type: 'heads', tasks }));
    this.#waiters.onFirst = () => this.#startPolling();
    writer.onAnswer = (answer) => this.#written(answer);
    reader.onAnswer = (answer) => this.#read(answer);
    for (const worker of [writer, reader]) void worker.died.then((error) => this.#die(error));
  }

  epoch(): string {
    return this.#epoch;
  }

  async open(open: OpenRun): Promise<OpenedRun> {
    return (await this.#other({ type: 'open', open })) as OpenedRun;
  }

  async append(append: Append): Promise<AppendOutcome> {
    const outcome = await this.#call(() => this.#commits.call({ append }));
    return (outcome as Outcome & { type: 'append' }).outcome;
  }

  async end(end: EndRun): Promise<EndOutcome> {
    return (await this.#other({ type: 'end', end })) as EndOutcome;
  }

  async seen(seen: { task: string; run: string; fence: number; nextSeq?: number; now: number }): Promise<void> {
    await this.#other({ type: 'seen', seen });
  }

  async markLost(before: number, now: number): Promise<{ task: string; run: string }[]> {
    return (await this.#other({ type: 'markLost', before, now })) as { task: string; run: string }[];
  }

  async read(read: Read): Promise<Stored[]> {
    return unpackPage(await this.#query('read', { type: 'read', read }));
  }

  async head(task: string): Promise<TaskHead | undefined> {
    return (await this.#query('heads', { type: 'heads', tasks: [task] })).heads[0];
  }

  wait(task: string, past: { nextLine: number; revision: number }, signal: AbortSignal): Promise<void> {
    return this.#waiters.wait(task, past, signal);
  }

  waitAll(nextPosition: number, signal: AbortSignal): Promise<void> {
    return this.#waiters.waitAll(nextPosition, signal);
  }

  async nextPosition(): Promise<number> {
    return (await this.#query('heads', { type: 'heads', tasks: [] })).nextPosition;
  }

  tasks(query: TaskQuery): Promise<TaskRecord[]> {
    return this.#query('tasks', { type: 'tasks', query });
  }

  task(task: string): Promise<TaskRecord | undefined> {
    return this.#query('task', { type: 'task', task });
  }

  runs(task: string): Promise<RunRecord[]> {
    return this.#query('runs', { type: 'runs', task });
  }

  trim(task: string, throughLine: number): Promise<number> {
    return this.#call(
      () =>
        new Promise<number>((resolve, reject) => {
          const id = this.#nextId++;
          this.#trims.set(id, { resolve, reject });
          this.#writer.post({ type: 'trim', id, task, throughLine });
        }),
    );
  }

  async size(): Promise<{ bytes: number; chunks: number }> {
    const { chunks } = await this.#query('size', { type: 'size' });
    const files = await Promise.all([this.#path, `${this.#path}-wal`].map((path) => stat(path)));
    return { bytes: files.reduce((sum, file) => sum + file.size, 0), chunks };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    if (!this.#ended) {
      this.#ended = new StoreError('closed', 'the store is closed');
      this.#waiters.close(this.#ended);
      this.#stopPolling();
      this.#commits.hurry();
      await Promise.allSettled(this.#calls);
    }
    await this.#reader.close({ id: 0, type: 'close' });
    // The last connection copies the write-ahead log into the file and removes it, which takes one that may write.
    await this.#writer.close({ type: 'close' });
  }

  /** Nothing works any more: whoever waits hears of it, and so does whoever calls from now on. */
  #die(error: StoreError): void {
    if (this.#ended?.retry === false) return;
    this.#ended = error;
    this.#commits.fail(error);
    this.#waiters.close(error);
    this.#stopPolling();
    for (const { reject } of [...this.#queries.values(), ...this.#trims.values()]) reject(error);
    this.#queries.clear();
    this.#trims.clear();
  }

  async #other(call: OtherCall): Promise<OtherOutcome> {
    const outcome = await this.#call(() => this.#commits.call(call));
    return (outcome as Outcome & { type: 'other' }).outcome;
  }

  #query<Type extends keyof QueryResult>(_type: Type, query: Query & { type: Type }): Promise<QueryResult[Type]> {
    return this.#call(
      () =>
        new Promise<QueryResult[Type]>((resolve, reject) => {
          const id = this.#nextId++;
          this.#queries.set(id, { resolve, reject });
          this.#reader.post({ ...query, id });
        }),
    );
  }

  /** Every call goes through here: none after the end, and `close` knows what it has to wait for. */
  #call<T>(start: () => Promise<T>): Promise<T> {
    if (this.#ended) return Promise.reject(this.#ended);
    const call = start();
    this.#calls.add(call);
    const done = (): void => {
      this.#calls.delete(call);
    };
    call.then(done, done);
    return call;
  }

  #written(answer: WriterAnswer): void {
    if (answer.type === 'ready' || answer.type === 'failed') return;
    if (answer.type === 'dead') {
      this.#die(new StoreError(answer.failure.reason, answer.failure.message));
      return;
    }
    const { state } = answer;
    this.#learnEpoch(state);
    if (state.foreign) this.#waiters.forget();
    if (answer.type === 'trimmed') this.#trimmed(answer.id, answer.result);
    if (answer.type !== 'group') return;
    for (const { call, outcome } of this.#commits.answered(answer.answer)) {
      if (!('append' in call) || outcome.type !== 'append' || outcome.outcome.outcome !== 'stored') continue;
      this.#waiters.advance(call.append.task, { nextLine: outcome.outcome.firstLine + outcome.outcome.count });
    }
    for (const { task, nextLine, revision } of answer.changed) this.#waiters.advance(task, { nextLine, revision });
    this.#waiters.advanceAll(state.nextPosition);
  }

  #trimmed(id: number, result: (WriterAnswer & { type: 'trimmed' })['result']): void {
    const trim = this.#trims.get(id);
    this.#trims.delete(id);
    if (typeof result === 'number') trim?.resolve(result);
    else trim?.reject(new StoreError(result.reason, result.message));
  }

  #read(answer: ReaderAnswer): void {
    const query = this.#queries.get(answer.id);
    this.#queries.delete(answer.id);
    if (answer.type === 'error') {
      query?.reject(new StoreError(answer.failure.reason, answer.failure.message));
      return;
    }
    this.#learnEpoch(answer);
    query?.resolve(answer.result as never);
  }

  /** Answers of both workers cross on their way: the younger epoch counts. */
  #learnEpoch({ epoch, generation }: { epoch: string; generation: number }): void {
    if (generation < this.#generation) return;
    this.#epoch = epoch;
    this.#generation = generation;
  }

  /** Looks at once and then regularly until nobody waits any more. */
  #startPolling(): void {
    if (this.#poll) return;
    const poll = (): void => {
      if (this.#waiters.count === 0) this.#stopPolling();
      else this.#writer.post({ type: 'poll' });
    };
    this.#poll = setInterval(poll, POLL_MS);
    poll();
  }

  #stopPolling(): void {
    clearInterval(this.#poll);
    this.#poll = undefined;
  }
}
