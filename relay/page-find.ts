import type { GapEvent } from './cursor.ts';
import { ALL_PAIRS, countPairs, type Filter } from './filter.ts';
import { PageGaps } from './page-gaps.ts';
import { Marks, type Place } from './page-marks.ts';
import type { PageSource } from './page.ts';
import { placeBefore } from './place-before.ts';
import type { FoundLines } from './search/scan.ts';
import { survey, type Stretch } from './survey.ts';

/** Line numbers [first, end) of matching lines that follow each other, and [blockFirst, blockEnd) of where they were. */
export interface HitRange {
  first: number;
  end: number;
  blockFirst: number;
  blockEnd: number;
}

/** A page as numbers. */
export interface Found {
  /** In ascending order. */
  hits: HitRange[];
  gaps: PageGaps;
  /** Matching lines of the range that was looked at. */
  total: number;
  /** The line behind the page's last one; where the range ended before the page was full, the line behind that. */
  nextLine: number;
}

interface FindOptions {
  filter: Filter;
  /** Matching lines to pass over. */
  offset: number;
  size: number;
  order?: 'asc' | 'desc';
  signal: AbortSignal;
}

/** The lines of the page at an offset, by the cheapest way that gives an exact total. */
export async function findPage(source: PageSource, options: FindOptions): Promise<Found> {
  const found = await (options.order === 'desc' ? findFromEnd : findFromStart)(source, options);
  // Gaps behind the last line of all stand on its page.
  if (options.offset > 0 && found.empty) found.gaps.clear();
  return found;
}

/** How many lines match. */
export async function countMatches(
  source: PageSource,
  { filter, signal }: { filter: Filter; signal: AbortSignal },
): Promise<number> {
  const { record } = source;
  if (filter.pairsOnly !== undefined) return countPairs(record.counts, filter.pairsOnly);
  let total = 0;
  for await (const { count } of survey(source, { filter, signal })) total += count;
  return total;
}

/** Whether counts and pages of the filter need neither headers nor bodies to be searched. */
export function isDirect({ record }: Pick<PageSource, 'record'>, filter: Filter): boolean {
  return filter.pairsOnly === ALL_PAIRS && record.lines === record.nextLine - 1 - record.trimmedLine;
}

async function findFromStart(source: PageSource, options: FindOptions): Promise<Finding> {
  const { record } = source;
  const { filter, offset, size, signal } = options;
  const through = record.nextLine - 1;
  if (isDirect(source, filter)) return findDirectly(source, options);
  if (filter.searches) return findFrom(source, { filter, from: 1, skip: offset, size, through, toEnd: true, signal });
  const known = filter.pairsOnly === undefined ? undefined : countPairs(record.counts, filter.pairsOnly);
  let place: Stretch | undefined;
  let passed = 0;
  let total = 0;
  for await (const stretch of survey(source, { filter, signal })) {
    // Gaps ahead of the page's first line are on it.
    if (place === undefined && (total + stretch.count > offset || total === offset)) {
      place = stretch;
      passed = total;
    }
    total += stretch.count;
    if (known !== undefined && place !== undefined) break;
  }
  total = known ?? total;
  const from = place?.firstLine ?? record.nextLine;
  const toEnd = offset + size >= total;
  const found = await findFrom(source, { filter, from, skip: offset - passed, size, through, toEnd, signal });
  found.total = total;
  return found;
}

async function findFromEnd(source: PageSource, options: FindOptions): Promise<Finding> {
  const { record } = source;
  const { filter, size, signal } = options;
  const marks = new Marks();
  const gaps = new PageGaps();
  let total = 0;
  if (filter.pairsOnly === undefined) {
    for await (const { firstLine, count, gap } of survey(source, { filter, signal })) {
      marks.add({ firstLine, passed: total });
      total += count;
      if (gap !== undefined && total === 0) gaps.add(gap);
    }
  } else {
    total = countPairs(record.counts, filter.pairsOnly);
  }
  const behind = total - options.offset;
  if (behind <= 0) {
    const nothing = new Finding(record.nextLine, total);
    // All gaps are on the only page. Where headers tell the total, they are still to be looked for.
    if (total === 0 && filter.pairsOnly !== undefined) return findFromStart(source, options);
    if (total === 0) nothing.gaps.addAll(gaps);
    return nothing;
  }
  const offset = Math.max(0, behind - size);
  const part = { filter, offset, size: behind - offset, signal };
  if (isDirect(source, filter)) return findDirectly(source, part);
  const { from, skip } =
    filter.pairsOnly === undefined
      ? marks.placeOf(offset)
      : await placeFromEnd(source, { filter, wanted: total - offset, signal });
  const found = await findFrom(source, {
    ...{ filter, from, skip, size: part.size, signal },
    ...{ through: record.nextLine - 1, toEnd: options.offset === 0 },
  });
  found.total = total;
  return found;
}

