import { MAX_LINES, TARGET_TEXT_BYTES, type ChunkHeader } from '../../shared/chunk.ts';

/** What planning needs to know of a chunk. */
export interface Mergeable {
  position: number;
  /** The last of its lines'. */
  lastPosition: number;
  firstLine: number;
  count: number;
  textBytes: number;
  rawBytes: number;
  /** When it was taken in, ms. */
  at: number;
  level: number;
}

/**
 * A chunk's level says how often its lines were merged, and only chunks up to a level are merged into one of the next:
 * no line is written more than LEVELS times again. What is large, a gap or can't be read is merged enough.
 */
export const LEVELS = 3;
export const MERGED_ENOUGH = 4;
/** How many chunks must have come together before they are merged, by the level that they have. */
export const ENOUGH_CHUNKS = [32, 32, 32];

/**
 * Which of a task's chunks, given in the order of their lines, are to become one: groups of neighbours of at most
 * `level`, where `least` of them follow each other or where they make half a full chunk.
 */
export function planMerges<Chunk extends Mergeable>(
  chunks: readonly Chunk[],
  { level, least }: { level: number; least: number },
): Chunk[][] {
  const groups: Chunk[][] = [];
  for (const row of rowsOf(chunks, level)) {
    const weight = row.reduce((sum, chunk) => sum + weightOf(chunk), 0);
    if (row.length >= least || weight >= 0.5) groups.push(...cut(row));
  }
  return groups;
}

/** The level that a chunk of these sizes is appended with. */
export function levelOf(header: Pick<ChunkHeader, 'count' | 'textBytes' | 'rawBytes'>): number {
  return weightOf(header) >= 0.5 ? MERGED_ENOUGH : 0;
}

/** Neighbours that may be merged, in rows without holes. */
function rowsOf<Chunk extends Mergeable>(chunks: readonly Chunk[], level: number): Chunk[][] {
  const rows: Chunk[][] = [];
  let next = NaN;
  for (const chunk of chunks) {
    if (chunk.level > level) {
      next = NaN;
      continue;
    }
    const row = rows.at(-1);
    if (row && chunk.firstLine === next) row.push(chunk);
    else rows.push([chunk]);
    next = chunk.firstLine + chunk.count;
  }
  return rows;
}

function cut<Chunk extends Mergeable>(row: readonly Chunk[]): Chunk[][] {
  const groups: Chunk[][] = [];
  let weight = Infinity;
  for (const chunk of row) {
    const group = groups.at(-1);
    weight += weightOf(chunk);
    const fits =
      group &&
      weight <= 1 &&
      group.length < MAX_GROUP_CHUNKS &&
      Math.abs(chunk.at - group[0].at) <= MAX_AGE_SPAN_MS &&
      chunk.lastPosition - group[0].position < MAX_POSITION_SPAN;
    if (fits) {
      group.push(chunk);
    } else {
      groups.push([chunk]);
      weight = weightOf(chunk);
    }
  }
  return groups.filter((group) => group.length > 1);
}

/** How much of a full chunk it is. */
function weightOf({ count, textBytes, rawBytes }: Pick<Mergeable, 'count' | 'textBytes' | 'rawBytes'>): number {
  return Math.max(textBytes / TARGET_TEXT_BYTES, count / MAX_LINES, rawBytes / MAX_MERGED_RAW_BYTES);
}

/** Text with its columns; more only where lines have much metadata. */
const MAX_MERGED_RAW_BYTES = 1024 * 1024;
/** Rows that one swap deletes: what an append may have to wait for. */
export const MAX_GROUP_CHUNKS = 256;
/** A merged chunk goes as a whole when it is too old, so late by as much as lies between its lines. */
export const MAX_AGE_SPAN_MS = 60 * 60 * 1000;
/** A reader by position looks so far for merged chunks that reach to where it is, and holds what lies between. */
export const MAX_POSITION_SPAN = 2 ** 18;
