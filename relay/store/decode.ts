import { crc32 } from 'node:zlib';
import { CHUNK_HEADER_BYTES, ChunkError, type ChunkHeader } from '../../shared/chunk.ts';
import { decodeLines, decompress, type Lines } from '../../shared/columns.ts';
import { alone } from './own-bytes.ts';

/** A chunk as it is stored: the bytes of its header and its body. */
export interface StoredBytes {
  header: Buffer;
  body: Buffer;
}

/** The lines of a stored chunk, checked against its checksum and its header. Throws a ChunkError if they can't be read. */
export function decodeStored(header: ChunkHeader, stored: StoredBytes): Lines {
  const crc = crc32(stored.body, crc32(stored.header.subarray(8, CHUNK_HEADER_BYTES)));
  if (crc !== header.crc) throw new ChunkError('crc', 'does not match the bytes');
  return decodeLines(header, alone(decompress(header, stored.body)));
}
