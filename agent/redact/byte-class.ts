/** Sets of bytes, each a bit, so that one table serves all. None has the newline: no secret spans one. */
export const UPPER_DIGIT = 1;
export const ALNUM = 2;
/** ALNUM and `-` */
export const ALNUM_DASH = 4;
/** ALNUM and `_` */
export const WORD = 8;
/** ALNUM, `_` and `-`: the alphabet of base64url. */
export const WORD_DASH = 16;
/** WORD_DASH and `.` */
export const WORD_DASH_DOT = 32;
export const DOT = 64;
/** What can stand between `://` and the end of a URL's host: no blank, no control character, no quote, no `/?#<>\`. */
export const AUTHORITY = 128;

/** The bits of the classes of every byte. */
export const CLASSES = new Uint8Array(256);

for (let byte = 0; byte < 256; byte++) {
  const char = String.fromCharCode(byte);
  if (/[A-Z0-9]/.test(char)) CLASSES[byte] |= UPPER_DIGIT;
  if (/[A-Za-z0-9]/.test(char)) CLASSES[byte] |= ALNUM;
  if (/[A-Za-z0-9-]/.test(char)) CLASSES[byte] |= ALNUM_DASH;
  if (/[A-Za-z0-9_]/.test(char)) CLASSES[byte] |= WORD;
  if (/[A-Za-z0-9_-]/.test(char)) CLASSES[byte] |= WORD_DASH;
  if (/[A-Za-z0-9_.-]/.test(char)) CLASSES[byte] |= WORD_DASH_DOT;
  if (char === '.') CLASSES[byte] |= DOT;
  if (byte > 0x20 && byte !== 0x7f && !'/?#"\'<>\\`'.includes(char)) CLASSES[byte] |= AUTHORITY;
}

/**
 * Ends of runs of bytes of one class. It remembers the last run of each class, so that many places within one long
 * run cost no more than the run itself.
 */
export class Runs {
  readonly #text: Buffer;
  readonly #last = new Map<number, { from: number; to: number }>();

  constructor(text: Buffer) {
    this.#text = text;
  }

  /** The first place at or behind `at` that is not of the class. */
  end(bit: number, at: number): number {
    const last = this.#last.get(bit);
    if (last && at >= last.from && at <= last.to) return last.to;
    const text = this.#text;
    let to = at;
    while (to < text.length && (CLASSES[text[to]] & bit) !== 0) to++;
    this.#last.set(bit, { from: at, to });
    return to;
  }
}
