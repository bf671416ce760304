import type { Lines } from '../../shared/columns.ts';
import type { LinesEvent } from '../cursor.ts';

/** The decoded lines of an event. A cursor hands out none that can't be read. */
export function linesOf({ block }: LinesEvent): Lines {
  const lines = block.lines();
  if (lines === undefined) throw new Error(`block ${block.firstLine} of ${block.task} can't be read`);
  return lines;
}

/** Calls `take` with the index of each line of an event, in order. */
export function eachLine(event: LinesEvent, take: (of: { lines: Lines }, index: number) => void): void {
  const { first, end, matches } = event;
  const of = { lines: linesOf(event) };
  if (matches === undefined) for (let index = first; index < end; index++) take(of, index);
  else for (const index of matches) take(of, index);
}
