import type { Worker } from 'node:worker_threads';
import { MAX_CHUNK_BYTES } from '../shared/chunk.ts';
import { workerUrl } from '../shared/worker.ts';
import type { PackedBatch, Rewound, SpoolBatch, SpoolCalls, SpoolOpening, SpoolState } from './spool-contract.ts';
import type { SpoolAnswer, SpoolRequest } from './spool-worker.ts';

/** Bytes that one `write` takes, if it is more than one record. */
export const BATCH_BYTES = MAX_CHUNK_BYTES;

/** An operation of the spool that failed; `code` is SQLite's or the system's, if it is theirs. */
export class SpoolError extends Error {
  readonly code: string | undefined;
  constructor(message: string, code?: string) {
    super(message);
    this.name = 'SpoolError';
    this.code = code;
  }
}

/**
 * A spool file in its worker. Calls are done in their order; each resolves when it is done (a write: when it survives
 * SIGKILL) and rejects with a SpoolError if it failed or the worker died, which then is replaced by the next `open`.
 * The worker keeps the process alive only while a call is under way.
 */
export class Spool {
  #worker: Worker | undefined;
  readonly #calls = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #id = 0;
  /** Goes to the worker with a batch and comes back with the answer. */
  #batch: ArrayBuffer | undefined;

  /** `first` is written with a file that is made: at most BATCH_BYTES of records, or a single record. */
  open({ first, ...call }: Opening): Promise<SpoolState> {
    try {
      this.#worker ??= this.#start();
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new SpoolError(String(error)));
    }
    if (!first) return this.#call('open', call);
    const bytes = first.records.reduce((sum, record) => sum + record.length, 0);
    return this.#call('open', { ...call, first: packed(first, new ArrayBuffer(bytes)) });
  }

  /** Takes at most BATCH_BYTES of records, or a single record. One write at a time. Resolves with the spool's bytes. */
  async write(batch: SpoolBatch): Promise<number> {
    const data = this.#batch ?? new ArrayBuffer(BATCH_BYTES);
    this.#batch = undefined;
    const written = await this.#call('write', packed(batch, data), [data]);
    this.#batch = written.data;
    return written.bytes;
  }

  /** Records from `fromSeq` on. They share one buffer. */
  async read(fromSeq: number, maxBytes: number): Promise<{ firstSeq: number; bytes: Buffer }[]> {
    const { data, records } = await this.#call('read', { fromSeq, maxBytes });
    let at = 0;
    return records.map(({ firstSeq, size }) => ({ firstSeq, bytes: Buffer.from(data, (at += size) - size, size) }));
  }

  chainAt(seq: number): Promise<ReturnType<SpoolCalls['chainAt']>> {
    return this.#call('chainAt', { seq });
  }

  drop(call: Parameters<SpoolCalls['drop']>[0]): Promise<ReturnType<SpoolCalls['drop']>> {
    return this.#call('drop', call);
  }

  reject(call: Parameters<SpoolCalls['reject']>[0]): Promise<number> {
    return this.#call('reject', call);
  }

  rewind(call: Parameters<SpoolCalls['rewind']>[0]): Promise<Rewound> {
    return this.#call('rewind', call);
  }

  reset(call: Parameters<SpoolCalls['reset']>[0]): Promise<void> {
    return this.#call('reset', call);
  }

  fork(call: Parameters<SpoolCalls['fork']>[0]): Promise<void> {
    return this.#call('fork', call);
  }

  /** Lets go of file and lock, and ends the worker. `destroy`: deletes the spool before. */
  async close(how: 'keep' | 'destroy'): Promise<void> {
    if (!this.#worker) return;
    try {
      await this.#call(how === 'destroy' ? 'destroy' : 'close', undefined);
    } finally {
      await this.terminate();
    }
  }

  /** Ends the worker, whatever it does; the file is as after a SIGKILL. */
  async terminate(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#failAll(new SpoolError('the spool was closed'));
    await worker?.terminate();
  }

  #start(): Worker {
    // Loaded when there is a use for it, which a short job has not.
    const { Worker } = process.getBuiltinModule('node:worker_threads');
    const worker = new Worker(workerUrl('spool-worker', import.meta.url), {
      // The parent's loaders and flags are none of its business, and cost it start-up time.
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
    worker.unref();
    worker.on('message', (answer: SpoolAnswer) => this.#answered(answer));
    worker.on('error', (error: Error) => this.#died(worker, error));
    worker.on('exit', (code) => this.#died(worker, new Error(`its worker ended with code ${code}`)));
    return worker;
  }

  #call<Op extends keyof SpoolCalls>(
    op: Op,
    call: Parameters<SpoolCalls[Op]>[0],
    transfer?: ArrayBuffer[],
  ): Promise<ReturnType<SpoolCalls[Op]>> {
    return new Promise((resolve, reject) => {
      const worker = this.#worker;
      if (!worker) {
        reject(new SpoolError('the spool is not open'));
        return;
      }
      const id = this.#id++;
      this.#calls.set(id, { resolve: resolve as (value: unknown) => void, reject });
      worker.ref();
      worker.postMessage({ id, op, call } satisfies SpoolRequest, transfer);
    });
  }

  #answered(answer: SpoolAnswer): void {
    const call = this.#calls.get(answer.id);
    this.#calls.delete(answer.id);
    if (this.#calls.size === 0) this.#worker?.unref();
    if (answer.error) call?.reject(new SpoolError(answer.error.message, answer.error.code));
    else call?.resolve(answer.value);
  }

  #died(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#failAll(new SpoolError(error.message, 'WORKER'));
  }

  #failAll(error: SpoolError): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { reject } of calls) reject(error);
  }
}

function packed({ records, ...rest }: SpoolBatch, data: ArrayBuffer): PackedBatch {
  const into = Buffer.from(data);
  let at = 0;
  for (const record of records) at += record.copy(into, at);
  return { ...rest, data, sizes: records.map((record) => record.length) };
}

type Opening = Omit<SpoolOpening, 'first'> & { first?: SpoolBatch };
