import type { GapReason } from '../../shared/gap-reasons.ts';

/** What stands for missing lines in texts. Where lines were trimmed, not all of their numbers may be known. */
export function gapText({ fromLine, toLine, reason }: Missing): string {
  return `[gap: ${whichLines(fromLine, toLine)} missing: ${reason}]`;
}

function whichLines(from: number | undefined, to: number | undefined): string {
  if (to === undefined) return 'lines';
  if (from === undefined) return `lines up to ${to}`;
  return from === to ? `line ${from}` : `lines ${from} to ${to}`;
}

interface Missing {
  fromLine?: number;
  toLine?: number;
  reason: GapReason;
}
