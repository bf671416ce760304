import type Database from 'better-sqlite3';
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { failureOf } from './sqlite-errors.ts';
import type { Failure } from './sqlite-group.ts';
import type { Page, WalkedPage } from './sqlite-page.ts';
import { Reads } from './sqlite-reads.ts';
import { openForReading } from './sqlite-schema.ts';
import type { PipelineQuery, PipelineRecord, Read, RunRecord, TaskHead, TaskQuery, TaskRecord, Walk } from './store.ts';

/** The worker thread that reads, so that neither a slow disk nor a commit is felt on the event loop. */
export type ReaderRequest = { id: number; type: Query['type'] } & Query;

export type Query =
  | { type: 'read'; read: Read }
  | { type: 'walk'; walk: Walk }
  | { type: 'heads'; tasks: string[] }
  | { type: 'task'; task: string }
  | { type: 'tasks'; query: TaskQuery }
  | { type: 'runs'; task: string; only?: readonly string[] | undefined }
  | { type: 'pipelines'; query: PipelineQuery }
  | { type: 'pipeline'; pipelineId: string }
  | { type: 'lastLineUntil'; task: string; time: number }
  | { type: 'size' }
  | { type: 'close' };

/** What each query is answered with. */
export interface QueryResult {
  read: Page;
  walk: WalkedPage;
  heads: { heads: (TaskHead | undefined)[]; nextPosition: number; change: number };
  task: TaskRecord | undefined;
  tasks: TaskRecord[];
  runs: RunRecord[];
  pipelines: PipelineRecord[];
  pipeline: PipelineRecord | undefined;
  lastLineUntil: number;
  size: { chunks: number; freeBytes: number };
  close: undefined;
}

export type ReaderAnswer =
  | { type: 'result'; id: number; result: QueryResult[keyof QueryResult]; epoch: string; generation: number }
  | { type: 'error'; id: number; failure: Failure };

class Reader {
  readonly #port: MessagePort;
  readonly #path: string;
  #db: Database.Database | undefined;
  #reads: Reads | undefined;

  constructor(port: MessagePort, path: string) {
    this.#port = port;
    this.#path = path;
    port.on('message', (request: ReaderRequest) => this.#receive(request));
  }

  #receive(request: ReaderRequest): void {
    if (request.type === 'close') {
      this.#db?.close();
      this.#port.close();
      return;
    }
    const { id } = request;
    try {
      const reads = this.#opened();
      const result = answered(reads, request);
      const { epoch, generation } = reads.store();
      const answer: ReaderAnswer = { type: 'result', id, result, epoch, generation };
      this.#port.postMessage(answer, isPage(result) ? [result.bytes] : []);
    } catch (error) {
      const failure = failureOf(error);
      // A place that can't be read is no reason to end: everything else still can be, and written.
      const answer: ReaderAnswer = { type: 'error', id, failure: { ...failure, reason: 'other' } };
      this.#port.postMessage(answer);
    }
  }

  /** Opened with the first question: by then the writer has made the file. */
  #opened(): Reads {
    this.#db ??= openForReading(this.#path);
    this.#reads ??= new Reads(this.#db);
    return this.#reads;
  }
}

function isPage(result: QueryResult[Query['type']]): result is Page {
  return typeof result === 'object' && 'bytes' in result;
}

function answered(reads: Reads, query: Exclude<ReaderRequest, { type: 'close' }>): QueryResult[Query['type']] {
  switch (query.type) {
    case 'read':
      return reads.read(query.read);
    case 'walk':
      return reads.walk(query.walk);
    case 'heads': {
      const heads = reads.heads(query.tasks);
      const { nextPosition, change } = reads.store();
      return { heads, nextPosition, change };
    }
    case 'task':
      return reads.task(query.task);
    case 'tasks':
      return reads.tasks(query.query);
    case 'runs':
      return reads.runs(query.task, query.only);
    case 'pipelines':
      return reads.pipelines.list(query.query);
    case 'pipeline':
      return reads.pipelines.one(query.pipelineId);
    case 'lastLineUntil':
      return reads.lastLineUntil(query.task, query.time);
    case 'size':
      return reads.size();
  }
}

if (parentPort) new Reader(parentPort, workerData as string);
