import { setImmediate as turn } from 'node:timers/promises';
import { Block } from './block.ts';
import type { GapEvent } from './cursor.ts';
import type { Filter } from './filter.ts';
import type { PageSource } from './page.ts';
import { filterFor } from './run-facts.ts';
import type { Store, StoredChunk } from './store/store.ts';

/** Some lines of a task that follow each other, and how many of them match. */
export interface Stretch {
  firstLine: number;
  count: number;
  /** Where they are missing, if the filter shows that. */
  gap?: GapEvent;
}

interface SurveyOptions {
  filter: Filter;
  /** The line to begin at, or at the first one of its chunk; 1 by default. */
  from?: number;
  signal: AbortSignal;
}

/** Walks over a task to its end and counts, by the headers where these can say. */
export async function* survey(source: PageSource, options: SurveyOptions): AsyncGenerator<Stretch, void, undefined> {
  yield* options.filter.searches ? search(source, options) : readHeaders(source, options);
}

async function* search(
  { record, scan }: PageSource,
  { filter, from = 1, signal }: SurveyOptions,
): AsyncGenerator<Stretch, void, undefined> {
  for await (const { events } of scan({ from, through: record.nextLine - 1, filter, counts: true, signal })) {
    signal.throwIfAborted();
    for (const event of events) {
      if (event.type === 'gap') yield { firstLine: event.fromLine, count: event.counted ?? 0, gap: event };
      else yield { firstLine: event.first, count: event.count };
    }
  }
}

async function* readHeaders(
  { record, store, facts }: PageSource,
  { filter: given, from = 1, signal }: SurveyOptions,
): AsyncGenerator<Stretch, void, undefined> {
  const { task, nextLine } = record;
  for (let line = from; line < nextLine;) {
    signal.throwIfAborted();
    const stored = await store.read({
      from: { task, line },
      maxBytes: HEADERS_BYTES,
      wants: { ...given.wants, headersOnly: true },
    });
    if (stored.length === 0) return;
    const filter = await filterFor(stored, { filter: given, task, facts });
    for (const [at, segment] of stored.entries()) {
      const { firstLine } = segment;
      if (firstLine >= nextLine) return;
      if (at % HEADERS_A_TURN === HEADERS_A_TURN - 1) await turn();
      line = firstLine + segment.count;
      if (segment.kind === 'gap') {
        const { count, run, time, reason } = segment;
        const shown = filter.showsGap(run, time);
        const gap: GapEvent = { type: 'gap', fromLine: firstLine, toLine: firstLine + count - 1, reason };
        yield { firstLine, count: 0, ...(shown && { gap }) };
        continue;
      }
      const { header } = new Block(segment);
      if (header === undefined) {
        yield { firstLine, count: 0 };
      } else if (filter.judge(header, segment.runs) === 'search') {
        yield { firstLine, count: await countInBody(store, { segment, filter, signal }) };
      } else {
        yield { firstLine, count: filter.countIn(header, segment.runs) };
      }
    }
  }
}

/** How many lines match in a chunk of which only the header was read. */
async function countInBody(
  store: Store,
  of: { segment: { task: string; firstLine: number; count: number }; filter: Filter; signal: AbortSignal },
): Promise<number> {
  const { segment, filter, signal } = of;
  const behind = segment.firstLine + segment.count;
  let total = 0;
  // It may be in other chunks by now, or gone.
  for (let line = segment.firstLine; line < behind;) {
    signal.throwIfAborted();
    const [stored] = await store.read({ from: { task: segment.task, line }, maxBytes: 1 });
    const end = Math.min(stored.firstLine + stored.count, behind);
    if (stored.kind === 'chunk') total += countInLines(stored, { filter, from: line, end });
    line = end;
  }
  return total;
}

/** How many of the lines [from, end) match. */
function countInLines(
  stored: StoredChunk,
  { filter, from, end }: { filter: Filter; from: number; end: number },
): number {
  const block = new Block(stored);
  const lines = block.lines();
  if (lines === undefined || block.header === undefined) return 0;
  const [first, behind] = [from - stored.firstLine, end - stored.firstLine];
  const verdict = filter.judge(block.header, stored.runs);
  if (verdict === 'none') return 0;
  return filter.match(lines, first, behind, stored.runs)?.length ?? behind - first;
}

/** Some milliseconds of reading headers; others run in between. */
const HEADERS_A_TURN = 512;
/** No bodies come: the store's own limit of chunks holds. */
const HEADERS_BYTES = 1024 * 1024;
