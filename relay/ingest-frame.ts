import { checkCrc, CHUNK_HEADER_BYTES, ChunkError, CODEC_GAP, readHeader, type ChunkHeader } from '../shared/chunk.ts';
import type { AppendOutcome, Stored } from './store/store.ts';

/**
 * Checks a chunk that came for `run`: limits, the header's arithmetic, the CRC. Never decompresses: what the body
 * claims costs nothing until somebody reads it. Throws a ChunkError.
 */
export function checkFrame(bytes: Buffer, run: string): ChunkHeader {
  const header = readHeader(bytes);
  if (header.run !== run) throw new ChunkError('run', `is ${header.run}, this connection writes ${run}`);
  checkCrc(bytes);
  return header;
}

/**
 * The bytes, for keeping: a small frame may be a view into a large block that was read from the socket (or into
 * Buffer's pool), and would keep all of it in memory. A large one shares its block with neighbours of its own run at
 * most, which are kept and forgotten together: no copy.
 */
export function unpinned(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength <= 4 * bytes.length) return bytes;
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

type StoredOutcome = Extract<AppendOutcome, { outcome: 'stored' }>;

/** What a reader would get from the store for the chunk that was just appended. */
export function storedRecord(task: string, header: ChunkHeader, bytes: Buffer, outcome: StoredOutcome): Stored {
  const stored = outcome.clipped ?? bytes;
  const { firstLine, position, count } = outcome;
  const place = { task, run: header.run, firstLine, position, count };
  if (header.codec === CODEC_GAP) {
    return { kind: 'gap', ...place, reason: header.reason ?? 'corrupt', time: header.minTime };
  }
  return {
    kind: 'chunk',
    ...place,
    header: stored.subarray(0, CHUNK_HEADER_BYTES),
    body: stored.subarray(CHUNK_HEADER_BYTES),
  };
}
