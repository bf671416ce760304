import { MASK } from './mask.ts';

/** PEM has 64 digits a line, or 70, or 76. Hardly anything else that is printed among a key's lines has so long a word. */
const LONG_DIGITS = 60;
/** Where lines are shorter: the first word that may be a line of the key. */
const FIRST_DIGITS = 16;
/** A key that was cut off has no end. It is over after so many lines in a row without a word of it, … */
const MAX_OTHER_LINES = 8;
/** … and at the latest with the first word behind so many bytes: a key of 16,384 bits has 13 KiB. */
const MAX_KEY_BYTES = 64 * 1024;
/** Before a `/` within a word: JSON within JSON within JSON. */
const MAX_BACKSLASHES = 8;

const NEWLINE = 0x0a;
const ESCAPE = 0x1b;
const BLANK = 0x20;
const DASH = 0x2d;
const DOT = 0x2e;
const SLASH = 0x2f;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const UNDERSCORE = 0x5f;

/**
 * What stands behind the `-----BEGIN …-----` of a private key, byte by byte. A word (a run of base64 digits) is part of
 * the key and becomes a mask if it is long; if it is as long as a line of the key; or if it stands where lines of the
 * key stand: at the same column and not as words of a sentence do, or, in one line, as far behind the last one. So the last
 * line, which is short, is known by its place, whatever stands before the lines and however newlines are written, and
 * what others print in between stays.
 */
export class KeyLines {
  /** Undefined while the key goes on. `begin`: another `-----BEGIN ` was read, and its rest follows. */
  over: 'end' | 'begin' | undefined;
  /** Bytes read so far. */
  #at = 0;
  #previous = 0;
  /** Dashes just before. */
  #dashes = 0;
  /** Within a sequence that colours what follows, up to its last letter. */
  #inColour = false;
  #word: Word | undefined;
  /** Where this line began, once a newline was seen. */
  #lineStart = NaN;
  #lineHasKey = false;
  #otherLines = 0;
  /** Of the key's last whole line: its digits, or 0 if there was none, and its place. */
  #lineDigits = 0;
  #column = NaN;
  #distance = NaN;
  /** Where the key's last word ended. */
  #wordEnd = 0;
  /** A shorter line was seen: the last one, unless whole ones follow. */
  #shortSeen = false;

  /** Whether anything was read that has neither left nor been masked. */
  get holding(): boolean {
    return this.#word !== undefined && this.#word.held.length > 0;
  }

  /** Reads text[at ..) up to its end or the key's; returns the place behind. Adds to `out` the bytes that may leave. */
  take(text: Buffer, at: number, out: number[]): number {
    while (at < text.length && this.over === undefined) this.#step(text[at++], out);
    return at;
  }

