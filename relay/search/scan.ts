import { Block } from '../block.ts';
import type { GapEvent } from '../cursor.ts';
import type { Filter, FilterSpec } from '../filter.ts';
import { filterFor, type RunFacts } from '../run-facts.ts';
import { BATCH_WORK, SEGMENT_WORK, slicesOf } from '../slice.ts';
import type { StoreReads } from '../store/store.ts';

/** A stretch of a task that is to be searched: the lines from `from` through `through`. Bears being sent to a thread. */
export interface Scan {
  task: string;
  from: number;
  through: number;
  spec: FilterSpec;
  /** That of the filter. */
  key: string;
  /** How many lines match is enough: which ones is not asked. */
  counts: boolean;
}

/** What was found, in order: as far as `nextLine`, which is behind the stretch unless that was too much for one turn. */
export interface Scanned {
  events: (FoundLines | GapEvent)[];
  nextLine: number;
}

/** Lines that match, of those from `first` on in one block. */
export interface FoundLines {
  type: 'lines';
  /** Line numbers [blockFirst, blockEnd) of the block. */
  blockFirst: number;
  blockEnd: number;
  first: number;
  count: number;
  /** Indices in the block; undefined: `count` lines from `first` on, or if only counts were asked for, unknown. */
  matches: Uint32Array | undefined;
}

export interface ScanParts {
  reads: Pick<StoreReads, 'read' | 'runs'>;
  facts: RunFacts;
  /** Compiled from the scan's `spec`. */
  filter: Filter;
  /** Asked between two slices of about two milliseconds. Throws where nobody waits for the answer any more. */
  check: () => void;
  /** Lets others of the thread run, if there are any. */
  pause?: () => Promise<unknown>;
}

/** Searches a stretch, or as much of it as is work for one turn. */
export async function scanStretch(scan: Scan, parts: ScanParts): Promise<Scanned> {
  const { task, through, counts } = scan;
  const { reads, facts, filter, check, pause } = parts;
  const events: Scanned['events'] = [];
  let nextLine = scan.from;
  let work = 0;
  let paused = 0;
  while (nextLine <= through && work < STRETCH_WORK) {
    check();
    const stored = await reads.read({
      from: { task, line: nextLine },
      maxBytes: READ_BYTES,
      ...(filter.wants && { wants: filter.wants }),
    });
    // There is nothing any more, nor will be.
    if (stored.length === 0) return { events, nextLine: through + 1 };
    const known = await filterFor(stored, { filter, task, facts });
    for (const one of stored) {
      const behind = Math.min(one.firstLine + one.count, through + 1);
      if (one.firstLine > through || work >= STRETCH_WORK) break;
      check();
      if (one.kind === 'gap') {
        const { reason } = one;
        if (known.showsGap(one.run, one.time)) {
          events.push({ type: 'gap', fromLine: Math.max(one.firstLine, nextLine), toLine: behind - 1, reason });
        }
        work += SEGMENT_WORK;
        nextLine = behind;
        continue;
      }
      const block = new Block(one);
      const place = { blockFirst: one.firstLine, blockEnd: one.firstLine + one.count };
      const first = Math.max(0, nextLine - one.firstLine);
      for (const slice of slicesOf(block, { first, stop: behind - one.firstLine, filter: known })) {
        nextLine = one.firstLine + slice.end;
        work += slice.work;
        const fromLine = one.firstLine + slice.first;
        if (slice.found === 'corrupt') {
          events.push({ type: 'gap', fromLine, toLine: nextLine - 1, reason: 'corrupt', counted: slice.counted });
        } else if (slice.found === 'lines') {
          const count = slice.matches?.length ?? slice.end - slice.first;
          events.push({
            ...{ type: 'lines', ...place, first: fromLine, count },
            matches: counts ? undefined : slice.matches,
          });
        }
        check();
        if (pause !== undefined && work - paused >= BATCH_WORK) {
          paused = work;
          await pause();
        }
      }
    }
  }
  return { events, nextLine };
}

/** Some tens of milliseconds: another search may have its turn then. */
export const STRETCH_WORK = 64 * BATCH_WORK;
/** Of bodies, as they are stored: about ten times as much text. What is read behind the stretch is read in vain. */
const READ_BYTES = 128 * 1024;
