import { Block } from './block.ts';
import type { Batch, ReadEvent } from './cursor.ts';
import { ALL_PAIRS, countPairs, type Filter } from './filter.ts';
import type { FollowOptions } from './reader.ts';
import type { Store, TaskRecord } from './store/store.ts';

/** Where pages are cut from: a task as it was when the request came, and what is read of it. */
export interface PageSource {
  record: TaskRecord;
  store: Store;
  follow: (options: FollowOptions) => AsyncGenerator<Batch, void, undefined>;
}

export interface Page {
  /** Lines and gaps, the oldest first. Gaps stand behind the line that they follow, the first ones on the first page. */
  events: ReadEvent[];
  /** Matching lines of the whole range that was read; exact unless reading stopped at a full page. */
  total: number;
  /** The place behind the last line that was looked at. */
  nextLine: number;
}

export interface PageOptions {
  filter: Filter;
  /** Matching lines to pass over. */
  offset: number;
  size: number;
  signal: AbortSignal;
}

/** The page at an offset, the oldest line being 0. `total` is exact. Lines that come meanwhile are not on it. */
export async function readPage(source: PageSource, options: PageOptions): Promise<Page> {
  const page = await cutPage(source, options);
  // Gaps behind the last line of all stand on its page.
  const beyond =
    options.offset > 0 &&
    !page.events.some((event) => event.type === 'lines' || (event.type === 'gap' && event.counted));
  return beyond ? { ...page, events: [] } : page;
}

/** How many lines match. */
export async function countMatches(
  source: PageSource,
  { filter, signal }: { filter: Filter; signal: AbortSignal },
): Promise<number> {
  const { record } = source;
  if (filter.pairsOnly !== undefined) return countPairs(record.counts, filter.pairsOnly);
  if (!filter.searches) return (await locate(source, { filter, offset: Infinity, signal })).total;
  const through = record.nextLine - 1;
  return (await readFrom(source, { filter, from: 1, skip: 0, size: 0, through, toEnd: true, signal })).total;
}

/**
 * Reads from a line number on: passes over `skip` matching lines and takes the next `size`, with the gaps around them.
 * Stops then, or with `toEnd` goes on through `through`, to count and to find the gaps behind the last line.
 */
export async function readFrom(
  source: PageSource,
  options: {
    filter: Filter;
    from: number;
    skip: number;
    size: number;
    through: number;
    toEnd?: boolean;
    signal: AbortSignal;
  },
): Promise<Page> {
  const { filter, from, skip, size, through, signal } = options;
  const page: Page = { events: [], total: 0, nextLine: from };
  if (size === 0 && options.toEnd !== true) return page;
  const end = skip + size;
  /** Gaps behind the page's last line, which are the next page's if it has one. */
  let behind: ReadEvent[] = [];
  for await (const batch of source.follow({
    from,
    through,
    filter,
    signal,
    ...(options.toEnd !== true && { readBytes: PAGE_READ_BYTES }),
  })) {
    for (const event of batch.events) {
      if (event.type === 'end') continue;
      const before = page.total;
      if (event.type === 'gap') {
        page.total += event.counted ?? 0;
        if (before >= skip && before < end) page.events.push(event);
        else if (before === end && size > 0) behind.push(event);
      } else {
        const count = event.matches?.length ?? event.end - event.first;
        page.total += count;
        const first = Math.max(0, skip - before);
        const last = Math.min(count, end - before);
        if (first < last) page.events.push(part(event, first, last));
        if (page.total > end) behind = [];
      }
      if (page.total >= end && options.toEnd !== true) {
        page.nextLine = lineBehind(page.events, batch.nextLine);
        return page;
      }
    }
    page.nextLine = batch.nextLine;
  }
  page.events.push(...behind);
  return page;
}

async function cutPage(source: PageSource, { filter, offset, size, signal }: PageOptions): Promise<Page> {
  const { record } = source;
  const through = record.nextLine - 1;
  if (filter.searches) return readFrom(source, { filter, from: 1, skip: offset, size, through, toEnd: true, signal });
  const dense = record.lines === through - record.trimmedLine;
  if (filter.pairsOnly === ALL_PAIRS && dense) {
    const from = offset === 0 ? 1 : record.trimmedLine + 1 + offset;
    const page = await readFrom(source, { filter, from, skip: 0, size, through, signal });
    return { ...page, total: record.lines };
  }
  const { from, skip, total } = await locate(source, { filter, offset, signal });
  const last = offset + size >= total;
  const page = await readFrom(source, { filter, from, skip, size, through, toEnd: last, signal });
  return { ...page, total };
}

function lineBehind(events: readonly ReadEvent[], otherwise: number): number {
  const last = events.at(-1);
  if (last?.type === 'gap') return last.toLine + 1;
  return last?.type === 'lines' ? last.block.firstLine + (last.matches?.at(-1) ?? last.end - 1) + 1 : otherwise;
}

/** The matching lines [first, last) of an event's. */
function part(event: Extract<ReadEvent, { type: 'lines' }>, first: number, last: number): ReadEvent {
  if (event.matches !== undefined) return { ...event, matches: event.matches.subarray(first, last) };
  return { ...event, first: event.first + first, end: event.first + last };
}

/**
 * Finds the matching line number `offset` by the headers: the line number to read on from, how many matching lines to
 * pass over there, and how many match in all. Bodies are read only where a header can't say how many match.
 */
async function locate(
  { record, store }: PageSource,
  { filter, offset, signal }: { filter: Filter; offset: number; signal: AbortSignal },
): Promise<{ from: number; skip: number; total: number }> {
  const { task, nextLine } = record;
  let found: { from: number; skip: number } | undefined;
  let total = 0;
  for (let line = 1; line < nextLine;) {
    signal.throwIfAborted();
    const stored = await store.read({
      from: { task, line },
      maxBytes: HEADERS_BYTES,
      wants: { ...filter.wants, headersOnly: true },
    });
    if (stored.length === 0) break;
    for (const segment of stored) {
      if (segment.firstLine >= nextLine) break;
      line = segment.firstLine + segment.count;
      if (segment.kind === 'gap') {
        if (total === offset) found ??= { from: segment.firstLine, skip: 0 };
        continue;
      }
      const { header } = new Block(segment);
      if (header === undefined) continue;
      const count =
        filter.judge(header) === 'search' ? await countInBody(store, { segment, filter }) : filter.countIn(header);
      if (total + count > offset) found ??= { from: segment.firstLine, skip: offset - total };
      total += count;
    }
  }
  return { from: nextLine, skip: 0, ...found, total };
}

/** How many lines match in a chunk of which only the header was read. */
async function countInBody(
  store: Store,
  { segment, filter }: { segment: { task: string; firstLine: number; count: number }; filter: Filter },
): Promise<number> {
  const behind = segment.firstLine + segment.count;
  let total = 0;
  // It may be in other chunks by now.
  for (let line = segment.firstLine; line < behind;) {
    const [stored] = await store.read({ from: { task: segment.task, line }, maxBytes: 1 });
    const end = Math.min(stored.firstLine + stored.count, behind);
    const lines = stored.kind === 'gap' ? undefined : new Block(stored).lines();
    if (lines !== undefined) {
      const first = line - stored.firstLine;
      total += filter.match(lines, first, end - stored.firstLine)?.length ?? end - line;
    }
    line = end;
  }
  return total;
}

/** A page is in one full chunk, or some small ones. */
const PAGE_READ_BYTES = 32 * 1024;
/** No bodies come: the store's own limit of chunks holds. */
const HEADERS_BYTES = 1024 * 1024;