/** Where the last `wanted` matching lines begin, by the headers of the last lines: in windows that grow. */
async function placeFromEnd(
  source: PageSource,
  { filter, wanted, signal }: { filter: Filter; wanted: number; signal: AbortSignal },
): Promise<Place> {
  for (let lines = FIRST_WINDOW_LINES; ; lines *= 4) {
    const from = Math.max(1, source.record.nextLine - lines);
    const marks = new Marks();
    let total = 0;
    for await (const { firstLine, count } of survey(source, { filter, from, signal })) {
      marks.add({ firstLine, passed: total });
      total += count;
    }
    // One more is needed, since the gaps ahead of the first one come with it.
    if (total > wanted || from === 1) return marks.placeOf(Math.max(0, total - wanted));
  }
}

/** Of a task without gaps: line numbers are offsets. */
function findDirectly({ record }: PageSource, { offset, size }: FindOptions): Finding {
  const { trimmedLine, nextLine } = record;
  const first = Math.min(trimmedLine + 1 + offset, nextLine);
  const end = Math.min(first + size, nextLine);
  const found = new Finding(end, record.lines);
  if (offset === 0 && trimmedLine > 0) {
    found.gaps.add({ type: 'gap', fromLine: 1, toLine: trimmedLine, reason: 'trimmed' });
  }
  if (first < end) found.hits.push({ first, end, blockFirst: first, blockEnd: end });
  return found;
}

interface ScanOptions {
  filter: Filter;
  from: number;
  /** Matching lines to pass over. */
  skip: number;
  size: number;
  through: number;
  /** Go on behind a full page: to count, and to find the gaps behind the last line. */
  toEnd?: boolean;
  signal: AbortSignal;
}

/** The last `size` matching lines before the line `before`, and from which line on they were looked for. */
export async function findBefore(
  source: PageSource,
  options: { filter: Filter; before: number; size: number; signal: AbortSignal },
): Promise<{ found: Found; from: number }> {
  const { filter, size, signal } = options;
  const before = Math.min(options.before, source.record.nextLine);
  const from = isDirect(source, filter)
    ? Math.max(1, before - size)
    : await placeBefore(source.scan, { before, count: size, filter, signal });
  return { found: await findFrom(source, { filter, from, skip: 0, size, through: before - 1, signal }), from };
}

/** Reads from a line on: passes over `skip` matching lines and takes the next `size`, with the gaps around them. */
export async function findFrom(
  source: PageSource,
  { filter, from, skip, size, through, toEnd = false, signal }: ScanOptions,
): Promise<Finding> {
  const finding = new Finding(from, 0);
  if (size === 0 && !toEnd) return finding;
  const end = skip + size;
  /** Gaps behind the page's last line, which are the next page's if it has one. */
  const behind = new PageGaps();
  const readBytes = toEnd ? undefined : PAGE_READ_BYTES;
  for await (const batch of source.scan({ from, through, filter, signal, ...(readBytes && { readBytes }) })) {
    signal.throwIfAborted();
    for (const event of batch.events) {
      const before = finding.total;
      if (event.type === 'gap') {
        finding.total += event.counted ?? 0;
        if (before >= skip && before < end) finding.addGap(event);
        else if (before === end && size > 0) behind.add(event);
      } else {
        finding.total += event.count;
        finding.addLines(event, Math.max(0, skip - before), Math.min(event.count, end - before));
        if (finding.total > end) behind.clear();
      }
      if (finding.total >= end && !toEnd) return finding;
    }
    if (finding.total < end) finding.nextLine = batch.nextLine;
  }
  finding.gaps.addAll(behind);
  return finding;
}

/** A page as it is being found. */
class Finding implements Found {
  readonly hits: HitRange[] = [];
  readonly gaps = new PageGaps();
  total: number;
  nextLine: number;
  #counted = 0;

  constructor(nextLine: number, total: number) {
    this.nextLine = nextLine;
    this.total = total;
  }

  /** Whether nothing that counts is on the page. */
  get empty(): boolean {
    return this.hits.length === 0 && this.#counted === 0;
  }

  addGap(gap: GapEvent): void {
    this.gaps.add(gap);
    this.#counted += gap.counted ?? 0;
    this.nextLine = gap.toLine + 1;
  }

  /** Adds the matching lines [first, end) of those that were found. */
  addLines({ blockFirst, blockEnd, first: origin, matches }: FoundLines, first: number, end: number): void {
    if (first >= end) return;
    const add = (from: number, behind: number): void => {
      this.hits.push({ first: from, end: behind, blockFirst, blockEnd });
    };
    if (matches === undefined) {
      add(origin + first, origin + end);
    } else {
      let from = first;
      for (let at = first; at < end; at++) {
        if (at + 1 < end && matches[at + 1] === matches[at] + 1) continue;
        add(blockFirst + matches[from], blockFirst + matches[at] + 1);
        from = at + 1;
      }
    }
    this.nextLine = this.hits.at(-1)?.end ?? this.nextLine;
  }
}

/** Some full chunks. */
const FIRST_WINDOW_LINES = 16_384;
/** A page is in one full chunk, or some small ones. */
const PAGE_READ_BYTES = 32 * 1024;
