import { LEVELS, type Level } from '../shared/line.ts';
import { LevelPrefix } from './level-prefix.ts';

/**
 * A line's level, guessed from its first bytes. Whichever of these comes first in the line decides (level.test.ts holds
 * the whole table):
 *
 *   - JSON: the member `level`, `severity` or `lvl`, a word or a number (pino's 10 to 60, syslog's 0 to 7);
 *   - `level=`, `lvl=` or `severity=` and a word;
 *   - a level word in brackets, or followed by a colon behind a space: `[warn]`, `(error)`, `main.c:3:1: error: …`;
 *   - a level word in capitals that stands alone: `2026-01-02 03:04:05 WARN …`, `npm ERR! …`;
 *   - one letter as glog and Android write it: `E0102 15:04:05.123 …`, `01-02 15:04:05.123  170  239 W Tag: …`.
 *
 * Anything else is ambiguous, and the source decides: stdout INFO, stderr ERROR.
 */
export const AMBIGUOUS = -1;

/** How far into a line a level is looked for: timestamps, hosts and thread names fit, prose does not. */
const WINDOW_BYTES = 120;
const WINDOW_WORDS = 12;
const JSON_WINDOW_BYTES = 1024;

const WORDS: Record<Level, readonly string[]> = {
  DEBUG: ['trace', 'trc', 'debug', 'dbg', 'verbose', 'fine', 'finer', 'finest'],
  INFO: ['info', 'inf', 'information', 'notice'],
  WARN: ['warn', 'wrn', 'warning'],
  ERROR: ['error', 'err', 'severe', 'fatal', 'ftl', 'critical', 'crit', 'panic', 'emerg', 'emergency', 'alert'],
};
const KEYS = ['level', 'lvl', 'severity'];
const LETTERS: Record<string, Level> = { V: 'DEBUG', D: 'DEBUG', I: 'INFO', W: 'WARN', E: 'ERROR', F: 'ERROR' };
const JSON_LEVEL = /"(?:level|lvl|severity)"\s*:\s*(?:"([a-z]+)"|(\d+))/i;

/** Marks a key in the table of words: its level is the word behind the `=`. */
const KEY = 9;
/** For this factor no two words share a place. */
const HASH_FACTOR = 11;
const PLACES = 256;

interface Known {
  word: Buffer;
  level: number;
}

/** Words by the hash of their letters in lower case; a hit is compared letter by letter. */
const known = new Array<Known | undefined>(PLACES).fill(undefined);
for (const [level, words] of Object.entries(WORDS))
  for (const word of words) register(word, LEVELS.indexOf(level as Level));
for (const word of KEYS) register(word, KEY);
const SHORTEST = 3;
const LONGEST = 11;

function register(word: string, level: number): void {
  const place = hashOf(word) & (PLACES - 1);
  if (known[place]) throw new Error(`${word} and ${known[place].word.toString()} share a place: take another factor`);
  known[place] = { word: Buffer.from(word), level };
}

function hashOf(word: string): number {
  let hash = 0;
  for (let i = 0; i < word.length; i++) hash = (Math.imul(hash, HASH_FACTOR) + word.charCodeAt(i)) | 0;
  return hash;
}

const NEWLINE = 0x0a;
const ESCAPE = 0x1b;
const COLON = 0x3a;
const EQUALS = 0x3d;
/** 1 for A to Z and a to z. */
const LETTER = Uint8Array.from({ length: 256 }, (_, c) => (/[A-Za-z]/.test(String.fromCharCode(c)) ? 1 : 0));

/**
 * Finds levels in the lines of one source. Most programs put the level at the same place of every line, behind a
 * prefix that differs in its digits only; so the detector remembers the last prefix, and where it matches, the scan
 * goes on behind it. The answer is that of a scan from the start: all digits are alike to it.
 */
export class LevelDetector {
  readonly #prefix = new LevelPrefix();

  /** The level's index in LEVELS of the line bytes[start, end), or AMBIGUOUS. */
  detect(bytes: Buffer, start: number, end: number): number {
    if (bytes[start] === 0x7b && start < end) return jsonLevel(bytes, start, end);
    const limit = Math.min(end, start + WINDOW_BYTES);
    const expected = this.#prefix.matches(bytes, start, limit) ? start + this.#prefix.length : -1;
    let at = expected === -1 ? start : expected;
    let words = expected === -1 ? 0 : this.#prefix.words;
    while (at < limit) {
      const c = bytes[at];
      if (LETTER[c] === 0) {
        at = c === ESCAPE ? behindEscape(bytes, at, limit) : at + 1;
        continue;
      }
      const word = at;
      do at++;
      while (at < end && LETTER[bytes[at]] !== 0);
      const level = levelOfWord(bytes, start, end, word, at, words);
      if (level !== AMBIGUOUS) {
        if (word !== expected) this.#prefix.remember(bytes, start, word, words);
        return level;
      }
      // Single letters are parts of timestamps and of node names.
      if (at - word > 1 && ++words === WINDOW_WORDS) break;
    }
    return AMBIGUOUS;
  }
}

