import type { Batch } from './cursor.ts';
import type { Filter } from './filter.ts';
import type { Scanned } from './search/scan.ts';

/** Lines of a task to be looked through, from `from` through `through`. */
export interface ScanRange {
  filter: Filter;
  from: number;
  through: number;
  /** How many lines match is enough. */
  counts?: boolean;
  /** How much to read from the store at once, where no text is searched. */
  readBytes?: number;
  signal: AbortSignal;
}

/** What a cursor hands out, as a search would say it: without the lines. */
export async function* foundIn(batches: AsyncIterable<Batch>): AsyncGenerator<Scanned, void, undefined> {
  for await (const { events, nextLine } of batches) {
    const found: Scanned['events'] = [];
    for (const event of events) {
      if (event.type === 'gap') found.push(event);
      if (event.type !== 'lines') continue;
      const { block, first, end, matches } = event;
      const { firstLine: blockFirst, count } = block;
      const place = { blockFirst, blockEnd: blockFirst + count, first: blockFirst + first };
      found.push({ type: 'lines', ...place, count: matches?.length ?? end - first, matches });
    }
    yield { events: found, nextLine };
  }
}
