import { ChunkError, readStoredHeader } from '../../shared/chunk.ts';
import { decodeStored, type StoredBytes } from './decode.ts';
import { joinLines, type LineRange } from './join.ts';
import { levelOf, LEVELS, MERGED_ENOUGH } from './merge-plan.ts';
import { joinPieces, placeOf, type Piece } from './pieces.ts';
import type { MergeRow } from './sqlite-merge-reads.ts';
import type { Swap } from './sqlite-swaps.ts';

/** Where the chunks of a group are read from. */
export interface GroupReads {
  /** Undefined if the chunk is not there any more. */
  bytes(row: MergeRow): StoredBytes | undefined;
  pieces(row: MergeRow, firstSeq: number): Piece[];
  runName(run: number): string;
}

/** A chunk that could be read. */
interface Part {
  row: MergeRow;
  range: LineRange;
  pieces: Piece[];
}

/**
 * Makes one chunk of a group of neighbours. One that can't be read is left as it is, so that what its readers see stays
 * exactly over its lines, and what stands before and behind it is merged apart.
 */
export function mergeGroup(
  group: readonly MergeRow[],
  { task, reads, level }: { task: string; reads: GroupReads; level: number },
): Swap[] {
  const swaps: Swap[] = [];
  let parts: Part[] = [];
  const end = (): void => {
    if (parts.length > 1) swaps.push(...joined(task, parts, { reads, level }));
    parts = [];
  };
  for (const row of group) {
    const stored = reads.bytes(row);
    const part = stored && partOf(row, stored, reads);
    if (part) {
      parts.push(part);
      continue;
    }
    end();
    if (stored) swaps.push(leftAlone(task, row));
  }
  end();
  return swaps;
}

function partOf(row: MergeRow, stored: StoredBytes, reads: GroupReads): Part | undefined {
  try {
    const header = readStoredHeader(stored.header);
    const lines = decodeStored(header, stored);
    return { row, range: { lines, first: 0, end: lines.count }, pieces: reads.pieces(row, header.firstSeq) };
  } catch (error) {
    if (error instanceof ChunkError) return undefined;
    throw error;
  }
}

function joined(task: string, parts: Part[], { reads, level }: { reads: GroupReads; level: number }): Swap[] {
  const pieces = joinPieces(parts.map((part) => part.pieces));
  const ranges = parts.map((part) => part.range);
  let bytes;
  try {
    bytes = joinLines({ run: reads.runName(pieces[0].run), firstSeq: pieces[0].seq }, ranges);
  } catch (error) {
    if (!(error instanceof ChunkError)) throw error;
    // Metadata that is no UTF-8 takes more room when it is written again: together they are over a limit.
    return parts.map(({ row }) => leftAlone(task, row));
  }
  // A full one is merged no more. No merged chunk has the level of one as it was appended: `verify` tells them apart.
  const reached = levelOf(readStoredHeader(bytes)) === MERGED_ENOUGH ? LEVELS : level;
  const at = parts.reduce((latest, { row }) => Math.max(latest, row.at), 0);
  const old = parts.map(({ row }) => oldOf(row));
  return [{ task, old, level: reached, at, merged: { bytes, place: placeOf(pieces) } }];
}

/** As it is, and not looked at again. `verify` still has to know which chunks are as they were appended. */
function leftAlone(task: string, row: MergeRow): Swap {
  return { task, old: [oldOf(row)], level: row.level === 0 ? MERGED_ENOUGH : LEVELS, at: row.at };
}

function oldOf({ position, firstLine, count }: MergeRow): Swap['old'][number] {
  return { position, firstLine, count };
}
