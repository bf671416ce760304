/** The words of a line: where it came from, how grave it is, and how its pieces belong together. */

export const SOURCES = ['stdout', 'stderr', 'agent'] as const;
export const LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR'] as const;
export type Source = (typeof SOURCES)[number];
export type Level = (typeof LEVELS)[number];

/** Source-and-level pairs, the unit in which lines are counted and whole chunks are skipped. */
export const PAIRS = SOURCES.length * LEVELS.length;

/**
 * A line's kind is one byte: bits 0-1 source, bits 2-3 level, bits 4-7 the flags below.
 * `pairOf` gives the index of a kind's source-and-level pair, `source * 4 + level`.
 */
export const KIND_SOURCE_MASK = 0b0000_0011;
export const KIND_LEVEL_SHIFT = 2;
/** The line goes on in the next line of the same run and source that bears KIND_REST. */
export const KIND_MORE = 0b0001_0000;
/** The line continues the last line of the same run and source that bears KIND_MORE. */
export const KIND_REST = 0b0010_0000;
/** A `\r` stood before the line end; a plain export puts it back. */
export const KIND_CR = 0b0100_0000;
/** The bytes ended without a line end (the last line of a stream); a plain export adds none. */
export const KIND_NO_EOL = 0b1000_0000;

export function kindOf(source: Source, level: Level): number {
  return SOURCES.indexOf(source) | (LEVELS.indexOf(level) << KIND_LEVEL_SHIFT);
}

export function sourceOf(kind: number): Source {
  return SOURCES[kind & KIND_SOURCE_MASK];
}

export function levelOf(kind: number): Level {
  return LEVELS[(kind >> KIND_LEVEL_SHIFT) & 0b11];
}

export function pairOf(kind: number): number {
  return ((kind & KIND_SOURCE_MASK) << 2) | ((kind >> KIND_LEVEL_SHIFT) & 0b11);
}
