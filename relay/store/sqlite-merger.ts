import type Database from 'better-sqlite3';
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { mergeGroup } from './merge-chunks.ts';
import { RecentWork, WholeWork, type MergeWork } from './merge-work.ts';
import { failureOf } from './sqlite-errors.ts';
import { MergeReads } from './sqlite-merge-reads.ts';
import type { MergerAnswer, MergerRequest } from './sqlite-merging.ts';
import { openForReading } from './sqlite-schema.ts';
import type { Considered, Swap } from './sqlite-swaps.ts';

/** The worker thread that makes large chunks of small ones. It only reads; the writer puts them into place. */
export interface MergerOptions {
  path: string;
  /** To the writer. */
  writer: MessagePort;
}

/** What is sent to the writer at once. */
const MAX_BATCH_CHUNKS = 2048;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** Tasks of one answer to a sweep. */
const SWEEP_TASKS = 64;

class Merger {
  readonly #port: MessagePort;
  readonly #path: string;
  #db: Database.Database | undefined;
  #opened: MergeReads | undefined;
  #onSwapped: (done: boolean[]) => void = () => undefined;
  #trouble: string[] = [];

  constructor(parent: MessagePort, { path, writer }: MergerOptions) {
    this.#path = path;
    this.#port = writer;
    writer.on('message', (request: MergerRequest) => {
      if (request.type === 'swapped') this.#onSwapped(request.done);
      else void this.#serve(request);
    });
    // The only thing that the parent ever says: it is over.
    parent.once('message', () => {
      this.#db?.close();
      writer.close();
      parent.close();
    });
  }

  async #serve(request: Exclude<MergerRequest, { type: 'swapped' }>): Promise<void> {
    const considered: Considered[] = [];
    let after: number | undefined;
    this.#trouble = [];
    try {
      const found = request.type === 'sweep' ? this.#reads().tasks(request, SWEEP_TASKS) : undefined;
      after = found?.after;
      const force = request.type === 'sweep' && request.force;
      const tasks = found?.tasks.map((task) => ({ task, final: true })) ?? ('tasks' in request ? request.tasks : []);
      const work: MergeWork[] = [];
      for (const { task: name, final } of tasks) {
        const task = this.#reads().task(name);
        if (!task) continue;
        const one = this.#attempt(name, () =>
          force ? new WholeWork(this.#reads(), task) : new RecentWork(this.#reads(), task, final),
        );
        if (one) work.push(one);
        // Its chunks stay as they are, and are not looked at again with each append.
        else considered.push({ task: name, loose: task.nextLine, nextLine: task.nextLine });
      }
      await this.#merge(work);
      considered.push(...work.map((one) => one.considered()));
    } catch (error) {
      this.#trouble.push(`small chunks could not be read: ${failureOf(error).message}`);
    }
    this.#port.postMessage({ type: 'done', considered, after, trouble: this.#trouble } satisfies MergerAnswer);
  }

  /** Trouble with one task is none of the others'. */
  #attempt<Result>(task: string, work: () => Result): Result | undefined {
    try {
      return work();
    } catch (error) {
      this.#trouble.push(`small chunks of ${JSON.stringify(task)} could not be merged: ${failureOf(error).message}`);
      return undefined;
    }
  }

  /** Round by round, for all tasks together: the writer is asked as seldom as can be. */
  async #merge(work: readonly MergeWork[]): Promise<void> {
    for (let left = work; left.length > 0;) {
      const { merged, failed } = await this.#round(left);
      left = left.filter(
        (one) => !failed.has(one) && (this.#attempt(one.task, () => one.next(merged.has(one))) ?? false),
      );
    }
  }

  /** Answers the tasks of which something was merged and put into place, and those that can't be read. */
  async #round(work: readonly MergeWork[]): Promise<{ merged: Set<MergeWork>; failed: Set<MergeWork> }> {
    const merged = new Set<MergeWork>();
    const failed = new Set<MergeWork>();
    let batch: { swap: Swap; of: MergeWork }[] = [];
    let chunks = 0;
    let bytes = 0;
    const send = async (): Promise<void> => {
      if (batch.length === 0) return;
      const done = await this.#send(batch.map(({ swap }) => swap));
      batch.forEach(({ swap, of }, index) => {
        if (done[index] && swap.merged) merged.add(of);
      });
      batch = [];
      chunks = bytes = 0;
    };
    for (const of of work) {
      const { task, level } = of;
      const groups = this.#attempt(task, () => of.groups());
      if (!groups) failed.add(of);
      for (const group of groups ?? []) {
        const swaps = this.#attempt(task, () => mergeGroup(group, { task, reads: this.#reads(), level }));
        for (const swap of swaps ?? []) {
          batch.push({ swap, of });
          chunks += swap.old.length;
          bytes += swap.merged?.bytes.length ?? 0;
        }
        if (chunks >= MAX_BATCH_CHUNKS || bytes >= MAX_BATCH_BYTES) await send();
      }
    }
    await send();
    return { merged, failed };
  }

  #send(swaps: Swap[]): Promise<boolean[]> {
    return new Promise((resolve) => {
      this.#onSwapped = resolve;
      this.#port.postMessage({ type: 'swap', swaps } satisfies MergerAnswer);
    });
  }

  /** Opened with the first question: by then the writer has made the file. */
  #reads(): MergeReads {
    this.#db ??= openForReading(this.#path);
    this.#opened ??= new MergeReads(this.#db);
    return this.#opened;
  }
}

if (parentPort) new Merger(parentPort, workerData as MergerOptions);