  /** Nothing follows. */
  end(out: number[]): void {
    if (this.#word) this.#endWord(this.#word, NEWLINE, out);
  }

  #step(byte: number, out: number[]): void {
    if (this.#word && !continues(this.#word, byte)) this.#endWord(this.#word, byte, out);
    if (!this.#word && this.#begins(byte)) this.#word = this.#newWord(byte);
    if (this.#word) this.#extend(this.#word, byte, out);
    else this.#pass(byte, out);
    this.#previous = byte;
    this.#at++;
  }

  #begins(byte: number): boolean {
    if (!isDigit(byte) || this.#inColour || (this.#previous === BACKSLASH && isEscape(byte))) return false;
    // Dashes may be those of a mark, which is better read to its end.
    if (this.#at >= MAX_KEY_BYTES && this.#previous !== DASH) this.over = 'end';
    return this.over === undefined;
  }

  #newWord(byte: number): Word {
    const newLine = this.#lineStart > this.#wordEnd;
    const there = newLine
      ? this.#at - this.#lineStart === this.#column
      : this.#at - this.#wordEnd === this.#distance && this.#previous !== DASH;
    // Behind the last line only PGP's checksum is part of the key, which begins like no word.
    const inPlace = there && (!this.#shortSeen || byte === EQUALS);
    const start = this.#at;
    return { start, dashes: this.#dashes, newLine, inPlace, digits: 0, backslashes: 0, masked: false, held: [] };
  }

  #extend(word: Word, byte: number, out: number[]): void {
    if (byte === BACKSLASH) {
      word.backslashes++;
      word.held.push(byte);
      return;
    }
    word.backslashes = 0;
    word.digits++;
    word.held.push(byte);
    if (!word.masked && word.digits >= (this.#lineDigits === 0 ? FIRST_DIGITS : LONG_DIGITS)) mask(word, out);
    if (word.masked) word.held.length = 0;
  }

  /** `byte` is the first that is no part of the word. */
  #endWord(word: Word, byte: number, out: number[]): void {
    const behind = word.backslashes > 0 ? BACKSLASH : byte;
    const inPlace = word.inPlace && !(word.newLine && isBehindWords(behind));
    if (!word.masked && (inPlace || word.digits === this.#lineDigits)) mask(word, out);
    if (word.masked) this.#endKeyWord(word);
    else if (byte === BLANK && word.dashes >= MARK_DASHES) this.over = MARKS.get(String.fromCharCode(...word.held));
    for (const held of word.held) out.push(held);
    this.#word = undefined;
    this.#dashes = 0;
  }

  #endKeyWord({ start, digits, backslashes }: Word): void {
    this.#lineHasKey = true;
    this.#shortSeen = digits < this.#lineDigits;
    if (!this.#shortSeen) {
      this.#lineDigits = digits;
      this.#column = start - this.#lineStart;
      this.#distance = start - this.#wordEnd;
    }
    this.#wordEnd = this.#at - backslashes;
  }

  #pass(byte: number, out: number[]): void {
    out.push(byte);
    this.#dashes = byte === DASH ? this.#dashes + 1 : 0;
    const goesOn = this.#inColour && isColour(byte);
    this.#inColour = goesOn || (byte === BRACKET && this.#previous === ESCAPE);
    if (byte !== NEWLINE) return;
    this.#lineStart = this.#at + 1;
    this.#otherLines = this.#lineHasKey ? 0 : this.#otherLines + 1;
    this.#lineHasKey = false;
    if (this.#otherLines > MAX_OTHER_LINES) this.over = 'end';
  }
}

interface Word {
  start: number;
  /** Before it. */
  dashes: number;
  /** It stands on another line than the key's last word. */
  newLine: boolean;
  /** It stands where a line of the key would. */
  inPlace: boolean;
  digits: number;
  /** Behind its last digit: with a `/` behind them they are part of the word, as JSON may write it. */
  backslashes: number;
  masked: boolean;
  /** What has not left: all of it, or if it is masked, its backslashes. */
  held: number[];
}

function continues({ backslashes }: Word, byte: number): boolean {
  if (backslashes === 0) return isDigit(byte) || byte === BACKSLASH;
  return byte === SLASH || (byte === BACKSLASH && backslashes < MAX_BACKSLASHES);
}

function mask(word: Word, out: number[]): void {
  out.push(...MASK);
  word.masked = true;
  word.held.splice(0, word.held.length - word.backslashes);
}

/** What begins marks, behind five dashes and before a blank. */
const MARK_DASHES = 5;
const MARKS = new Map([
  ['END', 'end'],
  ['BEGIN', 'begin'],
] as const satisfies [string, KeyLines['over']][]) as ReadonlyMap<string, KeyLines['over']>;

function isDigit(byte: number): boolean {
  return DIGITS[byte] === 1;
}

const DIGITS = new Uint8Array(256);
for (const byte of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=')) DIGITS[byte] = 1;

/** What stands behind the first word of a sentence, a time or a name, and not behind a line of a key. */
function isBehindWords(byte: number): boolean {
  return byte === BLANK || byte === COLON || byte === DOT || byte === UNDERSCORE || byte === BRACKET;
}

/** `31;1` */
function isColour(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || byte === SEMICOLON;
}

/** The n, r or t of an escaped newline or tab. */
function isEscape(byte: number): boolean {
  return byte === 0x6e || byte === 0x72 || byte === 0x74;
}
