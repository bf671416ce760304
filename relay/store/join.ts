import { zstdCompressSync } from 'node:zlib';
import { CODEC_PLAIN, CODEC_ZSTD, encodeChunk, FLAG_METADATA, readHeader } from '../../shared/chunk.ts';
import { flagsOf, MIN_COMPRESSED_BYTES, writeVarint, ZSTD_OPTIONS, zigzag, type Lines } from '../../shared/columns.ts';
import { pairOf, PAIRS } from '../../shared/line.ts';

/** The lines [first, end) of a decoded body. */
export interface LineRange {
  lines: Lines;
  first: number;
  end: number;
}

/** Within the limit of a stored chunk. */
const MAX_PLAIN_BYTES = 512 * 1024;
/** A varint takes eight bytes at most. */
const MAX_VARINT_BYTES = 8;

/** What the header of a joined chunk says; `plain`: it is not kept, so that compressing it would not pay. */
export interface JoinedFields {
  run: string;
  firstSeq: number;
  plain?: boolean;
}

/**
 * One chunk of lines that are there as columns: several of them joined, or a part of one. The ranges hold at least one
 * line. Throws a ChunkError if the chunk would break a limit of the format.
 */
export function joinLines({ run, firstSeq, plain }: JoinedFields, ranges: readonly LineRange[]): Buffer {
  const { count, textBytes, metadataBytes, minTime, maxTime } = measure(ranges);
  const raw = Buffer.allocUnsafe(textBytes + (2 * MAX_VARINT_BYTES + 1) * count + metadataBytes);
  let at = 0;
  for (const { lines, first, end } of ranges) at += lines.text.copy(raw, at, lines.starts[first], lines.starts[end]);
  let time = minTime;
  for (const { lines, first, end } of ranges) {
    for (let i = first; i < end; i++) {
      at = writeVarint(raw, at, zigzag(lines.times[i] - time));
      time = lines.times[i];
    }
  }
  const counts = new Uint16Array(PAIRS);
  let flags = metadataBytes > 0 ? FLAG_METADATA : 0;
  for (const { lines, first, end } of ranges) {
    for (let i = first; i < end; i++) {
      const kind = (raw[at++] = lines.kinds[i]);
      counts[pairOf(kind)]++;
      flags |= flagsOf(kind);
    }
  }
  for (const { lines, first, end } of ranges) {
    for (let i = first; i < end; i++) at = writeVarint(raw, at, lines.starts[i + 1] - lines.starts[i] - 1);
  }
  if (metadataBytes > 0) at = writeMetadata(raw, at, ranges);

  const body = raw.subarray(0, at);
  const small = at < (plain ? MAX_PLAIN_BYTES : MIN_COMPRESSED_BYTES);
  const compressed = small ? body : zstdCompressSync(body, ZSTD_OPTIONS);
  const codec = compressed.length < body.length ? CODEC_ZSTD : CODEC_PLAIN;
  const fields = { run, firstSeq, count, flags, minTime, maxTime, textBytes, counts };
  const chunk = encodeChunk(fields, codec, at, codec === CODEC_ZSTD ? compressed : body);
  readHeader(chunk);
  return chunk;
}

function measure(ranges: readonly LineRange[]): {
  count: number;
  textBytes: number;
  /** Room for the column, or 0: no line has metadata. */
  metadataBytes: number;
  minTime: number;
  maxTime: number;
} {
  let count = 0;
  let textBytes = 0;
  let metadataBytes = 0;
  let minTime = Infinity;
  let maxTime = 0;
  for (const { lines, first, end } of ranges) {
    count += end - first;
    textBytes += lines.starts[end] - lines.starts[first];
    for (let i = first; i < end; i++) {
      minTime = Math.min(minTime, lines.times[i]);
      maxTime = Math.max(maxTime, lines.times[i]);
      const json = lines.metadata?.[i];
      if (json !== undefined) metadataBytes += Buffer.byteLength(json);
    }
  }
  return {
    count,
    textBytes,
    metadataBytes: metadataBytes && metadataBytes + count * MAX_VARINT_BYTES,
    minTime,
    maxTime,
  };
}

function writeMetadata(raw: Buffer, from: number, ranges: readonly LineRange[]): number {
  let at = from;
  for (const { lines, first, end } of ranges) {
    for (let i = first; i < end; i++) {
      const json = lines.metadata?.[i] ?? '';
      at = writeVarint(raw, at, Buffer.byteLength(json));
      at += raw.write(json, at);
    }
  }
  return at;
}
