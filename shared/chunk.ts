import { crc32 } from 'node:zlib';
import { GAP_REASONS, type GapReason } from './gap-reasons.ts';
import { PAIRS } from './line.ts';
import { formatUlid, ULID_BYTES, writeUlid } from './ulid.ts';

/**
 * A chunk: consecutive lines of one run, encoded once by whoever captured them, immutable from then on. The header
 * is readable without decompression. All integers are little-endian; a `u48` is eight bytes whose upper two are zero.
 *
 *      offset size field
 *      0      2    magic      "KC"
 *      2      1    version    1
 *      3      1    codec      0 plain, 1 Zstandard, 2 gap (no body)
 *      4      4    crc        CRC-32 (IEEE) of every byte from offset 8 on
 *      8      16   run        ULID, big-endian
 *      24     8    firstSeq   u48, the first line's place in its run
 *      32     4    count      u32 lines: 1 to 65,535; a gap may stand for more
 *      36     1    flags      bit 0 a line has \r, bit 1 a line is a piece or lacks its line end, bit 2 metadata
 *      37     1    reason     0; of a gap, why the lines are missing
 *      38     2    reserved   0
 *      40     8    minTime    u48 ms since 1970 of the earliest line
 *      48     8    maxTime    u48 ms since 1970 of the latest line
 *      56     4    textBytes  u32 bytes of text, the \n behind each line included
 *      60     4    rawBytes   u32 bytes of the body before compression
 *      64     4    bodyBytes  u32 bytes that follow the header
 *      68     24   counts     12 × u16 lines per pair, source * 4 + level
 *      92          body
 *
 * The body, before compression (columns.ts builds and reads it):
 *
 *      text       each line's bytes and a \n (lengths decide: a line may hold \n itself)
 *      times      a signed (zigzag) varint a line: ms since the line before, the first since minTime
 *      kinds      a byte a line (line.ts)
 *      lengths    a varint a line: bytes of text without the \n behind it
 *      metadata   if flag bit 2: a varint a line, bytes of JSON (0 for none), and that JSON
 */
export const CHUNK_HEADER_BYTES = 92;
export const CHUNK_VERSION = 1;

export const CODEC_PLAIN = 0;
export const CODEC_ZSTD = 1;
export const CODEC_GAP = 2;

export const FLAG_CR = 1;
export const FLAG_PIECES = 2;
export const FLAG_METADATA = 4;

/** A frame or stored chunk: what one WebSocket message may hold, and what a reader must be ready to hold. */
export const MAX_CHUNK_BYTES = 1024 * 1024;
/** Text that our own writers put into a chunk: small enough to fly early, large enough to compress well. */
export const TARGET_TEXT_BYTES = 256 * 1024;
/** Text that a chunk of anyone may hold. */
export const MAX_TEXT_BYTES = 1024 * 1024;
/** A body before compression: bounds what a decompression may allocate. Text, and columns for 65,535 lines. */
export const MAX_RAW_BYTES = 2 * 1024 * 1024;
/** The counts are u16. */
export const MAX_LINES = 65_535;
/** A gap's count is u32; more missing lines take more gaps. */
export const MAX_GAP_LINES = 0xffff_ffff;
const MAX_U48 = 2 ** 48 - 1;

export interface ChunkHeader {
  codec: number;
  crc: number;
  /** ULID text. */
  run: string;
  firstSeq: number;
  count: number;
  flags: number;
  /** Only of a gap. */
  reason?: GapReason;
  minTime: number;
  maxTime: number;
  textBytes: number;
  rawBytes: number;
  bodyBytes: number;
  /** Lines per source-and-level pair, `PAIRS` of them. */
  counts: Uint16Array;
}

/** A chunk that breaks the format. `field` names the part of the header (or `body`) that is wrong. */
export class ChunkError extends Error {
  readonly field: string;
  constructor(field: string, detail: string) {
    super(`bad chunk: ${field} ${detail}`);
    this.name = 'ChunkError';
    this.field = field;
  }
}

/** The fields of a header that its writer chooses; the rest follows from the body. */
export type ChunkFields = Pick<
  ChunkHeader,
  'run' | 'firstSeq' | 'count' | 'flags' | 'minTime' | 'maxTime' | 'textBytes' | 'counts'
>;

