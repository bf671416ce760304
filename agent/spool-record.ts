import { crc32 } from 'node:zlib';
import { CODEC_GAP, readHeader } from '../shared/chunk.ts';
import { advanceDigest, EMPTY_DIGEST } from '../shared/digest.ts';
import { writeUlid } from '../shared/ulid.ts';

/** What the agent needs to know of a chunk or gap of its run. */
export interface SpoolRecord {
  firstSeq: number;
  /** Seqs it takes. */
  count: number;
  /** Lines in it: `count`, or 0 for a gap. */
  lines: number;
  textBytes: number;
  crc: number;
}

/** A run's records up to `seq`, in short: what `end` says, and what `ready` is compared with. */
export interface Chain {
  /** One past the last seq. */
  seq: number;
  digest: string;
  lines: number;
  bytes: number;
  /** Seqs that gaps take. */
  missing: number;
}

export const EMPTY_CHAIN: Chain = { seq: 0, digest: EMPTY_DIGEST, lines: 0, bytes: 0, missing: 0 };

/** Throws a ChunkError if the header breaks the format. */
export function readRecord(bytes: Buffer): SpoolRecord & { run: string } {
  const { codec, run, firstSeq, count, textBytes, crc } = readHeader(bytes);
  return { run, firstSeq, count, lines: codec === CODEC_GAP ? 0 : count, textBytes, crc };
}

/** The chain with the record that follows it. */
export function advance(chain: Chain, record: SpoolRecord): Chain {
  return {
    seq: record.firstSeq + record.count,
    digest: advanceDigest(chain.digest, record),
    lines: chain.lines + record.lines,
    bytes: chain.bytes + record.textBytes,
    missing: chain.missing + record.count - record.lines,
  };
}

/** A copy of a chunk or gap at another place, perhaps of another run; its lines stay as they are. */
export function moved(bytes: Buffer, to: { run: string; firstSeq: number }): Buffer {
  const copy = Buffer.from(bytes);
  writeUlid(to.run, copy, 8);
  copy.writeUIntLE(to.firstSeq, 24, 6);
  copy.writeUInt32LE(crc32(copy.subarray(8)), 4);
  return copy;
}
