import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import {
  checkCrc,
  CHUNK_HEADER_BYTES,
  ChunkError,
  clipGap,
  CODEC_GAP,
  CODEC_PLAIN,
  CODEC_ZSTD,
  encodeChunk,
  FLAG_CR,
  FLAG_METADATA,
  FLAG_PIECES,
  MAX_RAW_BYTES,
  readHeader,
  type ChunkHeader,
} from './chunk.ts';
import { KIND_CR, KIND_MORE, KIND_NO_EOL, KIND_REST, pairOf, PAIRS } from './line.ts';

/**
 * A chunk's body as columns (the layout stands in chunk.ts). Reading checks every column against the header: what is
 * returned has exactly the lines, sizes, levels and times that the header counted.
 */
export interface Lines {
  count: number;
  /** All text, each line followed by `\n`. */
  text: Buffer;
  /** count + 1 places; line i is text[starts[i] .. starts[i + 1] - 1). */
  starts: Uint32Array;
  /** ms since 1970 */
  times: Float64Array;
  kinds: Uint8Array;
  /** JSON, only if a line brought some. */
  metadata?: (string | undefined)[];
}

export interface LineInput {
  time: number;
  kind: number;
  text: Uint8Array;
  metadata?: string;
}

/** Bodies below this are not worth compressing. */
export const MIN_COMPRESSED_BYTES = 1024;
export const ZSTD_OPTIONS = {
  params: { [constants.ZSTD_c_compressionLevel]: 1 },
  chunkSize: 64 * 1024,
};
/** A frame may ask for a window of 2 GiB; a body never needs one above its own limit. */
const ZSTD_WINDOW_LOG_MAX = Math.log2(MAX_RAW_BYTES);

/** The body before compression, or a ChunkError. Takes no more memory than the header's rawBytes. */
export function decompress(header: ChunkHeader, body: Buffer): Buffer {
  if (body.length !== header.bodyBytes)
    throw new ChunkError('body', `has ${body.length} bytes, not ${header.bodyBytes}`);
  if (header.codec === CODEC_PLAIN) return body;
  if (header.codec !== CODEC_ZSTD) throw new ChunkError('codec', `${header.codec} has no body`);
  let raw: Buffer;
  try {
    raw = zstdDecompressSync(body, {
      maxOutputLength: header.rawBytes,
      // One piece for all of the result: Node then neither grows nor joins buffers. It makes a second one when the first
      // is full, hence a byte more.
      chunkSize: Math.max(64, header.rawBytes + 1),
      params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX },
    });
  } catch (error) {
    throw new ChunkError('body', `does not decompress: ${(error as Error).message}`);
  }
  if (raw.length !== header.rawBytes)
    throw new ChunkError('body', `decompresses to ${raw.length} bytes, not ${header.rawBytes}`);
  return raw;
}

/** Reads the columns of `raw`, whose text the result shares. Throws a ChunkError if anything contradicts the header. */
export function decodeLines(header: ChunkHeader, raw: Buffer): Lines {
  const { count, textBytes } = header;
  const column = new ColumnReader(raw, textBytes);
  const times = new Float64Array(count);
  let time = header.minTime;
  let latest = 0;
  let earliest = Infinity;
  for (let i = 0; i < count; i++) {
    time += column.signed();
    times[i] = time;
    if (time > latest) latest = time;
    if (time < earliest) earliest = time;
  }
  if (earliest !== header.minTime || latest !== header.maxTime)
    throw new ChunkError('body', 'has other times than the header');
  const kinds = column.bytes(count);
  checkKinds(header, kinds);
  const starts = new Uint32Array(count + 1);
  let start = 0;
  for (let i = 0; i < count; i++) {
    start += column.unsigned() + 1;
    if (start > textBytes || raw[start - 1] !== 0x0a) throw new ChunkError('body', `has no line end behind line ${i}`);
    starts[i + 1] = start;
  }
  if (start !== textBytes) throw new ChunkError('body', 'has more text than lines');
  const lines: Lines = { count, text: raw.subarray(0, textBytes), starts, times, kinds };
  if ((header.flags & FLAG_METADATA) !== 0) lines.metadata = readMetadata(column, count);
  if (column.at !== raw.length) throw new ChunkError('body', 'goes on behind its last column');
  return lines;
}

function checkKinds(header: ChunkHeader, kinds: Uint8Array): void {
  const counts = new Uint16Array(PAIRS);
  let flags = header.flags & FLAG_METADATA;
  for (const kind of kinds) {
    if ((kind & 3) === 3) throw new ChunkError('body', 'has a line of an unknown source');
    counts[pairOf(kind)]++;
    flags |= flagsOf(kind);
  }
  if (flags !== header.flags) throw new ChunkError('flags', 'differ from those of the lines');
  for (let pair = 0; pair < PAIRS; pair++) {
    if (counts[pair] !== header.counts[pair]) throw new ChunkError('counts', 'differ from those of the lines');
  }
}

