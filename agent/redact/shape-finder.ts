import { alignedWords } from './aligned-words.ts';
import { Runs } from './byte-class.ts';
import type { Findings } from './findings.ts';
import { SHAPES, type Shape } from './shapes.ts';
import { findUrlPassword, URL_MARK } from './url-password.ts';

/**
 * Finds tokens of known shapes and passwords in URLs.
 *
 * Of a prefix of at least three bytes, two stand at an even place: so one look at every second place, into a table of
 * all 16-bit pairs, sees each prefix exactly once. Eight bytes are read and their four answers joined at a time, which
 * is twice as fast as pair by pair.
 */
export function findShapes(text: Buffer, findings: Findings): void {
  const search = new ShapeSearch(text, findings);
  const table = IS_PAIR;
  const { base, words } = alignedWords(text);
  const behind = words.length & ~1;
  search.examine(base & 1, base);
  for (let i = 0; i < behind; i += 2) {
    const a = words[i];
    const b = words[i + 1];
    if ((table[a & 0xffff] | table[a >>> 16] | table[b & 0xffff] | table[b >>> 16]) !== 0) {
      search.examine(base + 4 * i, base + 4 * i + 8);
    }
  }
  search.examine(base + 4 * behind, text.length);
}

/** The prefixes of tokens: a text that ends with a part of one is undecided. */
export const TOKEN_PREFIXES: readonly Buffer[] = SHAPES.map((shape) => Buffer.from(shape.prefix));

interface Candidate {
  prefix: Buffer;
  /** Where in the prefix its pair stands. */
  offset: number;
  /** Undefined for a URL. */
  shape: Shape | undefined;
}

/** By pair as this machine reads 16 bits: 1 if CANDIDATES has any. */
const IS_PAIR = new Uint8Array(65536);
/** By pair, the first byte being the upper one: an index into CANDIDATES. */
const BUCKET = new Uint8Array(65536);
const CANDIDATES: Candidate[][] = [[]];

for (const shape of SHAPES) register(Buffer.from(shape.prefix), shape);
register(URL_MARK, undefined);

/** Of the pairs at even places of the prefix the rarest one stands for it, and of those at odd places. */
function register(prefix: Buffer, shape: Shape | undefined): void {
  for (const parity of [0, 1]) {
    let offset = parity;
    for (let at = parity + 2; at + 1 < prefix.length; at += 2)
      if (commonness(prefix, at) < commonness(prefix, offset)) offset = at;
    const pair = prefix.readUInt16BE(offset);
    if (BUCKET[pair] === 0) BUCKET[pair] = CANDIDATES.push([]) - 1;
    CANDIDATES[BUCKET[pair]].push({ prefix, offset, shape });
    const [asRead] = new Uint16Array(Uint8Array.from(prefix.subarray(offset, offset + 2)).buffer);
    IS_PAIR[asRead] = 1;
  }
}

/** How often a pair is to be expected in logs, roughly: small letters and digits are common, in this order. */
function commonness(bytes: Buffer, at: number): number {
  const rank = (byte: number): number => 'zqjxkvbywgp9876543fmucdlhrsnioate210'.indexOf(String.fromCharCode(byte)) + 2;
  return rank(bytes[at]) * rank(bytes[at + 1]);
}

/** Looks closer where a prefix may stand. */
class ShapeSearch {
  readonly #text: Buffer;
  readonly #findings: Findings;
  #runs: Runs | undefined;

  constructor(text: Buffer, findings: Findings) {
    this.#text = text;
    this.#findings = findings;
  }

  /** Examines the pairs at every second place from `from` on, before `to`. */
  examine(from: number, to: number): void {
    const text = this.#text;
    for (let at = from; at < to && at + 1 < text.length; at += 2) {
      const bucket = BUCKET[(text[at] << 8) | text[at + 1]];
      if (bucket === 0) continue;
      for (const { prefix, offset, shape } of CANDIDATES[bucket]) {
        const start = at - offset;
        if (!this.#hasPrefix(start, prefix)) continue;
        if (shape) this.#findToken(start, shape);
        else findUrlPassword(text, start, this.#findings);
      }
    }
  }

  #hasPrefix(start: number, prefix: Buffer): boolean {
    const text = this.#text;
    if (start < 0 || start + prefix.length > text.length) return false;
    for (let i = 0; i < prefix.length; i++) if (text[start + i] !== prefix[i]) return false;
    return true;
  }

  #findToken(start: number, shape: Shape): void {
    const text = this.#text;
    this.#runs ??= new Runs(text);
    let at = start + shape.prefix.length;
    let tail = 0;
    for (const { bit, min, max } of shape.steps) {
      const end = Math.min(this.#runs.end(bit, at), at + max);
      if (end - at < min) {
        if (end === text.length) this.#findings.undecided(start);
        return;
      }
      // A step that could take more, at the end of the text, leaves open where the next one begins.
      if (end === text.length && end - at < max) {
        if (max !== Infinity) {
          this.#findings.undecided(start);
          return;
        }
        tail = bit;
      }
      at = end;
    }
    this.#findings.secret(start, at, tail);
  }
}
