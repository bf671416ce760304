/** Says where the end of a text may be the beginning of one of some byte sequences. */
export class Beginnings {
  readonly #byFirst: Buffer[][] = Array.from({ length: 256 }, () => []);
  readonly #sequences: readonly Buffer[];
  /** As many bytes at the end of a text can be the beginning of a sequence. */
  readonly #longest: number;
  /** Of those sequences that were looked for in linear time. */
  readonly #failures = new Map<Buffer, Int32Array>();

  constructor(sequences: readonly Buffer[]) {
    this.#sequences = sequences;
    for (const sequence of sequences) this.#byFirst[sequence[0]].push(sequence);
    this.#longest = sequences.reduce((bytes, sequence) => Math.max(bytes, sequence.length - 1), 0);
  }

  /** The first place at or behind `from` where only more bytes can tell whether a sequence stands there, or text.length. */
  earliest(text: Buffer, from: number): number {
    let compared = 0;
    for (let at = Math.max(from, text.length - this.#longest); at < text.length; at++) {
      for (const sequence of this.#byFirst[text[at]]) {
        const same = sameBytes(text, at, sequence);
        if (at + same === text.length && same < sequence.length) return at;
        compared += same;
      }
      if (compared > MAX_COMPARED) return this.#earliestLinear(text, at + 1);
    }
    return text.length;
  }

  /** The same for long sequences that repeat themselves, as does the text: each byte is looked at once a sequence. */
  #earliestLinear(text: Buffer, from: number): number {
    return this.#sequences.reduce((earliest, sequence) => {
      let failure = this.#failures.get(sequence);
      if (failure === undefined) this.#failures.set(sequence, (failure = failureOf(sequence)));
      const start = Math.max(from, text.length - sequence.length + 1);
      return Math.min(earliest, text.length - begunBytes(text, start, sequence, failure));
    }, text.length);
  }
}

function sameBytes(text: Buffer, at: number, sequence: Buffer): number {
  const length = Math.min(text.length - at, sequence.length);
  let i = 1;
  while (i < length && text[at + i] === sequence[i]) i++;
  return i;
}

/** How many bytes at the end of the text, from `from` on, are the beginning of the sequence; it is longer than those. */
function begunBytes(text: Buffer, from: number, sequence: Buffer, failure: Int32Array): number {
  let matched = 0;
  for (let at = from; at < text.length; at++) {
    while (matched > 0 && text[at] !== sequence[matched]) matched = failure[matched - 1];
    if (text[at] === sequence[matched]) matched++;
  }
  return matched;
}

/** For each beginning of a sequence, how long the longest shorter beginning is with which it ends (Knuth, Morris, Pratt). */
function failureOf(sequence: Buffer): Int32Array {
  const failure = new Int32Array(sequence.length);
  for (let at = 1, matched = 0; at < sequence.length; at++) {
    while (matched > 0 && sequence[at] !== sequence[matched]) matched = failure[matched - 1];
    if (sequence[at] === sequence[matched]) matched++;
    failure[at] = matched;
  }
  return failure;
}

/** Texts of all days need some dozens; that many take a tenth of a millisecond. */
const MAX_COMPARED = 64 * 1024;
