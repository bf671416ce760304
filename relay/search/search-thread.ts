import { Worker } from 'node:worker_threads';
import { workerUrl } from '../../shared/worker.ts';
import { StoreError, type ReadsElsewhere } from '../store/store.ts';
import type { Scan, Scanned } from './scan.ts';
import type { SearchAnswer, SearchRequest } from './search-worker.ts';

/** One thread that searches. It keeps the process alive only while somebody waits for it. */
export class SearchThread {
  /** Called when a stretch was answered, and when the thread has died. */
  onChange: () => void = () => undefined;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PromiseWithResolvers<Scanned>>();
  readonly #exited: Promise<void>;
  #nextId = 1;
  #dead = false;

  constructor(elsewhere: ReadsElsewhere) {
    // None of the process's own options: some of them (--input-type) are refused for a worker's file.
    this.#worker = new Worker(workerUrl('search-worker', import.meta.url), {
      workerData: elsewhere,
      name: 'search-worker',
      execArgv: [],
    });
    this.#worker.unref();
    this.#worker.on('message', (answer: SearchAnswer) => this.#answered(answer));
    this.#worker.on('error', (error: Error) => this.#died(error.message, error));
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#died(`it ended with code ${code}`);
        resolve();
      });
    });
  }

  /** Stretches that it has not answered. */
  get load(): number {
    return this.#waiting.size;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Rejects with a StoreError. What was stopped (`stop` is not 0) rejects too, with an error that nobody should see. */
  scan(scan: Scan, stop: Int32Array): Promise<Scanned> {
    const waiting = Promise.withResolvers<Scanned>();
    const id = this.#nextId++;
    if (this.#waiting.size === 0) this.#worker.ref();
    this.#waiting.set(id, waiting);
    this.#worker.postMessage({ type: 'scan', id, scan, stop } satisfies SearchRequest);
    return waiting.promise;
  }

  /** Resolves when the thread is gone, after what it was asked before. */
  async close(): Promise<void> {
    if (this.#dead) return;
    this.#worker.ref();
    this.#worker.postMessage({ type: 'close' } satisfies SearchRequest);
    await this.#exited;
  }

  #answered(answer: SearchAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (answer.type === 'scanned') waiting?.resolve(answer.scanned);
    else waiting?.reject(answer.type === 'failed' ? failure(answer.message) : new Error('the search was stopped'));
    this.onChange();
  }

  #died(message: string, cause?: Error): void {
    if (this.#dead) return;
    this.#dead = true;
    for (const { reject } of this.#waiting.values()) reject(failure(message, cause));
    this.#waiting.clear();
    this.onChange();
  }
}

function failure(message: string, cause?: Error): StoreError {
  return new StoreError('other', `the search broke off: ${message}`, cause && { cause });
}
