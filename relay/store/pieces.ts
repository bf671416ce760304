import { crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { ChunkError } from '../../shared/chunk.ts';
import { writeVarint } from '../../shared/columns.ts';

/**
 * A part of a merged chunk that was appended in one go: consecutive lines of one run, at consecutive positions. A chunk
 * that was never merged is one piece. Within a chunk, each run's pieces follow each other without a hole.
 */
export interface Piece {
  /** A number that stands for the run: its row in the store. */
  run: number;
  seq: number;
  position: number;
  count: number;
}

/**
 * The pieces of a chunk as they are stored: a CRC-32 of all behind it (u32 little-endian), a byte (0 plain, 1 Zstandard),
 * and then as varints
 *
 *      pieces, runs         how many
 *      run, first seq       for each run
 *      index of the run     for each piece, if there are several runs
 *      count                for each piece
 *      position             for each piece: how far behind the end of the piece before
 *
 * One column behind the other, which compresses best. The chunk's own checksum does not cover them, and without one a
 * damaged list would give lines to other runs.
 */
export function encodePieces(pieces: readonly Piece[]): Buffer {
  const runs = new Map<number, { index: number; seq: number }>();
  for (const { run, seq } of pieces) if (!runs.has(run)) runs.set(run, { index: runs.size, seq });
  const raw = Buffer.allocUnsafe(HEAD_BYTES + 8 * (2 + 2 * runs.size + 3 * pieces.length));
  let at = writeVarint(raw, HEAD_BYTES, pieces.length);
  at = writeVarint(raw, at, runs.size);
  for (const [run, { seq }] of runs) at = writeVarint(raw, writeVarint(raw, at, run), seq);
  if (runs.size > 1) for (const { run } of pieces) at = writeVarint(raw, at, runs.get(run)?.index ?? 0);
  for (const { count } of pieces) at = writeVarint(raw, at, count);
  let end = 0;
  for (const { position, count } of pieces) {
    at = writeVarint(raw, at, position - end);
    end = position + count;
  }
  if (at < MIN_COMPRESSED_BYTES) return sealed(PLAIN, raw.subarray(0, at));
  return sealed(ZSTD, Buffer.concat([Buffer.alloc(HEAD_BYTES), zstdCompressSync(raw.subarray(HEAD_BYTES, at))]));
}

/** With what stands ahead of the columns. */
function sealed(kind: number, bytes: Buffer): Buffer {
  bytes[CRC_BYTES] = kind;
  bytes.writeUInt32LE(crc32(bytes.subarray(CRC_BYTES)), 0);
  return bytes;
}

/** The pieces again, in order. Throws a ChunkError if the bytes are not those that were encoded. */
export function decodePieces(bytes: Buffer): Piece[] {
  if (bytes.length < HEAD_BYTES || crc32(bytes.subarray(CRC_BYTES)) !== bytes.readUInt32LE(0)) throw unreadable();
  const columns = bytes.subarray(HEAD_BYTES);
  const raw = bytes[CRC_BYTES] === ZSTD ? decompressed(columns) : columns;
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = raw[at++];
      if (at > raw.length || scale > 2 ** 49) throw unreadable();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  const pieceCount = next();
  const runCount = next();
  if (pieceCount > raw.length || runCount > pieceCount) throw unreadable();
  if (pieceCount === 0) throw unreadable();
  const runs = Array.from({ length: runCount }, () => ({ run: next(), seq: next() }));
  const owners = Array.from({ length: pieceCount }, () => runs.at(runCount > 1 ? next() : 0));
  const counts = Array.from({ length: pieceCount }, next);
  let end = 0;
  return owners.map((owner, index) => {
    if (!owner) throw unreadable();
    const piece = { run: owner.run, seq: owner.seq, position: end + next(), count: counts[index] };
    owner.seq += piece.count;
    end = piece.position + piece.count;
    return piece;
  });
}

function decompressed(bytes: Buffer): Buffer {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: MAX_RAW_BYTES });
  } catch (error) {
    throw unreadable(error);
  }
}

function unreadable(cause?: unknown): ChunkError {
  return Object.assign(new ChunkError('pieces', 'of a merged chunk can’t be read'), { cause });
}

/** The pieces of several chunks in a row; what goes on where the one before ends becomes one with it. */
export function joinPieces(chunks: readonly (readonly Piece[])[]): Piece[] {
  const joined: Piece[] = [];
  for (const pieces of chunks) {
    for (const piece of pieces) {
      const last = joined.at(-1);
      if (last?.run === piece.run && last.position + last.count === piece.position) last.count += piece.count;
      else joined.push({ ...piece });
    }
  }
  return joined;
}

/** What is left behind the first `lines` lines, of which there are more. */
export function clipPieces(pieces: readonly Piece[], lines: number): Piece[] {
  let skip = lines;
  const rest: Piece[] = [];
  for (const piece of pieces) {
    const cut = Math.min(skip, piece.count);
    skip -= cut;
    const { run, seq, position, count } = piece;
    if (cut < count) rest.push({ run, seq: seq + cut, position: position + cut, count: count - cut });
  }
  return rest;
}

/** Whose lines they are, in order. */
export function runsOfPieces(pieces: readonly Piece[]): { run: number; count: number }[] {
  const runs: { run: number; count: number }[] = [];
  for (const { run, count } of pieces) {
    const last = runs.at(-1);
    if (last?.run === run) last.count += count;
    else runs.push({ run, count });
  }
  return runs;
}

/** Where a chunk is and whose, as its row says it. */
export interface Place {
  /** Of its first line. */
  position: number;
  run: number;
  lastPosition: number;
  /** 0: it is one piece. Else how many runs it holds, and its pieces say more. */
  runs: number;
  pieces?: Uint8Array;
}

export function placeOf(pieces: readonly Piece[]): Place {
  const [{ position, run }] = pieces;
  const last = pieces[pieces.length - 1];
  const lastPosition = last.position + last.count - 1;
  if (pieces.length === 1) return { position, run, lastPosition, runs: 0 };
  const runs = new Set(pieces.map((piece) => piece.run)).size;
  return { position, run, lastPosition, runs, pieces: encodePieces(pieces) };
}

const CRC_BYTES = 4;
const HEAD_BYTES = CRC_BYTES + 1;
const PLAIN = 0;
const ZSTD = 1;
const MIN_COMPRESSED_BYTES = 256;
/** Above what MAX_LINES pieces take. */
const MAX_RAW_BYTES = 4 * 1024 * 1024;