/** Puts header and body into one buffer. `rawBytes` is the body's size before compression. */
export function encodeChunk(fields: ChunkFields, codec: number, rawBytes: number, body: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(CHUNK_HEADER_BYTES + body.length);
  writeHeader(bytes, { ...fields, codec, rawBytes, reason: 0 });
  bytes.set(body, CHUNK_HEADER_BYTES);
  return sealed(bytes);
}

/** Encodes a gap of `count` lines from `firstSeq`, noticed at `time` (ms). */
export function encodeGap(gap: {
  run: string;
  firstSeq: number;
  count: number;
  reason: GapReason;
  time: number;
}): Buffer {
  const bytes = Buffer.allocUnsafe(CHUNK_HEADER_BYTES);
  writeHeader(bytes, {
    ...gap,
    codec: CODEC_GAP,
    reason: GAP_REASONS.indexOf(gap.reason),
    flags: 0,
    minTime: gap.time,
    maxTime: gap.time,
    textBytes: 0,
    rawBytes: 0,
    counts: new Uint16Array(PAIRS),
  });
  return sealed(bytes);
}

function writeHeader(bytes: Buffer, header: ChunkFields & { codec: number; rawBytes: number; reason: number }): void {
  bytes.write('KC', 0, 'latin1');
  bytes[2] = CHUNK_VERSION;
  bytes[3] = header.codec;
  writeUlid(header.run, bytes, 8);
  writeU48(bytes, header.firstSeq, 24);
  bytes.writeUInt32LE(header.count, 32);
  bytes[36] = header.flags;
  bytes[37] = header.reason;
  bytes.writeUInt16LE(0, 38);
  writeU48(bytes, header.minTime, 40);
  writeU48(bytes, header.maxTime, 48);
  bytes.writeUInt32LE(header.textBytes, 56);
  bytes.writeUInt32LE(header.rawBytes, 60);
  bytes.writeUInt32LE(bytes.length - CHUNK_HEADER_BYTES, 64);
  for (let pair = 0; pair < PAIRS; pair++) bytes.writeUInt16LE(header.counts[pair], 68 + 2 * pair);
}