/** The level that the word bytes[word, behind), the line's `words`-th, stands for, or AMBIGUOUS. */
function levelOfWord(bytes: Buffer, start: number, end: number, word: number, behind: number, words: number): number {
  const length = behind - word;
  const after = behind < end ? bytes[behind] : NEWLINE;
  if (length === 1) return words === 0 ? letterLevel(bytes, start, end, word, after) : AMBIGUOUS;
  if (length < SHORTEST || length > LONGEST) return AMBIGUOUS;
  const capitals = ((bytes[word] | bytes[word + 1]) & 0x20) === 0;
  // Most words end here: in prose they are neither capitals nor followed by one of these.
  if (!capitals && after !== COLON && after !== EQUALS && !isClosing(after)) return AMBIGUOUS;
  const level = lookUp(bytes, word, behind);
  if (level === AMBIGUOUS) return AMBIGUOUS;
  if (level === KEY) return after === EQUALS ? valueLevel(bytes, behind + 1, end) : AMBIGUOUS;
  const before = word > start ? bytes[word - 1] : NEWLINE;
  if (after === COLON && (before === NEWLINE || before === 0x20 || before === 0x09)) return level;
  if (isClosing(after) && isOpening(before)) return level;
  const alone = isBoundary(after) && (isBoundary(before) || endsEscape(bytes, word, start));
  return alone && isCapitals(bytes, word, behind) ? level : AMBIGUOUS;
}

/** The level of a word in any case, KEY, or AMBIGUOUS. */
function lookUp(bytes: Buffer, word: number, behind: number): number {
  let hash = 0;
  for (let i = word; i < behind; i++) hash = (Math.imul(hash, HASH_FACTOR) + (bytes[i] | 0x20)) | 0;
  const found = known[hash & (PLACES - 1)];
  if (found?.word.length !== behind - word) return AMBIGUOUS;
  for (let i = word; i < behind; i++) if ((bytes[i] | 0x20) !== found.word[i - word]) return AMBIGUOUS;
  return found.level;
}

/** glog's `E0102 `, Android's `… 239 W Tag`. */
function letterLevel(bytes: Buffer, start: number, end: number, word: number, after: number): number {
  const level = LETTERS[String.fromCharCode(bytes[word])] as Level | undefined;
  if (level === undefined) return AMBIGUOUS;
  const glog =
    word === start && word + 5 < end && bytes[word + 5] === 0x20 && [1, 2, 3, 4].every((i) => isDigit(bytes[word + i]));
  const android = word > start + 1 && bytes[word - 1] === 0x20 && isDigit(bytes[word - 2]) && after === 0x20;
  return glog || android ? LEVELS.indexOf(level) : AMBIGUOUS;
}

/** The level word at `at`, which may stand in quotes. */
function valueLevel(bytes: Buffer, at: number, end: number): number {
  const quoted = bytes[at] === 0x22 ? 1 : 0;
  let behind = at + quoted;
  while (behind < end && behind - at <= LONGEST + 1 && LETTER[bytes[behind]] !== 0) behind++;
  return levelNamed(bytes.toString('latin1', at + quoted, behind));
}

function jsonLevel(bytes: Buffer, start: number, end: number): number {
  const found = JSON_LEVEL.exec(bytes.toString('latin1', start, Math.min(end, start + JSON_WINDOW_BYTES)));
  if (!found) return AMBIGUOUS;
  const [, word, number] = found as (string | undefined)[];
  return word !== undefined ? levelNamed(word) : levelNumbered(Number(number));
}

function levelNamed(word: string): number {
  const lower = word.toLowerCase();
  const found = known[hashOf(lower) & (PLACES - 1)];
  return found?.word.toString() === lower && found.level !== KEY ? found.level : AMBIGUOUS;
}

function levelNumbered(number: number): number {
  if (number < 10)
    return LEVELS.indexOf(number <= 3 ? 'ERROR' : number === 4 ? 'WARN' : number <= 6 ? 'INFO' : 'DEBUG');
  return LEVELS.indexOf(number < 30 ? 'DEBUG' : number < 40 ? 'INFO' : number < 50 ? 'WARN' : 'ERROR');
}

/** The place behind an ANSI escape sequence, so that its final letter starts no word. */
function behindEscape(bytes: Buffer, at: number, limit: number): number {
  at++;
  if (at >= limit || bytes[at] !== 0x5b) return at;
  at++;
  while (at < limit && (bytes[at] < 0x40 || bytes[at] > 0x7e)) at++;
  return at + 1;
}

function isDigit(c: number): boolean {
  return c >= 0x30 && c <= 0x39;
}

function isCapitals(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if ((bytes[i] & 0x20) !== 0) return false;
  return true;
}

function isOpening(c: number): boolean {
  return c === 0x5b || c === 0x28 || c === 0x3c || c === 0x7c; // [ ( < |
}

function isClosing(c: number): boolean {
  return c === 0x5d || c === 0x29 || c === 0x3e || c === 0x7c; // ] ) > |
}

/** What may stand beside a level word in capitals: no letter, digit, `_`, `.` or `=`, which make it part of a name. */
function isBoundary(c: number): boolean {
  if (c === NEWLINE || c === 0x20 || c === 0x09 || c === ESCAPE || c === COLON || c === 0x21) return true; // : !
  return isOpening(c) || isClosing(c) || c === 0x2c || c === 0x2d || c === 0x2f; // , - /
}

/** Whether the letter before `at` ends an ANSI colour. */
function endsEscape(bytes: Buffer, at: number, start: number): boolean {
  if (bytes[at - 1] !== 0x6d) return false;
  at -= 2;
  while (at > start && (isDigit(bytes[at]) || bytes[at] === 0x3b)) at--;
  return at > start && bytes[at] === 0x5b && bytes[at - 1] === ESCAPE;
}
