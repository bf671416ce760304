import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { compileFilter, type Filter } from '../filter.ts';
import { RunFacts } from '../run-facts.ts';
import type { ReadsElsewhere, ReadsModule, StoreReads } from '../store/store.ts';
import { scanStretch, type Scan, type Scanned } from './scan.ts';

/** A thread that searches: it reads the store by itself, and answers one stretch after the other. */
export type SearchRequest =
  | { type: 'scan'; id: number; scan: Scan; /** One word: not 0 when nobody waits any more. */ stop: Int32Array }
  | { type: 'close' };

export type SearchAnswer =
  | { type: 'scanned'; id: number; scanned: Scanned }
  | { type: 'stopped'; id: number }
  | { type: 'failed'; id: number; message: string };

class Searcher {
  readonly #port: MessagePort;
  readonly #elsewhere: ReadsElsewhere;
  readonly #filters = new Map<string, Filter>();
  #reads: Promise<{ reads: StoreReads; facts: RunFacts }> | undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(port: MessagePort, elsewhere: ReadsElsewhere) {
    this.#port = port;
    this.#elsewhere = elsewhere;
    port.on('message', (request: SearchRequest) => {
      this.#turn = this.#turn.then(() => (request.type === 'close' ? this.#close() : this.#serve(request)));
    });
  }

  async #serve({ id, scan, stop }: SearchRequest & { type: 'scan' }): Promise<void> {
    const check = (): void => {
      if (Atomics.load(stop, 0) !== 0) throw new Stopped();
    };
    let answer: SearchAnswer;
    try {
      check();
      const { reads, facts } = await (this.#reads ??= this.#open());
      answer = {
        type: 'scanned',
        id,
        scanned: await scanStretch(scan, { reads, facts, filter: this.#filterOf(scan), check }),
      };
    } catch (error) {
      answer =
        error instanceof Stopped ? { type: 'stopped', id } : { type: 'failed', id, message: (error as Error).message };
    }
    this.#port.postMessage(answer);
  }

  async #open(): Promise<{ reads: StoreReads; facts: RunFacts }> {
    const { module, data } = this.#elsewhere;
    const found = (await import(module)) as ReadsModule;
    const reads = found.openReads(data);
    return { reads, facts: new RunFacts({ store: reads }) };
  }

  #filterOf({ key, spec }: Scan): Filter {
    let filter = this.#filters.get(key);
    if (filter !== undefined) return filter;
    if (this.#filters.size >= MAX_FILTERS) this.#filters.clear();
    filter = compileFilter(spec);
    this.#filters.set(key, filter);
    return filter;
  }

  async #close(): Promise<void> {
    const opened = await this.#reads?.catch(() => undefined);
    opened?.reads.close();
    this.#port.close();
  }
}

class Stopped extends Error {}

/** A filter belongs to many stretches; few searches go on at the same time. */
const MAX_FILTERS = 8;

if (parentPort) new Searcher(parentPort, workerData as ReadsElsewhere);
