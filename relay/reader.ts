import PQueue from 'p-queue';
import { cursorWriter, decodeCursor } from '../shared/cursor.ts';
import { KerutaError } from '../shared/errors.ts';
import { readOn, type Batch } from './cursor.ts';
import { compileFilter, type Filter } from './filter.ts';
import { Followed } from './followed.ts';
import { countMatches, isDirect } from './page-find.ts';
import { readPage, readPageBefore, readPageFrom, type Page, type PageOptions, type PageSource } from './page.ts';
import { placeBefore } from './place-before.ts';
import { RunFacts } from './run-facts.ts';
import { foundIn, type ScanRange } from './scan-range.ts';
import type { Scanned } from './search/scan.ts';
import { Searches } from './search/searches.ts';
import type { Store, TaskHead, TaskQuery, TaskRecord, RunRecord } from './store/store.ts';
import { Tail } from './tail.ts';
import { Watch } from './watch.ts';

/** What the APIs read from: lines of a task from any place, followed or in pages, through one filter. */
export class Reader {
  /** Who follows tasks, and how far they are. */
  readonly followed = new Followed();
  /** What is known of the runs whose lines are read. */
  readonly facts: RunFacts;
  readonly #store: Store;
  readonly #tail: Tail;
  readonly #watch: Watch;
  readonly #searches: Searches;
  readonly #searchTurns = new PQueue({ concurrency: SEARCHES_AT_ONCE });
  readonly #walkTurns = new PQueue({ concurrency: WALKS_AT_ONCE });

  constructor(options: { store: Store; tail?: Tail; facts?: RunFacts }) {
    this.#store = options.store;
    this.facts = options.facts ?? new RunFacts(options);
    this.#tail = options.tail ?? new Tail({ store: options.store });
    this.#watch = new Watch({ store: options.store });
    this.#searches = new Searches({ store: options.store, facts: this.facts });
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
    const find = (): Promise<number> => placeBefore((range) => this.#scan(task, range), options);
    return options.filter.searches ? waited(this.#searchTurns, find, options.signal) : find();
  }

  /** Follows a task, which need not exist yet. See `readOn` in cursor.ts. */
  follow(task: string, options: FollowOptions): AsyncGenerator<Batch, void, undefined> {
    const { filter = EVERYTHING, ...rest } = options;
    return readOn({ ...rest, task, filter, tail: this.#tail, watch: this.#watch, facts: this.facts });
  }

  /**
   * The page at an offset and how many lines match in all. Its lines are read when they are taken: see `Page`. Like
   * everything that may search, it waits while too many others do, and rejects with OVERLOADED if too many wait.
   */
  page(task: TaskRecord, options: PageOptions & { offset: number }): Promise<Page> {
    return this.#inTurn(task, options, (source) => readPage(source, options));
  }

  /** The first `size` matching lines of those from `from` through `through`. */
  pageFrom(task: TaskRecord, options: PageOptions & { from: number; through: number }): Promise<Page> {
    return this.#inTurn(task, options, (source) => readPageFrom(source, options));
  }

  /** The last `size` matching lines of those before the line `before`. */
  pageBefore(task: TaskRecord, options: PageOptions & { before: number }): Promise<Page> {
    return this.#inTurn(task, options, (source) => readPageBefore(source, options));
  }

  /**
   * Forgets the lines of a task from the first through the last one that has no line later than `time` (ms) before it.
   * Answers how many lines went.
   */
  async deleteUntil(task: string, time: number): Promise<number> {
    const { trimmedLine, lines } = await this.#store.trim(task, await this.#store.lastLineUntil(task, time));
    this.#tail.forget(task, trimmedLine);
    return lines;
  }

  /** How many lines match. */
  count(task: TaskRecord, options: { filter: Filter; signal: AbortSignal }): Promise<number> {
    return this.#inTurn(task, options, (source) => countMatches(source, options));
  }

  /**
   * What is there of the lines from `from` through `through`, in batches that are read as they are taken; then it ends.
   * Rejects with the signal's reason when that aborts.
   */
  stream(
    task: TaskRecord,
    options: { filter: Filter; from?: number; through?: number; signal: AbortSignal },
  ): AsyncGenerator<Batch, void, undefined> {
    const { filter, from = 1, through = Infinity, signal } = options;
    return this.follow(task.task, { filter, from, through: Math.min(through, task.nextLine - 1), signal });
  }

  async #inTurn<T>(
    record: TaskRecord,
    { filter, signal }: { filter: Filter; signal: AbortSignal },
    read: (source: PageSource) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const source = this.#source(record);
    if (isDirect(source, filter)) return read(source);
    const queue = filter.searches ? this.#searchTurns : this.#walkTurns;
    return waited(queue, () => read(source), signal);
  }

  #source(record: TaskRecord): PageSource {
    const { task, lines, textBytes } = record;
    return {
      ...{ record, store: this.#store, facts: this.facts },
      follow: (options) => this.follow(task, options),
      scan: (range) => this.#scan(task, { ...range, ...(lines > 0 && { lineBytes: textBytes / lines }) }),
    };
  }

  /** Text is searched in threads of its own; all else is mostly done by headers. */
  #scan(
    task: string,
    { counts, lineBytes, readBytes, ...range }: ScanOptions,
  ): AsyncGenerator<Scanned, void, undefined> {
    if (!range.filter.searches) return foundIn(this.follow(task, { ...range, ...(readBytes && { readBytes }) }));
    return this.#searches.search({ ...range, task, ...(counts && { counts }), ...(lineBytes && { lineBytes }) });
  }

  /** Ends what searches. To be called before the store is closed. */
  close(): Promise<void> {
    return this.#searches.close();
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

interface ScanOptions extends ScanRange {
  lineBytes?: number;
}

/** What a search answers, when it is its turn. */
async function waited<T>(queue: PQueue, search: () => Promise<T>, signal: AbortSignal): Promise<T> {
  if (queue.size >= MAX_WAITING) {
    throw new KerutaError('OVERLOADED', `${queue.size} searches are waiting for their turn.`);
  }
  return queue.add(search, { signal });
}

const EVERYTHING = compileFilter();

function extent(task: string, head: TaskHead | undefined): string {
  if (head === undefined) return `There is no task ${JSON.stringify(task)} yet.`;
  if (head.nextLine === 1) return 'The task has no lines yet.';
  if (head.trimmedLine >= head.nextLine - 1) return `The task's lines up to ${head.trimmedLine} were trimmed.`;
  return `The task has the lines ${head.trimmedLine + 1} to ${head.nextLine - 1}.`;
}

/** A search reads a whole task; more of them at once would only slow each other, ingest and live readers down. */
const SEARCHES_AT_ONCE = 2;
/** What headers answer, with a look into a few bodies. */
const WALKS_AT_ONCE = 4;
const MAX_WAITING = 100;
