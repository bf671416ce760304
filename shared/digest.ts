import { hash } from 'node:crypto';

/**
 * A run's digest: a running hash over its records in order. Agent and relay advance it on their own; a run is
 * complete when both end at the same value.
 *
 *     digest(0)   = 16 zero bytes
 *     digest(n+1) = first 16 bytes of SHA-256(digest(n) ‖ u64le firstSeq ‖ u32le count ‖ u32le crc)
 *
 * It travels and rests as 32 hexadecimal digits.
 */
export const EMPTY_DIGEST = '00'.repeat(16);

const input = Buffer.alloc(32);

export function advanceDigest(digest: string, record: { firstSeq: number; count: number; crc: number }): string {
  input.write(digest, 0, 16, 'hex');
  input.writeUIntLE(record.firstSeq, 16, 6);
  input.writeUInt32LE(record.count, 24);
  input.writeUInt32LE(record.crc, 28);
  return hash('sha256', input, 'hex').slice(0, 32);
}
