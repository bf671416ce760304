import { ChunkError, encodeGap, type ChunkHeader } from '../../shared/chunk.ts';
import { clipChunk } from '../../shared/columns.ts';

/**
 * What is stored of a chunk that overlaps what is there: its lines from `fromSeq` on. A body that can't be read for that
 * is a loss like one found by a reader: a `corrupt` gap over exactly those lines.
 */
export function clipOverlap(header: ChunkHeader, bytes: Buffer, fromSeq: number): Buffer {
  try {
    return clipChunk(bytes, fromSeq);
  } catch (error) {
    if (!(error instanceof ChunkError)) throw error;
    const count = header.firstSeq + header.count - fromSeq;
    return encodeGap({ run: header.run, firstSeq: fromSeq, count, reason: 'corrupt', time: header.maxTime });
  }
}
