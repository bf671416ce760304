import { cursorWriter, decodeCursor } from '../shared/cursor.ts';
import { KerutaError } from '../shared/errors.ts';
import { readOn, type Batch } from './cursor.ts';
import { compileFilter, type Filter } from './filter.ts';
import { countMatches, readFrom, readPage, type Page, type PageSource } from './page.ts';
import { placeBefore } from './place-before.ts';
import type { Store, TaskHead, TaskQuery, TaskRecord, RunRecord } from './store/store.ts';
import { Tail } from './tail.ts';
import { Watch } from './watch.ts';

/** What the APIs read from: lines of a task from any place, followed or in pages, through one filter. */
export class Reader {
  readonly #store: Store;
  readonly #tail: Tail;
  readonly #watch: Watch;

  constructor(options: { store: Store; tail?: Tail }) {
    this.#store = options.store;
    this.#tail = options.tail ?? new Tail({ store: options.store });
    this.#watch = new Watch({ store: options.store });
  }

  /** The store's epoch now; what is rendered with it is valid for it only. */
  epoch(): string {
    return this.#store.epoch();
  }

  /** Writes cursors of the store as it is now. */
  cursors(): (line: number) => string {
    return cursorWriter(this.#store.epoch());
  }

  head(task: string): Promise<TaskHead | undefined> {
    return this.#store.head(task);
  }

  task(task: string): Promise<TaskRecord | undefined> {
    return this.#store.task(task);
  }

  runs(task: string): Promise<RunRecord[]> {
    return this.#store.runs(task);
  }

  tasks(query: TaskQuery): Promise<TaskRecord[]> {
    return this.#store.tasks(query);
  }

  /**
   * The line number that a place means: `start` the first there ever was, `now` the next to come, digits a line
   * number, all else a cursor. Throws INVALID_INPUT or INVALID_CURSOR, which says what there is instead.
   */
  async place(task: string, place: string): Promise<number> {
    if (place === 'start') return 1;
    if (place === 'now') return (await this.#store.head(task))?.nextLine ?? 1;
    if (/^\d{1,15}$/.test(place)) return Math.max(1, Number(place));
    const cursor = decodeCursor(place);
    if (cursor?.epoch === this.#store.epoch()) return Math.max(1, cursor.line);
    const head = await this.#store.head(task);
    throw new KerutaError(
      'INVALID_CURSOR',
      `${JSON.stringify(place)} is no place in this store${cursor ? ', but one in another' : ''}. ${extent(task, head)}`,
    );
  }

  /** The number of the line from which on `count` lines below `before` match; the first one's if there are fewer. */
  placeBefore(
    task: string,
    options: { before: number; count: number; filter: Filter; signal: AbortSignal },
  ): Promise<number> {
    return placeBefore((follow) => this.follow(task, follow), options);
  }

  /** Follows a task, which need not exist yet. See `readOn` in cursor.ts. */
  follow(task: string, options: FollowOptions): AsyncGenerator<Batch, void, undefined> {
    const { filter = EVERYTHING, ...rest } = options;
    return readOn({ ...rest, task, filter, tail: this.#tail, watch: this.#watch });
  }

  /** A page of matching lines by offset, the oldest first, and how many there are in all. */
  page(
    task: TaskRecord,
    options: { filter: Filter; offset: number; size: number; signal: AbortSignal },
  ): Promise<Page> {
    return readPage(this.#source(task), options);
  }

  /** The first `size` matching lines of those from `from` through `through`, or all if they are fewer. */
  pageFrom(
    task: TaskRecord,
    options: { filter: Filter; from: number; through: number; size: number; signal: AbortSignal },
  ): Promise<Page> {
    return readFrom(this.#source(task), { ...options, skip: 0 });
  }

  /** How many lines match. */
  count(task: TaskRecord, options: { filter: Filter; signal: AbortSignal }): Promise<number> {
    return countMatches(this.#source(task), options);
  }

  #source(record: TaskRecord): PageSource {
    return { record, store: this.#store, follow: (options) => this.follow(record.task, options) };
  }
}

export interface FollowOptions {
  /** A line number. */
  from: number;
  filter?: Filter;
  through?: number;
  untilHead?: boolean;
  readBytes?: number;
  expectRuns?: number;
  signal: AbortSignal;
}

const EVERYTHING = compileFilter();

function extent(task: string, head: TaskHead | undefined): string {
  if (head === undefined) return `There is no task ${JSON.stringify(task)} yet.`;
  if (head.nextLine === 1) return 'The task has no lines yet.';
  if (head.trimmedLine >= head.nextLine - 1) return `The task's lines up to ${head.trimmedLine} were trimmed.`;
  return `The task has the lines ${head.trimmedLine + 1} to ${head.nextLine - 1}.`;
}
