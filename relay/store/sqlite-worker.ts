import { extname } from 'node:path';
import { Worker, type MessagePort } from 'node:worker_threads';
import { StoreError } from './store.ts';

/** A worker thread that answers requests. */
export class StoreWorker<Request extends { type: string }, Answer> {
  onAnswer: (answer: Answer) => void = () => undefined;
  /** Resolves if the thread dies without having been asked to. */
  readonly died: Promise<StoreError>;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #closing = false;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (answer: Answer) => this.onAnswer(answer));
    this.died = new Promise((resolve) => {
      const died = (error: Error): void => {
        if (this.#closing) return;
        resolve(new StoreError('crashed', `a worker of the store died: ${error.message}`, { cause: error }));
      };
      worker.on('error', died);
      worker.on('exit', (code) => died(new Error(`it ended with code ${code}`)));
    });
    this.#exited = new Promise((resolve) => void worker.on('exit', () => resolve()));
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
}

/** Starts `name` of this folder: `.ts` from source, `.js` where it was built beside the bundle. */
export function startWorker(name: string, workerData: unknown, transferList: MessagePort[] = []): Worker {
  // None of the process's own options: some of them (--input-type) are refused for a worker's file.
  return new Worker(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url), {
    workerData,
    transferList,
    name,
    execArgv: [],
  });
}
