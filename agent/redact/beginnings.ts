/** Says where the end of a text may be the beginning of one of some byte sequences. */
export class Beginnings {
  readonly #byFirst: Buffer[][] = Array.from({ length: 256 }, () => []);
  /** As many bytes at the end of a text can be the beginning of a sequence. */
  readonly #longest: number;

  constructor(sequences: readonly Buffer[]) {
    for (const sequence of sequences) this.#byFirst[sequence[0]].push(sequence);
    this.#longest = sequences.reduce((bytes, sequence) => Math.max(bytes, sequence.length - 1), 0);
  }

  /** The first place at or behind `from` where only more bytes can tell whether a sequence stands there, or text.length. */
  earliest(text: Buffer, from: number): number {
    for (let at = Math.max(from, text.length - this.#longest); at < text.length; at++) {
      for (const sequence of this.#byFirst[text[at]]) if (isBegun(text, at, sequence)) return at;
    }
    return text.length;
  }
}

function isBegun(text: Buffer, at: number, sequence: Buffer): boolean {
  const length = text.length - at;
  if (length >= sequence.length) return false;
  for (let i = 1; i < length; i++) if (text[at + i] !== sequence[i]) return false;
  return true;
}