function sealed(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

/**
 * Reads and checks the header of a whole chunk: limits first, then its arithmetic. Does not look at the body and does
 * not check the CRC (`checkCrc` does). Throws a ChunkError that names the field.
 */
export function readHeader(bytes: Buffer): ChunkHeader {
  if (bytes.length < CHUNK_HEADER_BYTES)
    throw new ChunkError('length', `is ${bytes.length}, a header has ${CHUNK_HEADER_BYTES}`);
  if (bytes.length > MAX_CHUNK_BYTES) throw new ChunkError('length', `is ${bytes.length}, over ${MAX_CHUNK_BYTES}`);
  const header = readStoredHeader(bytes);
  if (header.bodyBytes !== bytes.length - CHUNK_HEADER_BYTES) {
    throw new ChunkError('bodyBytes', `says ${header.bodyBytes}, there are ${bytes.length - CHUNK_HEADER_BYTES}`);
  }
  return header;
}

/** As `readHeader`, for a header that is kept apart from its body. */
export function readStoredHeader(bytes: Buffer): ChunkHeader {
  if (bytes.length < CHUNK_HEADER_BYTES)
    throw new ChunkError('length', `is ${bytes.length}, a header has ${CHUNK_HEADER_BYTES}`);
  if (bytes[0] !== 0x4b || bytes[1] !== 0x43) throw new ChunkError('magic', 'is not "KC"');
  if (bytes[2] !== CHUNK_VERSION)
    throw new ChunkError('version', `is ${bytes[2]}, this program reads ${CHUNK_VERSION}`);
  const counts = new Uint16Array(PAIRS);
  for (let pair = 0; pair < PAIRS; pair++) counts[pair] = bytes.readUInt16LE(68 + 2 * pair);
  const header: ChunkHeader = {
    codec: bytes[3],
    crc: bytes.readUInt32LE(4),
    run: readRun(bytes),
    firstSeq: readU48(bytes, 24, 'firstSeq'),
    count: bytes.readUInt32LE(32),
    flags: bytes[36],
    minTime: readU48(bytes, 40, 'minTime'),
    maxTime: readU48(bytes, 48, 'maxTime'),
    textBytes: bytes.readUInt32LE(56),
    rawBytes: bytes.readUInt32LE(60),
    bodyBytes: bytes.readUInt32LE(64),
    counts,
  };
  if (bytes.readUInt16LE(38) !== 0) throw new ChunkError('reserved', 'is not zero');
  if (header.count === 0) throw new ChunkError('count', 'is zero');
  if (header.firstSeq + header.count > MAX_U48)
    throw new ChunkError('count', 'goes past the last line number there is');
  if (header.minTime > header.maxTime) throw new ChunkError('minTime', 'is after maxTime');
  if (header.codec === CODEC_GAP) checkGap(header, bytes[37]);
  else checkLines(header, bytes[37]);
  return header;
}

function checkGap(header: ChunkHeader, reason: number): void {
  if (reason >= GAP_REASONS.length) throw new ChunkError('reason', `${reason} is unknown`);
  header.reason = GAP_REASONS[reason];
  if (header.flags !== 0) throw new ChunkError('flags', 'of a gap are not zero');
  if (header.textBytes !== 0 || header.rawBytes !== 0 || header.bodyBytes !== 0) {
    throw new ChunkError('bodyBytes', 'of a gap are not zero');
  }
  if (header.counts.some((lines) => lines !== 0)) throw new ChunkError('counts', 'of a gap are not zero');
}

function checkLines(header: ChunkHeader, reason: number): void {
  const { codec, count, textBytes, rawBytes, bodyBytes } = header;
  if (codec !== CODEC_PLAIN && codec !== CODEC_ZSTD) throw new ChunkError('codec', `${codec} is unknown`);
  if (count > MAX_LINES) throw new ChunkError('count', `is ${count}, over ${MAX_LINES}`);
  if (textBytes > MAX_TEXT_BYTES) throw new ChunkError('textBytes', `is ${textBytes}, over ${MAX_TEXT_BYTES}`);
  if (rawBytes > MAX_RAW_BYTES) throw new ChunkError('rawBytes', `is ${rawBytes}, over ${MAX_RAW_BYTES}`);
  if (bodyBytes > MAX_CHUNK_BYTES - CHUNK_HEADER_BYTES)
    throw new ChunkError('bodyBytes', `is ${bodyBytes}, over the limit`);
  if (textBytes < count) throw new ChunkError('textBytes', `is ${textBytes}, too few for ${count} lines`);
  // A line has at least a byte in each of the columns times, kinds and lengths.
  if (rawBytes < textBytes + 3 * count) throw new ChunkError('rawBytes', `is ${rawBytes}, too few for ${count} lines`);
  if (codec === CODEC_PLAIN && rawBytes !== bodyBytes)
    throw new ChunkError('rawBytes', 'differs from bodyBytes without compression');
  if (bodyBytes === 0) throw new ChunkError('bodyBytes', 'is zero');
  if ((header.flags & ~(FLAG_CR | FLAG_PIECES | FLAG_METADATA)) !== 0)
    throw new ChunkError('flags', `${header.flags} are unknown`);
  if (reason !== 0) throw new ChunkError('reason', 'is not zero');
  let sum = 0;
  for (const lines of header.counts) sum += lines;
  if (sum !== count) throw new ChunkError('counts', `add up to ${sum}, not to ${count}`);
}

function readRun(bytes: Buffer): string {
  // The first character of a ULID holds three bits, which 128 bits always fit.
  return formatUlid(bytes, 24 - ULID_BYTES);
}

/** Throws a ChunkError if the bytes are not those that were sealed. */
export function checkCrc(bytes: Buffer): void {
  if (crc32(bytes.subarray(8)) !== bytes.readUInt32LE(4)) throw new ChunkError('crc', 'does not match the bytes');
}

/** A gap without its seqs below `fromSeq`. (`clipChunk` in columns.ts cuts lines, for which it reads the body.) */
export function clipGap(header: ChunkHeader, fromSeq: number): Buffer {
  const cut = fromSeq - header.firstSeq;
  return encodeGap({
    run: header.run,
    firstSeq: fromSeq,
    count: header.count - cut,
    reason: header.reason ?? 'corrupt',
    time: header.minTime,
  });
}

function writeU48(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUIntLE(value, offset, 6);
  bytes.writeUInt16LE(0, offset + 6);
}

function readU48(bytes: Buffer, offset: number, field: string): number {
  if (bytes.readUInt16LE(offset + 6) !== 0) throw new ChunkError(field, 'is over 48 bits');
  return bytes.readUIntLE(offset, 6);
}
