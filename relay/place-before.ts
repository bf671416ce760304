import type { Filter } from './filter.ts';
import type { ScanRange } from './scan-range.ts';
import type { FoundLines, Scanned } from './search/scan.ts';

/**
 * The number of the line from which on `count` lines below line `before` match; 1 if there are fewer. Searches
 * backward, in windows that grow.
 */
export async function placeBefore(
  scan: (range: ScanRange) => AsyncGenerator<Scanned, void, undefined>,
  { before, count, filter, signal }: { before: number; count: number; filter: Filter; signal: AbortSignal },
): Promise<number> {
  if (count === 0) return before;
  let wanted = count;
  let size = Math.max(FIRST_WINDOW_LINES, count);
  for (let end = before; end > 1; size *= 2) {
    const from = Math.max(1, end - size);
    const found: Found[] = [];
    let inFound = 0;
    let passed = 0;
    for await (const { events } of scan({ from, through: end - 1, filter, signal })) {
      signal.throwIfAborted();
      for (const event of events) {
        if (event.type !== 'lines') continue;
        inFound += found[found.push(toFound(event)) - 1].count;
        // What the later ones make up for is let go, many at a time.
        while (inFound - found[passed].count >= wanted) inFound -= found[passed++].count;
        if (passed < SPLICED_AT_ONCE) continue;
        found.splice(0, passed);
        passed = 0;
      }
    }
    for (const one of found.slice(passed).reverse()) {
      if (one.count >= wanted) return lineFromEnd(one, wanted);
      wanted -= one.count;
    }
    end = from;
  }
  return 1;
}

/** Line numbers, without the block that they were found in. */
interface Found {
  endLine: number;
  count: number;
  lines: Uint32Array | undefined;
  /** Of the block, which `lines` count from. */
  origin: number;
}

function toFound({ blockFirst, first, count, matches }: FoundLines): Found {
  return { endLine: first + count, count, lines: matches, origin: blockFirst };
}

function lineFromEnd(found: Found, wanted: number): number {
  if (found.lines === undefined) return found.endLine - wanted;
  return found.origin + found.lines[found.lines.length - wanted];
}

const FIRST_WINDOW_LINES = 4096;
const SPLICED_AT_ONCE = 4096;
