import type { Batch, GapEvent } from './cursor.ts';
import type { Filter } from './filter.ts';
import { findBefore, findFrom, findPage, type Found } from './page-find.ts';
import { pageLines, type PageLines } from './page-lines.ts';
import type { FollowOptions } from './reader.ts';
import type { RunFacts } from './run-facts.ts';
import type { ScanRange } from './scan-range.ts';
import type { Scanned } from './search/scan.ts';
import type { Store, TaskRecord } from './store/store.ts';

/** Where pages are cut from: a task as it was when the request came, and what is read of it. */
export interface PageSource {
  record: TaskRecord;
  store: Store;
  facts: RunFacts;
  follow: (options: FollowOptions) => AsyncGenerator<Batch, void, undefined>;
  /** What a filter finds. */
  scan: (range: ScanRange) => AsyncGenerator<Scanned, void, undefined>;
}

export interface PageOptions {
  filter: Filter;
  size: number;
  /** In which order the lines are handed out, and of a page by offset, from which end it is counted. Default `asc`. */
  order?: 'asc' | 'desc';
  /** So many lines before and behind each matching one are handed out with it. */
  context?: number;
  signal: AbortSignal;
}

/** What was found for a page. It holds numbers only; the lines are read as they are taken. */
export interface Page {
  /** Matching lines of the whole range that was looked at; exact for a page by offset. */
  total: number;
  /**
   * Gaps on the page, the oldest first: those before its lines, and on the last page those behind them. More are noted
   * while the lines are read, if lines were lost meanwhile.
   */
  gaps: readonly GapEvent[];
  /** How many more there are: of very many, only the first are kept. */
  gapsLeftOut: number;
  /** Of a page by place: the line whose cursor brings the next page, behind it or before it. Undefined: there is none. */
  next: number | undefined;
  /** The lines, in order; each line once. Whoever takes them slowly holds one read of the store and nothing else. */
  lines(): AsyncGenerator<PageLines, void, undefined>;
}

/** The page at an offset from the oldest line, or with `desc` from the newest. Lines that come meanwhile are not on it. */
export async function readPage(source: PageSource, options: PageOptions & { offset: number }): Promise<Page> {
  const found = await findPage(source, options);
  return toPage(source, { options, found, next: undefined });
}

/** The first `size` matching lines of those from `from` through `through`. */
export async function readPageFrom(
  source: PageSource,
  options: PageOptions & { from: number; through: number },
): Promise<Page> {
  const found = await findFrom(source, { ...options, skip: 0 });
  return toPage(source, { options, found, next: found.nextLine <= options.through ? found.nextLine - 1 : undefined });
}

/** The last `size` matching lines of those before the line `before`. */
export async function readPageBefore(source: PageSource, options: PageOptions & { before: number }): Promise<Page> {
  const { found, from } = await findBefore(source, options);
  return toPage(source, { options, found, next: from > source.record.trimmedLine + 1 ? from : undefined });
}

function toPage(
  source: PageSource,
  { options, found, next }: { options: PageOptions; found: Found; next: number | undefined },
): Page {
  const { total, hits, gaps } = found;
  return {
    total,
    next,
    get gaps() {
      return gaps.list;
    },
    get gapsLeftOut() {
      return gaps.leftOut;
    },
    lines: () => pageLines(source, { ...options, hits, onGap: (gap) => gaps.add(gap) }),
  };
}
