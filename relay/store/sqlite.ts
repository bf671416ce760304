import { stat } from 'node:fs/promises';
import { MessageChannel } from 'node:worker_threads';
import { workerUrl } from '../../shared/worker.ts';
import { Commits } from './sqlite-commits.ts';
import type { OtherCall, OtherOutcome, Outcome } from './sqlite-group.ts';
import type { MergerOptions } from './sqlite-merger.ts';
import type { Merged } from './sqlite-merging.ts';
import { unpackPage, unpackWalked } from './sqlite-page.ts';
import type { Query, QueryResult, ReaderAnswer, ReaderRequest } from './sqlite-reader.ts';
import { startWorker, StoreWorker } from './sqlite-worker.ts';
import type { WriterAnswer, WriterOptions, WriterRequest, WriterState } from './sqlite-writer.ts';
import {
  StoreError,
  type Append,
  type AppendOutcome,
  type EndOutcome,
  type EndRun,
  type Expired,
  type ExpirePolicy,
  type OpenedRun,
  type OpenRun,
  type PipelineQuery,
  type PipelineRecord,
  type Read,
  type ReadsElsewhere,
  type RunRecord,
  type Store,
  type Stored,
  type StoreSize,
  type TaskHead,
  type TaskNote,
  type TaskQuery,
  type TaskRecord,
  type Trimmed,
  type Walk,
  type Walked,
} from './store.ts';
import { Waiters } from './waiters.ts';

/** While anyone waits, other handles' commits are looked for this often. */
const POLL_MS = 75;

export interface SqliteOptions {
  /** The file; created if it is missing, in a folder that exists. SQLite keeps two more beside it (-wal, -shm). */
  path: string;
  /** The file does not grow beyond this; appends then reject as if the disk were full. Default: no bound. */
  maxBytes?: number;
  /** A commit of appends and other calls: how long it took, how many calls it took in, how many bytes of chunks. */
  onCommit?: (commit: { ms: number; calls: number; bytes: number }) => void;
  /** Small chunks were merged in the background: `chunks` of them became `into`, which hold `lines`. */
  onMerge?: (merged: Merged) => void;
  /** Work in the background failed, to the harm of nobody: it is tried again. */
  onTrouble?: (message: string) => void;
}

/** A store in one file, whose small chunks are merged in the background. */
export interface SqliteStore extends Store {
  /** Merges at once whatever can be merged. */
  settle(): Promise<void>;
}

/**
 * Opens a store in one SQLite file: a worker thread writes, another one reads, a third one merges
 * small chunks. Any number of handles, in any number of
 * processes of one machine, may have the file open. Rejects with an Error that says what is wrong with the file.
 *
 * Holds, besides what is called and not yet answered (bounded by the caller), up to 40 MiB of buffers, 96 MiB of
 * SQLite's page caches, and while somebody reads by position 48 MiB of merged chunks, decoded. Threads that read
 * elsewhere (`readsElsewhere`) have page caches of 4 MiB.
 */
export async function openSqliteStore(options: SqliteOptions): Promise<SqliteStore> {
  const { path, maxBytes } = options;
  const { port1, port2 } = new MessageChannel();
  const ofWriter: WriterOptions = { path, maxBytes, merger: port1 };
  const startMerger = (): Workers['merger'] => {
    const ofMerger: MergerOptions = { path, writer: port2 };
    return new StoreWorker(startWorker('sqlite-merger', ofMerger, [port2]));
  };
  const workers: Workers = {
    writer: new StoreWorker(startWorker('sqlite-writer', ofWriter, [port1])),
    reader: new StoreWorker(startWorker('sqlite-reader', path)),
    merger: undefined,
    startMerger,
  };
  try {
    return new FileStore(options, await ready(workers.writer), workers);
  } catch (error) {
    port2.close();
    await Promise.all([workers.writer.terminate(), workers.reader.terminate()]);
    throw error;
  }
}

interface Workers {
  writer: StoreWorker<WriterRequest, WriterAnswer>;
  reader: StoreWorker<ReaderRequest, ReaderAnswer>;
  /** Started when there is something to merge for the first time. */
  merger: StoreWorker<{ type: 'close' }, never> | undefined;
  startMerger: () => Workers['merger'];
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

class FileStore implements SqliteStore {
  readonly #options: SqliteOptions;
  readonly #workers: Workers;
  readonly #commits: Commits;
  readonly #waiters: Waiters;
  readonly #queries = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  readonly #jobs = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  readonly #calls = new Set<Promise<unknown>>();
  #nextId = 1;
  #epoch: string;
  #generation: number;
  #poll: NodeJS.Timeout | undefined;
  /** Set as soon as nothing can be called any more. */
  #ended: StoreError | undefined;
  #closed: Promise<void> | undefined;
  /** Nothing is called any more, and the threads are ended: none is started. */
  #letGo = false;

