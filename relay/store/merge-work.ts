import { ENOUGH_CHUNKS, LEVELS, planMerges } from './merge-plan.ts';
import type { MergeReads, MergeRow, MergeTask } from './sqlite-merge-reads.ts';
import type { Considered } from './sqlite-swaps.ts';

/** What is to be merged of a task, in rounds. */
export interface MergeWork {
  task: string;
  /** The level that the chunks made in this round get, at least. */
  level: number;
  /** Neighbours to become one each. */
  groups(): MergeRow[][];
  /** After a round, of which `any` of the groups became one. False if it was the last. */
  next(any: boolean): boolean;
  /** What was looked at in all. */
  considered(): Considered;
}

/** What came lately, and level by level what becomes of it. */
export class RecentWork implements MergeWork {
  readonly task: string;
  level = 1;
  readonly #task: MergeTask;
  readonly #reads: MergeReads;
  readonly #considered: Considered;
  readonly #from: number;
  #rows: MergeRow[];
  #least: number;

  constructor(reads: MergeReads, task: MergeTask, final: boolean) {
    this.task = task.task;
    this.#task = task;
    this.#reads = reads;
    this.#rows = reads.around(task);
    this.#from = this.#rows.at(0)?.firstLine ?? 1;
    this.#least = final ? 2 : ENOUGH_CHUNKS[0];
    this.#considered = {
      task: task.task,
      loose: looseOf(this.#rows, task),
      nextLine: endOf(this.#rows) ?? task.nextLine,
    };
  }

  groups(): MergeRow[][] {
    return planMerges(this.#rows, { level: this.level - 1, least: this.#least });
  }

  next(any: boolean): boolean {
    if (!any || this.level === LEVELS) return false;
    this.#least = ENOUGH_CHUNKS[this.level];
    this.level++;
    this.#rows = this.#reads.from(this.#task, this.#from);
    return true;
  }

  considered(): Considered {
    return this.#considered;
  }
}

/** Whatever can be merged, from the first line to the last. */
export class WholeWork implements MergeWork {
  readonly task: string;
  readonly level = LEVELS;
  readonly #task: MergeTask;
  readonly #reads: MergeReads;
  #line: number | undefined = 1;
  #loose = 0;

  constructor(reads: MergeReads, task: MergeTask) {
    this.task = task.task;
    this.#task = task;
    this.#reads = reads;
  }

  groups(): MergeRow[][] {
    const rows = this.#reads.from(this.#task, this.#line ?? Infinity);
    this.#loose += looseOf(rows, this.#task);
    this.#line = endOf(rows);
    return planMerges(rows, { level: LEVELS, least: 2 });
  }

  next(): boolean {
    return this.#line !== undefined;
  }

  considered(): Considered {
    return { task: this.task, loose: this.#loose, nextLine: this.#task.nextLine };
  }
}

function endOf(rows: readonly MergeRow[]): number | undefined {
  const last = rows.at(-1);
  return last && last.firstLine + last.count;
}

/** How many of the chunks were counted as loose when the task was read. */
function looseOf(rows: readonly MergeRow[], { looseFrom, nextLine }: MergeTask): number {
  return rows.filter(({ level, firstLine }) => level === 0 && firstLine >= looseFrom && firstLine < nextLine).length;
}
