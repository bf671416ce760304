import { KeyLines } from './key-lines.ts';

const NOTHING = Buffer.alloc(0);

/**
 * Masks private keys in PEM, which nobody has to name: from `-----BEGIN … PRIVATE KEY-----` (PGP: `… KEY BLOCK-----`)
 * to `-----END `. KeyLines says what in between is the key. Certificates and public keys stay. Nothing is held back
 * outside of keys, and in them no more than a word.
 */
export class KeyBlocks {
  /** Outside of a key: what has left of a mark that may be beginning. */
  #begun = NOTHING;
  #key: KeyLines | undefined;

  /** Whether anything is held back. */
  get holding(): boolean {
    return this.#key?.holding ?? false;
  }

  /** Takes the next bytes and returns what may leave: the block itself where there is no key. Keeps no reference to it. */
  push(block: Buffer): Buffer {
    const parts: Buffer[] = [];
    let at = 0;
    while (at < block.length)
      at = this.#key ? this.#inKey(this.#key, block, at, parts) : this.#outside(block, at, parts);
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }

  /** The stream is over: returns what was held, masked where it is part of a key. */
  end(): Buffer {
    const out: number[] = [];
    this.#key?.end(out);
    this.#key = undefined;
    return Buffer.from(out);
  }

  #inKey(key: KeyLines, block: Buffer, at: number, parts: Buffer[]): number {
    const out: number[] = [];
    const behind = key.take(block, at, out);
    parts.push(Buffer.from(out));
    if (key.over !== undefined) {
      this.#key = undefined;
      this.#begun = key.over === 'begin' ? BEGIN : NOTHING;
    }
    return behind;
  }

  #outside(block: Buffer, at: number, parts: Buffer[]): number {
    const rest = at === 0 ? block : block.subarray(at);
    const begun = this.#begun.length;
    // Enough to see what has begun to its end: a copy of all for each of many marks would take a block's length squared.
    const joined = begun === 0 ? rest : Buffer.concat([this.#begun, rest.subarray(0, MAX_MARK_BYTES)]);
    const joinedEnd = begun === 0 ? -1 : endOfMark(joined);
    const end = joinedEnd === -1 ? endOfMark(rest) : joinedEnd - begun;
    if (end === -1) {
      parts.push(rest);
      const text = rest.length <= MAX_MARK_BYTES ? joined : rest;
      this.#begun = Buffer.from(text.subarray(startOfMark(text)));
      return block.length;
    }
    parts.push(rest.subarray(0, end));
    this.#begun = NOTHING;
    this.#key = new KeyLines();
    return at + end;
  }
}

const BEGIN = Buffer.from('-----BEGIN ');
const DASHES = 5;
/** The rare part of it: lines of dashes are common. */
const WORD = BEGIN.subarray(DASHES);
const MARK = /-----BEGIN [A-Z0-9 ]{0,64}PRIVATE KEY(?: BLOCK)?-----/y;
const MARK_BEGUN = /(?:-{1,5}|-----B|-----BE|-----BEG|-----BEGI|-----BEGIN|-----BEGIN [A-Z0-9 ]{0,81}-{0,4})$/;
const MAX_MARK_BYTES = 128;

/** The place behind the first mark of a private key, or -1. */
function endOfMark(text: Buffer): number {
  for (let word = text.indexOf(WORD, DASHES); word !== -1; word = text.indexOf(WORD, word + 1)) {
    const at = word - DASHES;
    MARK.lastIndex = 0;
    if (MARK.test(text.toString('latin1', at, at + MAX_MARK_BYTES))) return at + MARK.lastIndex;
  }
  return -1;
}

/** Where a mark begins of which the text has not all; text.length if none does. */
function startOfMark(text: Buffer): number {
  // Most texts end with a newline, and no mark has one.
  if (text[text.length - 1] < 0x20) return text.length;
  const from = Math.max(0, text.length - MAX_MARK_BYTES);
  const match = MARK_BEGUN.exec(text.toString('latin1', from));
  return match === null ? text.length : from + match.index;
}
