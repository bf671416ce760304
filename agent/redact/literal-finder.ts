import { alignedWords } from './aligned-words.ts';
import type { Findings } from './findings.ts';

/** Slots of the table for every word in it: hits by chance are rare and cost little. */
const SLOTS_PER_WORD = 32;
const MULTIPLIER = 0x9e3779b1;

/**
 * Finds every occurrence of every given byte sequence.
 *
 * A sequence of stride + 3 bytes, wherever it stands, has a whole 32-bit word at some multiple of the stride. So one
 * word in each stride is looked up in a small table that has, of every sequence, the words at the offsets 0 to
 * stride - 1; a hit is compared byte by byte. The longer the shortest sequence, the longer the stride (4, 8 or 16).
 */
export class LiteralFinder {
  readonly #forms: readonly Buffer[];
  readonly #stride: number;
  readonly #shift: number;
  /** Slot → its first entry + 1, or 0. */
  readonly #slots: Uint32Array;
  /** Slot → whether it has an entry: a quarter of the memory, so that it stays in the processor's cache. */
  readonly #used: Uint8Array;
  /** Entries: a word, whose form and where in it, and the next entry + 1 of the same slot. */
  readonly #words: Int32Array;
  readonly #formOf: Uint32Array;
  readonly #offsetOf: Uint8Array;
  readonly #next: Uint32Array;

  /** `forms` are distinct, each of at least 7 bytes, the shortest stride's need. */
  constructor(forms: readonly Buffer[]) {
    this.#forms = forms;
    const shortest = forms.reduce((bytes, form) => Math.min(bytes, form.length), Infinity);
    this.#stride = shortest >= 19 ? 16 : shortest >= 11 ? 8 : 4;
    const count = forms.length * this.#stride;
    const bits = Math.max(8, Math.ceil(Math.log2(count * SLOTS_PER_WORD + 1)));
    this.#shift = 32 - bits;
    this.#slots = new Uint32Array(2 ** bits);
    this.#used = new Uint8Array(2 ** bits);
    this.#words = new Int32Array(count);
    this.#formOf = new Uint32Array(count);
    this.#offsetOf = new Uint8Array(count);
    this.#next = new Uint32Array(count);
    for (let entry = 0; entry < count; entry++) this.#register(entry);
  }

  find(text: Buffer, findings: Findings): void {
    if (this.#forms.length === 0) return;
    const slots = this.#slots;
    const used = this.#used;
    const shift = this.#shift;
    const step = this.#stride >> 2;
    const { base, words } = alignedWords(text);
    const count = words.length;
    let i = 0;
    // Two words at a time: their answers joined cost one branch.
    for (const behind = count - step; i < behind; i += 2 * step) {
      const a = Math.imul(words[i], MULTIPLIER) >>> shift;
      const b = Math.imul(words[i + step], MULTIPLIER) >>> shift;
      if ((used[a] | used[b]) === 0) continue;
      this.#compare(text, base + 4 * i, words[i], slots[a], findings);
      this.#compare(text, base + 4 * (i + step), words[i + step], slots[b], findings);
    }
    if (i < count)
      this.#compare(text, base + 4 * i, words[i], slots[Math.imul(words[i], MULTIPLIER) >>> shift], findings);
  }

  #register(entry: number): void {
    const form = Math.floor(entry / this.#stride);
    const offset = entry % this.#stride;
    const [word] = new Int32Array(Uint8Array.from(this.#forms[form].subarray(offset, offset + 4)).buffer);
    const slot = Math.imul(word, MULTIPLIER) >>> this.#shift;
    this.#words[entry] = word;
    this.#formOf[entry] = form;
    this.#offsetOf[entry] = offset;
    this.#next[entry] = this.#slots[slot];
    this.#slots[slot] = entry + 1;
    this.#used[slot] = 1;
  }

  #compare(text: Buffer, at: number, word: number, first: number, findings: Findings): void {
    for (let entry = first - 1; entry !== -1; entry = this.#next[entry] - 1) {
      if (this.#words[entry] !== word) continue;
      const form = this.#forms[this.#formOf[entry]];
      const start = at - this.#offsetOf[entry];
      const end = start + form.length;
      if (start >= 0 && end <= text.length && text.compare(form, 0, form.length, start, end) === 0) {
        findings.secret(start, end);
      }
    }
  }
}
