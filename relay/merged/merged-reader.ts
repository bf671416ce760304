import PQueue from 'p-queue';
import { decodePosition, positionWriter } from '../../shared/cursor.ts';
import { KerutaError } from '../../shared/errors.ts';
import { compileFilter, type Filter } from '../filter.ts';
import { Reader } from '../reader.ts';
import type { Store, Stored } from '../store/store.ts';
import { GroupEnds } from './group-ends.ts';
import { KnownTasks } from './known-tasks.ts';
import { followMerged, type MergedCursorOptions } from './merged-cursor.ts';
import type { MergedBatch, MergedEvent } from './merged-event.ts';
import { placeBeforeHead, readMergedPage } from './merged-page.ts';
import type { MergedRange, MergedSource } from './merged-survey.ts';
import { MergedTail } from './merged-tail.ts';
import { MergedWatch } from './merged-watch.ts';
import type { TaskFacts } from './task-facts.ts';

/** What the APIs read merged streams from: the lines of all tasks, or of a group's, in the order of the store. */
export class MergedReader {
  readonly tail: MergedTail;
  readonly #store: Store;
  readonly #facts: KnownTasks;
  readonly #watch: MergedWatch;
  readonly #ends: GroupEnds;
  readonly #reader: Reader;
  readonly #searches = new PQueue({ concurrency: SEARCHES_AT_ONCE });
  readonly #walks = new PQueue({ concurrency: WALKS_AT_ONCE });

  /** `reader` counts lines of single tasks, and knows their runs; its `followed` is told what was delivered. */
  constructor({ store, reader = new Reader({ store }) }: { store: Store; reader?: Reader }) {
    this.#store = store;
    this.#reader = reader;
    this.#facts = new KnownTasks({ store });
    this.tail = new MergedTail({ store, facts: this.#facts });
    this.#watch = new MergedWatch({ store, tail: this.tail });
    this.#ends = new GroupEnds({ store });
  }

  /** Notes what a committed append has stored. To be called before readers are woken, so that they find it. */
  stored(stored: Stored): void {
    this.tail.stored(stored);
    if (stored.position !== undefined) this.#reader.followed.stored(ALL, stored.position + stored.count);
  }

  /** The store's epoch now; what is rendered with it is valid for it only. */
  epoch(): string {
    return this.#store.epoch();
  }

  /** Writes cursors of the store as it is now: of the place from which on a stream is to go on. */
  cursors(): (position: number) => string {
    return positionWriter(this.#store.epoch());
  }

  /**
   * The position that a place means: `start` the first there ever was, `now` the next to come, all else a cursor.
   * Throws INVALID_CURSOR, which says what there is instead.
   */
  async place(place: string): Promise<number> {
    if (place === 'start') return 0;
    const head = await this.#store.nextPosition();
    if (place === 'now') return head;
    const cursor = decodePosition(place);
    if (cursor?.epoch === this.#store.epoch()) return cursor.position;
    throw new KerutaError(
      'INVALID_CURSOR',
      `${JSON.stringify(place)} is no place in the merged streams of this store${cursor ? ', but in those of another' : ''}. Use "start", "now", or a cursor that such a stream has brought.`,
    );
  }

  /**
   * Follows the whole store, or a group, of which there need not be a task yet. Every line is handed out once and in the
   * order of positions, whether it was there before or comes now; what is missing is a gap. Counts as delivered, and as
   * lag, what is taken from it. Rejects with the signal's reason when that aborts.
   */
  async *follow(options: MergedFollow): AsyncGenerator<MergedBatch, void, undefined> {
    const { followed } = this.#reader;
    const place: { nextLine: number | undefined } = { nextLine: options.from };
    const leave = followed.join(ALL, place);
    let taken = options.from;
    try {
      for await (const batch of this.#read({ ...options, onIdle: () => (place.nextLine = undefined) })) {
        place.nextLine = taken;
        followed.took(batch);
        yield batch;
        taken = batch.nextPosition;
      }
    } finally {
      leave();
    }
  }

  /**
   * Matching lines, `size` of them behind the first `offset` from the oldest on, or with `desc` from the newest, newest
   * first; with the gaps between them. Each `lines` event has a block that holds its lines alone. `total` is exact for
   * the moment of the call. A page is held as a whole: rejects with TOO_LARGE if there is more on it than its caller
   * wants to hold. Waits while too many others search, and rejects with OVERLOADED if too many wait.
   */
  async page(options: MergedPageOptions): Promise<{ total: number; events: MergedEvent[] }> {
    const { filter = EVERYTHING, order = 'asc', signal } = options;
    const parts = { ...this.#source, count: this.#reader.count.bind(this.#reader) };
    return this.#inTurn(filter, signal, () => readMergedPage(parts, { ...options, filter, order }));
  }

  /** The position from which on `size` lines match, as the store is now. Waits, and rejects, as `page` does. */
  async placeBefore(options: Omit<MergedPageOptions, 'offset' | 'order' | 'maxBytes'>): Promise<number> {
    const { filter = EVERYTHING, signal } = options;
    return this.#inTurn(filter, signal, () => placeBeforeHead(this.#source, { ...options, filter }));
  }

  async #inTurn<T>({ searches }: Filter, signal: AbortSignal, find: () => Promise<T>): Promise<T> {
    const queue = searches ? this.#searches : this.#walks;
    signal.throwIfAborted();
    if (queue.size >= MAX_WAITING) {
      throw new KerutaError('OVERLOADED', `${queue.size} searches are waiting for their turn.`);
    }
    return queue.add(find, { signal });
  }

  get #source(): MergedSource {
    return {
      ...{ store: this.#store, facts: this.#facts, runFacts: this.#reader.facts },
      read: (range: MergedRange) => this.#read(range),
    };
  }

  #read(options: Omit<MergedCursorOptions, 'filter'> & { filter?: Filter | undefined }): AsyncGenerator<MergedBatch> {
    const { filter = EVERYTHING } = options;
    const parts = {
      ...{ store: this.#store, tail: this.tail, watch: this.#watch, ends: this.#ends },
      ...{ facts: this.#facts, runFacts: this.#reader.facts },
    };
    return followMerged(parts, { ...options, filter });
  }
}

export interface MergedFollow {
  /** A pipeline, or a task without one; see `groupOf`. Everything, if absent. */
  group?: string;
  /** A position. One beyond the head waits until the store is there. */
  from: number;
  filter?: Filter;
  /** Whether the lines and gaps of a task are to be handed out: permission. Asked with facts that are seconds old at most. */
  may?: (facts: TaskFacts) => boolean;
  /** End at what is the head when it starts, instead of waiting there. */
  untilHead?: boolean;
  signal: AbortSignal;
}

export interface MergedPageOptions {
  group?: string;
  filter?: Filter;
  may?: (facts: TaskFacts) => boolean;
  offset: number;
  size: number;
  order?: 'asc' | 'desc';
  /** Of text of its lines. Default: without end. */
  maxBytes?: number;
  signal: AbortSignal;
}

/** No task has this name. */
const ALL = '';
const EVERYTHING = compileFilter();
const SEARCHES_AT_ONCE = 2;
const WALKS_AT_ONCE = 4;
const MAX_WAITING = 100;