/** What a line's kind adds to the flags of its chunk. */
export function flagsOf(kind: number): number {
  return (
    ((kind & KIND_CR) !== 0 ? FLAG_CR : 0) | ((kind & (KIND_MORE | KIND_REST | KIND_NO_EOL)) !== 0 ? FLAG_PIECES : 0)
  );
}

function readMetadata(column: ColumnReader, count: number): (string | undefined)[] {
  const metadata = new Array<string | undefined>(count);
  for (let i = 0; i < count; i++) {
    const length = column.unsigned();
    metadata[i] = length === 0 ? undefined : column.bytes(length).toString();
  }
  return metadata;
}

/** Reads columns from a place on; whatever would leave the buffer is a ChunkError. */
class ColumnReader {
  at: number;
  readonly #raw: Buffer;
  constructor(raw: Buffer, at: number) {
    this.#raw = raw;
    this.at = at;
  }

  bytes(length: number): Buffer {
    if (this.at + length > this.#raw.length) throw new ChunkError('body', 'ends within a column');
    this.at += length;
    return this.#raw.subarray(this.at - length, this.at);
  }

  /** An LEB128 varint of at most 53 bits. */
  unsigned(): number {
    const raw = this.#raw;
    let byte = raw[this.at++];
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let scale = 0x80;
    do {
      if (scale > 2 ** 49) throw new ChunkError('body', 'has a number over 53 bits');
      byte = raw[this.at++];
      value += (byte & 0x7f) * scale;
      scale *= 0x80;
    } while (byte >= 0x80);
    // Behind the end byte is undefined, which ends the loop and makes a NaN.
    if (!(this.at <= raw.length)) throw new ChunkError('body', 'ends within a column');
    return value;
  }

  /** Zigzag: 0, -1, 1, -2, 2, … */
  signed(): number {
    const value = this.unsigned();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

/** Writes a varint at `at` and returns the place behind it. The caller has the room: at most 8 bytes. */
export function writeVarint(into: Uint8Array, at: number, value: number): number {
  while (value >= 0x80) {
    into[at++] = (value % 0x80) | 0x80;
    value = Math.floor(value / 0x80);
  }
  into[at++] = value;
  return at;
}

export function zigzag(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1;
}

/** One whole chunk of lines that come one by one: other APIs' messages, tests. Throws a ChunkError over a limit. */
export function encodeLines(run: string, firstSeq: number, lines: readonly LineInput[]): Buffer {
  const textBytes = lines.reduce((bytes, line) => bytes + line.text.length + 1, 0);
  const metadata = lines.some((line) => line.metadata !== undefined)
    ? lines.map((line) => Buffer.from(line.metadata ?? ''))
    : undefined;
  const metadataBytes = (metadata ?? []).reduce((bytes, json) => bytes + json.length + 8, 0);
  const raw = Buffer.alloc(textBytes + 17 * lines.length + metadataBytes);
  const counts = new Uint16Array(PAIRS);
  let flags = metadata ? FLAG_METADATA : 0;
  let at = 0;
  for (const line of lines) {
    raw.set(line.text, at);
    at += line.text.length + 1;
    raw[at - 1] = 0x0a;
    counts[pairOf(line.kind)]++;
    flags |= flagsOf(line.kind);
  }
  const minTime = lines.reduce((earliest, line) => Math.min(earliest, line.time), Infinity);
  const maxTime = lines.reduce((latest, line) => Math.max(latest, line.time), 0);
  let time = minTime;
  for (const line of lines) {
    at = writeVarint(raw, at, zigzag(line.time - time));
    time = line.time;
  }
  for (const line of lines) raw[at++] = line.kind;
  for (const line of lines) at = writeVarint(raw, at, line.text.length);
  for (const json of metadata ?? []) {
    at = writeVarint(raw, at, json.length);
    raw.set(json, at);
    at += json.length;
  }
  const body = raw.subarray(0, at);
  const compressed = at < MIN_COMPRESSED_BYTES ? body : zstdCompressSync(body, ZSTD_OPTIONS);
  const codec = compressed.length < body.length ? CODEC_ZSTD : CODEC_PLAIN;
  const fields = { run, firstSeq, count: lines.length, flags, minTime, maxTime, textBytes, counts };
  const chunk = encodeChunk(fields, codec, at, codec === CODEC_ZSTD ? compressed : body);
  readHeader(chunk);
  return chunk;
}

/** The lines, or the gap, of a whole chunk from `fromSeq` on, as a new chunk. Throws a ChunkError if it can't be read. */
export function clipChunk(bytes: Buffer, fromSeq: number): Buffer {
  const header = readHeader(bytes);
  checkCrc(bytes);
  if (header.codec === CODEC_GAP) return clipGap(header, fromSeq);
  const lines = decodeLines(header, decompress(header, bytes.subarray(CHUNK_HEADER_BYTES)));
  const kept: LineInput[] = [];
  for (let i = fromSeq - header.firstSeq; i < lines.count; i++) {
    kept.push({
      time: lines.times[i],
      kind: lines.kinds[i],
      text: lines.text.subarray(lines.starts[i], lines.starts[i + 1] - 1),
      metadata: lines.metadata?.[i],
    });
  }
  return encodeLines(header.run, fromSeq, kept);
}
