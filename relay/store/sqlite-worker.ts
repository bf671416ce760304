import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { StoreError } from './store.ts';

/**
 * A worker thread that answers requests, and what becomes of the store when it dies: `onDeath` is called once, with
 * the reason, unless `close` was called before.
 */
export class StoreWorker<Request extends { type: string }, Answer> {
  onAnswer: (answer: Answer) => void = () => undefined;
  onDeath: (error: StoreError) => void = () => undefined;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #closing = false;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (answer: Answer) => this.onAnswer(answer));
    worker.on('error', (error) => this.#died(error));
    this.#exited = new Promise((resolve) => {
      worker.on('exit', (code) => {
        this.#died(new Error(`it ended with code ${code}`));
        resolve();
      });
    });
  }

  post(request: Request, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, transfer);
  }

  /** Sends the last request and resolves when the thread is gone. */
  async close(request: Request): Promise<void> {
    this.#closing = true;
    this.post(request);
    await this.#exited;
  }

  /** Ends the thread without asking it. */
  async terminate(): Promise<void> {
    this.#closing = true;
    await this.#worker.terminate();
  }

  #died(error: unknown): void {
    if (this.#closing) return;
    this.#closing = true;
    const message = error instanceof Error ? error.message : String(error);
    this.onDeath(new StoreError('crashed', `a worker of the store died: ${message}`, { cause: error }));
  }
}

/** Starts `name` of this folder: `.ts` from source, `.js` where it was built beside the bundle. */
export function startWorker(name: string, workerData: unknown): Worker {
  return new Worker(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url), { workerData, name });
}