  constructor(options: SqliteOptions, state: WriterState, workers: Workers) {
    const { writer, reader } = workers;
    this.#options = options;
    this.#epoch = state.epoch;
    this.#generation = state.generation;
    this.#workers = workers;
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

  async markLost(before: number, now: number, except?: string): Promise<{ task: string; run: string }[]> {
    return (await this.#other({ type: 'markLost', before, now, except })) as { task: string; run: string }[];
  }

  async read(read: Read): Promise<Stored[]> {
    return unpackPage(await this.#query('read', { type: 'read', read }));
  }

  async walk(walk: Walk): Promise<Walked> {
    return unpackWalked(await this.#query('walk', { type: 'walk', walk }));
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

  async change(): Promise<number> {
    return (await this.#query('heads', { type: 'heads', tasks: [] })).change;
  }

  waitChange(past: number, signal: AbortSignal): Promise<void> {
    return this.#waiters.waitChange(past, signal);
  }

  tasks(query: TaskQuery): Promise<TaskRecord[]> {
    return this.#query('tasks', { type: 'tasks', query });
  }

  task(task: string): Promise<TaskRecord | undefined> {
    return this.#query('task', { type: 'task', task });
  }

  pipelines(query: PipelineQuery): Promise<PipelineRecord[]> {
    return this.#query('pipelines', { type: 'pipelines', query });
  }

  pipeline(pipelineId: string): Promise<PipelineRecord | undefined> {
    return this.#query('pipeline', { type: 'pipeline', pipelineId });
  }

  runs(task: string, only?: readonly string[]): Promise<RunRecord[]> {
    return this.#query('runs', { type: 'runs', task, only });
  }

  trim(task: string, throughLine: number): Promise<Trimmed> {
    return this.#job((id) => ({ type: 'trim', id, task, throughLine }));
  }

  lastLineUntil(task: string, time: number): Promise<number> {
    return this.#query('lastLineUntil', { type: 'lastLineUntil', task, time });
  }

  expire(policy: ExpirePolicy, now: number): Promise<Expired> {
    return this.#job((id) => ({ type: 'expire', id, policy, now }));
  }

  async pin(task: string, pinned: boolean): Promise<boolean> {
    return (await this.#other({ type: 'pin', task, pinned })) as boolean;
  }

  async annotate(task: string, note: TaskNote, now: number): Promise<void> {
    await this.#other({ type: 'annotate', task, note, now });
  }

  settle(): Promise<void> {
    return this.#job((id) => ({ type: 'settle', id }));
  }

  async size(): Promise<StoreSize> {
    const { chunks, freeBytes } = await this.#query('size', { type: 'size' });
    const { path } = this.#options;
    const [file, log] = await Promise.all([path, `${path}-wal`].map((name) => stat(name)));
    return { bytes: file.size + log.size, chunks, pendingBytes: log.size, freeBytes };
  }

  readsElsewhere(): ReadsElsewhere {
    return { module: workerUrl('sqlite-elsewhere', import.meta.url).href, data: this.#options.path };
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
    this.#letGo = true;
    await this.#workers.merger?.close({ type: 'close' });
    await this.#workers.reader.close({ id: 0, type: 'close' });
    // The last connection copies the write-ahead log into the file and removes it, which takes one that may write.
    await this.#workers.writer.close({ type: 'close' });
  }

  /** Nothing works any more: whoever waits hears of it, and so does whoever calls from now on. */
  #die(error: StoreError): void {
    if (this.#ended?.retry === false) return;
    this.#ended = error;
    this.#commits.fail(error);
    this.#waiters.close(error);
    this.#stopPolling();
    for (const { reject } of [...this.#queries.values(), ...this.#jobs.values()]) reject(error);
    this.#queries.clear();
    this.#jobs.clear();
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
          this.#workers.reader.post({ ...query, id });
        }),
    );
  }

  #job<Result>(request: (id: number) => WriterRequest): Promise<Result> {
    return this.#call(
      () =>
        new Promise<Result>((resolve, reject) => {
          const id = this.#nextId++;
          this.#jobs.set(id, { resolve, reject });
          this.#workers.writer.post(request(id));
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
    if (answer.type === 'group') this.#committed(answer);
    else if (answer.type === 'done') this.#take(answer.id)?.resolve(answer.result as never);
    else if (answer.type === 'undone') {
      this.#take(answer.id)?.reject(new StoreError(answer.failure.reason, answer.failure.message));
    } else if (answer.type === 'merged') this.#options.onMerge?.(answer.merged);
    else if (answer.type === 'merging') this.#startMerger();
    else if (answer.type === 'trouble') this.#options.onTrouble?.(answer.message);
  }

  #startMerger(): void {
    if (this.#letGo || this.#ended?.retry === false) return;
    const merger = this.#workers.startMerger();
    this.#workers.merger = merger;
    void merger?.died.then((error) => this.#die(error));
  }

  #committed(answer: WriterAnswer & { type: 'group' }): void {
    let bytes = 0;
    const settled = this.#commits.answered(answer.answer);
    for (const { call, outcome } of settled) {
      if (!('append' in call) || outcome.type !== 'append' || outcome.outcome.outcome !== 'stored') continue;
      bytes += call.append.bytes.length;
      this.#waiters.advance(call.append.task, { nextLine: outcome.outcome.firstLine + outcome.outcome.count });
    }
    for (const { task, nextLine, revision } of answer.changed) this.#waiters.advance(task, { nextLine, revision });
    this.#waiters.advanceAll(answer.state);
    this.#options.onCommit?.({ ms: answer.ms, calls: settled.length, bytes });
  }

  #take(id: number): { resolve: (result: never) => void; reject: (error: Error) => void } | undefined {
    const job = this.#jobs.get(id);
    this.#jobs.delete(id);
    return job;
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
      else this.#workers.writer.post({ type: 'poll' });
    };
    this.#poll = setInterval(poll, POLL_MS);
    poll();
  }

  #stopPolling(): void {
    clearInterval(this.#poll);
    this.#poll = undefined;
  }
}
