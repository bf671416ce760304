import type { LogEntry } from './viewer.ts';

/**
 * A script whose every line says its number, so that nothing can be lost, doubled or swapped unseen. It prints up to
 * each number that it reads, and exits with 7 when its input ends: whoever writes the numbers sets the pace.
 */
export const NUMBERED = [
  'sh',
  '-c',
  'a=1; while read -r b; do seq -f "%.0f of a job that says so" $a $b; a=$((b + 1)); done; exit 7',
];
export const NUMBERED_EXIT_CODE = 7;

/** `count` numbered lines of 109 bytes that do not compress well: they fill a spool. */
export function noise(count: number): string[] {
  return ['sh', '-c', `base64 -w 100 /dev/urandom | head -n ${count} | nl -w 8; exit ${NUMBERED_EXIT_CODE}`];
}

/**
 * What a log of numbered lines consists of: `lines 1-20`, `dropped 21-30`, `lines 31-40`, as the store numbers them.
 * Lines whose own numbers are others than the store's are shown apart: `lines 5-7 as 1-3`.
 */
export function parts(log: readonly LogEntry[]): string[] {
  const all: Part[] = [];
  for (const entry of log) {
    const next = partOf(entry);
    const last = all.at(-1);
    if (last?.what === 'lines' && next.what === 'lines' && last.to + 1 === next.from && last.shift === next.shift) {
      last.to = next.to;
    } else all.push(next);
  }
  return all.map(({ what, from, to, shift }) => {
    return `${what} ${from}-${to}${shift === 0 ? '' : ` as ${from + shift}-${to + shift}`}`;
  });
}

/** Lines, and lines that gaps stand for. */
export function counts(log: readonly LogEntry[]): { lines: number; missing: number } {
  let missing = 0;
  let lines = 0;
  for (const entry of log) {
    if (entry.type === 'gap') missing += entry.toLine - entry.fromLine + 1;
    else lines++;
  }
  return { lines, missing };
}

interface Part {
  what: string;
  from: number;
  to: number;
  /** The lines' own numbers, less the store's. */
  shift: number;
}

function partOf(entry: LogEntry): Part {
  if (entry.type === 'gap') return { what: entry.reason, from: entry.fromLine, to: entry.toLine, shift: 0 };
  const { lineNumber: from, message, source } = entry;
  if (source !== 'stdout') return { what: `${source} "${message}"`, from, to: from, shift: 0 };
  return { what: 'lines', from, to: from, shift: parseInt(message, 10) - from };
}
