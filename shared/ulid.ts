import { randomBytes } from 'node:crypto';

/** Run identifiers: ULIDs (https://github.com/ulid/spec), 48 bits of milliseconds and 80 random bits. */

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const TEXT = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
export const ULID_BYTES = 16;

export function newUlid(now: number): string {
  const bytes = randomBytes(ULID_BYTES);
  bytes.writeUIntBE(now, 0, 6);
  return formatUlid(bytes, 0);
}

export function isUlid(text: string): boolean {
  return TEXT.test(text);
}

/** Reads 16 big-endian bytes at `offset` as 26 characters of Crockford's Base32. */
export function formatUlid(bytes: Uint8Array, offset: number): string {
  // 128 bits are 25 characters of 5 bits, and 3 bits for the first.
  let text = '';
  let bits = 0;
  let held = 0;
  for (let i = ULID_BYTES - 1; i >= 0; i--) {
    held |= bytes[offset + i] << bits;
    bits += 8;
    while (bits >= 5) {
      text = ALPHABET[held & 31] + text;
      held >>>= 5;
      bits -= 5;
    }
  }
  return ALPHABET[held & 31] + text;
}

/** Writes `text` as 16 big-endian bytes at `offset`. Throws a RangeError if it is no ULID. */
export function writeUlid(text: string, bytes: Uint8Array, offset: number): void {
  if (!isUlid(text)) throw new RangeError(`not a ULID: ${JSON.stringify(text)}`);
  let bits = 0;
  let held = 0;
  let at = offset + ULID_BYTES - 1;
  for (let i = text.length - 1; i >= 0; i--) {
    held |= ALPHABET.indexOf(text[i]) << bits;
    bits += 5;
    if (bits >= 8) {
      bytes[at--] = held & 255;
      held >>>= 8;
      bits -= 8;
    }
  }
}
