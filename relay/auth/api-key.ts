import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * An API key's text: `krt_`, then in lower-case Crockford Base32
 *
 *     id        10 characters, 50 bits    names the key in lists and logs
 *     secret    52 characters, 256 bits
 *     checksum   7 characters, 32 bits    CRC-32 of all before it: tells a mistyped key from one that is not known
 */
export interface ApiKey {
  id: string;
  text: string;
}

/** What of a key is kept. */
export type KeyHash = string;

export function newApiKey(): ApiKey {
  const id = base32(randomBytes(7), ID_CHARACTERS);
  const body = `${PREFIX}${id}${base32(randomBytes(32), SECRET_CHARACTERS)}`;
  return { id, text: body + checksum(body) };
}

/** The id of a key; undefined if the text is none, or mistyped. */
export function keyIdOf(text: string): string | undefined {
  const id = SHAPE.exec(text)?.[1];
  if (id === undefined) return undefined;
  const body = text.slice(0, -CHECKSUM_CHARACTERS);
  return checksum(body) === text.slice(-CHECKSUM_CHARACTERS) ? id : undefined;
}

/** Whether a text has the form of a key, right or mistyped. */
export function looksLikeKey(text: string): boolean {
  return text.startsWith(PREFIX);
}

/**
 * SHA-256 as hex. Slow hashes protect passwords that people choose, which can be guessed; 256 random bits can't, so a
 * fast one keeps them as well, and every request can afford it.
 */
export function hashOf(text: string): KeyHash {
  return createHash('sha256').update(text).digest('hex');
}

/** Takes the same time whatever the difference is. */
export function sameHash(a: KeyHash, b: KeyHash): boolean {
  const [left, right] = [Buffer.from(a, 'hex'), Buffer.from(b, 'hex')];
  return left.length === right.length && timingSafeEqual(left, right);
}

function checksum(text: string): string {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32BE(crc32(text), 1);
  return base32(bytes, CHECKSUM_CHARACTERS);
}

/** The last 5 × `characters` bits of `bytes`; bits that are not there are 0. */
function base32(bytes: Uint8Array, characters: number): string {
  let value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  let text = '';
  while (text.length < characters) {
    text = ALPHABET[Number(value & 31n)] + text;
    value >>= 5n;
  }
  return text;
}

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const PREFIX = 'krt_';
const ID_CHARACTERS = 10;
const SECRET_CHARACTERS = 52;
const CHECKSUM_CHARACTERS = 7;
const SHAPE = /^krt_([0-9a-hjkmnp-tv-z]{10})[0-9a-hjkmnp-tv-z]{59}$/;
