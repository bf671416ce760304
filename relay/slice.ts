import type { Block } from './block.ts';
import type { Filter, Matches } from './filter.ts';

/** A part of a block that is read in one go. */
export interface Slice {
  /** `lines`: some of them match; `none`: no line does; `corrupt`: they can't be read. */
  found: 'lines' | 'none' | 'corrupt';
  /** Indices in the block, [first, end). */
  first: number;
  end: number;
  matches: Matches;
  /** Of `corrupt`: how many would have matched, as far as the header knows. */
  counted: number;
  /** Bytes of text that were looked at, or cost as much. */
  work: number;
}

/** What the filter finds of the lines [first, stop) of a block, a part at a time. */
export function* slicesOf(
  block: Block,
  { first, stop, filter }: { first: number; stop: number; filter: Filter },
): Generator<Slice> {
  const { header, runs } = block;
  const whole = { first, end: stop, matches: undefined, counted: 0, work: SEGMENT_WORK };
  const verdict = header && filter.judge(header, runs);
  if (verdict === 'none') {
    yield { ...whole, found: 'none' };
    return;
  }
  const lines = block.lines();
  if (lines === undefined) {
    const counted = header === undefined || verdict === 'search' ? 0 : filter.countIn(header, runs);
    yield { ...whole, found: 'corrupt', counted };
    return;
  }
  const { starts } = lines;
  for (let from = first; from < stop;) {
    let end = from + 1;
    const most = Math.min(stop, from + SLICE_LINES);
    while (end < most && starts[end + 1] - starts[from] <= filter.sliceBytes) end++;
    const slice = { first: from, end };
    const matches =
      verdict === 'all'
        ? undefined
        : block.matches(`${from}-${end} ${filter.key}`, () => filter.match(lines, slice.first, slice.end, runs));
    const bytes = (starts[end] - starts[from]) * (BATCH_WORK / filter.sliceBytes);
    const work = SEGMENT_WORK + LINE_WORK * (end - from) + bytes;
    yield { found: matches?.length === 0 ? 'none' : 'lines', ...slice, matches, counted: 0, work };
    from = end;
  }
}

/** Bytes of text to decode and render at once: about two milliseconds. */
export const BATCH_WORK = 256 * 1024;
/** What a chunk or gap costs besides its text, in bytes of it. */
export const SEGMENT_WORK = 256;
const SLICE_LINES = 4096;
/** As SEGMENT_WORK, of a line. */
export const LINE_WORK = 64;
