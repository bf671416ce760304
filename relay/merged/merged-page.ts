import { KerutaError } from '../../shared/errors.ts';
import { countPairs, type Filter } from '../filter.ts';
import { groupOf, type Store, type TaskRecord } from '../store/store.ts';
import { Marks } from '../page-marks.ts';
import { factsOf } from './known-tasks.ts';
import type { MergedEvent } from './merged-event.ts';
import { surveyMerged, type MergedSource } from './merged-survey.ts';
import { PageEvents } from './page-events.ts';
import type { TaskFacts } from './task-facts.ts';

export interface PageParts extends MergedSource {
  /** How many lines of a task match. */
  count: (record: TaskRecord, options: { filter: Filter; signal: AbortSignal }) => Promise<number>;
}

export interface PageOptions {
  group?: string;
  filter: Filter;
  may?: (facts: TaskFacts) => boolean;
  offset: number;
  size: number;
  order: 'asc' | 'desc';
  /** Of text; see `MergedPageOptions`. */
  maxBytes?: number;
  signal: AbortSignal;
}

/** See `MergedReader.page`. */
export async function readMergedPage(
  parts: PageParts,
  options: PageOptions,
): Promise<{ total: number; events: MergedEvent[] }> {
  const { offset, size, order, maxBytes = Infinity } = options;
  const total = await totalOf(parts, options);
  const head = await parts.store.nextPosition();
  if (size === 0) return { total, events: [] };
  const place = await (order === 'asc' ? placeFromStart : placeFromEnd)(parts, options, head);
  // Gaps behind the last line of all are on its page.
  const toEnd = order === 'asc' ? offset + size >= total : offset === 0;
  const page = new PageEvents({ ...place, toEnd });
  for await (const { events } of parts.read({ ...options, from: place.from, until: head })) {
    options.signal.throwIfAborted();
    page.add(events);
    if (page.textBytes > maxBytes) {
      const limit = `${Math.floor(maxBytes / 2 ** 20)} MiB`;
      throw new KerutaError('TOO_LARGE', `The page has more than ${limit} of text; ask for fewer lines at once.`);
    }
    if (page.over) break;
  }
  if (offset > 0 && page.empty) return { total, events: [] };
  return { total, events: order === 'asc' ? page.events : page.newestFirst() };
}

/** The position from which on `size` lines match, as the store is now; that of the first one if there are fewer. */
export async function placeBeforeHead(
  parts: MergedSource,
  options: Pick<PageOptions, 'group' | 'filter' | 'may' | 'size' | 'signal'>,
): Promise<number> {
  const head = await parts.store.nextPosition();
  if (options.size === 0) return head;
  const place = await placeFromEnd(parts, { ...options, offset: 0 }, head);
  let { skip } = place;
  for await (const { events } of parts.read({ ...options, from: place.from, until: head })) {
    options.signal.throwIfAborted();
    for (const event of events) {
      if (event.type !== 'lines') continue;
      const { block, first, end, matches } = event;
      const count = matches?.length ?? end - first;
      if (skip < count) return block.position + (matches?.[skip] ?? first + skip);
      skip -= count;
    }
  }
  return head;
}

async function totalOf(parts: PageParts, options: PageOptions): Promise<number> {
  const { filter, may, signal } = options;
  let total = 0;
  for await (const record of tasksOf(parts.store, options.group)) {
    signal.throwIfAborted();
    if (may?.(factsOf(record.task, record)) === false) continue;
    total +=
      filter.pairsOnly === undefined
        ? await parts.count(record, { filter, signal })
        : countPairs(record.counts, filter.pairsOnly);
  }
  return total;
}

async function* tasksOf(
  store: Pick<Store, 'task' | 'tasks'>,
  group: string | undefined,
): AsyncGenerator<TaskRecord, void, undefined> {
  if (group !== undefined) {
    const alone = await store.task(group);
    if (alone !== undefined && groupOf(alone) === group && alone.pipelineId === undefined) yield alone;
  }
  const query = { limit: TASKS_AT_ONCE, ...(group !== undefined && { pipelineId: group }) };
  for (let before: string | undefined; ;) {
    const records = await store.tasks({ ...query, ...(before !== undefined && { before }) });
    yield* records;
    before = records.at(-1)?.task;
    if (records.length < TASKS_AT_ONCE) return;
  }
}

/** Where to read from, and how many matching lines to pass over there: so that the gaps ahead of the page come with it. */
interface Place {
  from: number;
  skip: number;
  size: number;
}

async function placeFromStart(parts: PageParts, options: PageOptions, head: number): Promise<Place> {
  const { offset, size } = options;
  if (offset === 0) return { from: 0, skip: 0, size };
  let passed = 0;
  for await (const { position, count } of surveyMerged(parts, { ...options, from: 0, until: head })) {
    if (passed + count >= offset) return { from: position, skip: offset - passed, size };
    passed += count;
  }
  return { from: head, skip: 0, size: 0 };
}

/** Looks backward, in windows that grow. */
async function placeFromEnd(parts: MergedSource, options: Omit<PageOptions, 'order'>, head: number): Promise<Place> {
  const { offset, size } = options;
  const wanted = offset + size;
  let behind = 0;
  for (let [from, positions] = [head, FIRST_WINDOW]; from > 0; positions *= 4) {
    const until = from;
    from = Math.max(0, until - positions);
    const marks = new Marks();
    let passed = behind;
    for await (const { position, count } of surveyMerged(parts, { ...options, from, until })) {
      marks.add({ firstLine: position, passed: passed - behind });
      passed += count;
    }
    // One more is needed, since the gaps ahead of the page's first line come with it.
    if (passed > wanted) return { ...marks.placeOf(passed - wanted), size };
    behind = passed;
  }
  return { from: 0, skip: 0, size: Math.max(0, behind - offset) };
}

const FIRST_WINDOW = 16_384;
const TASKS_AT_ONCE = 500;
