import type { GapEvent } from './cursor.ts';

/** The gaps of a page in order, neighbours of one reason as one. Of very many, the first are kept and the rest counted. */
export class PageGaps {
  leftOut = 0;
  #list: GapEvent[] = [];

  get list(): readonly GapEvent[] {
    return this.#list;
  }

  /** Notes a gap, unless it is known: one that begins inside of another is that one. */
  add(gap: GapEvent): void {
    const at = this.#list.findLastIndex((other) => other.fromLine <= gap.fromLine);
    const before = this.#list.at(at);
    if (at !== -1 && before !== undefined) {
      if (before.toLine >= gap.fromLine) return;
      if (before.toLine + 1 === gap.fromLine && before.reason === gap.reason) {
        this.#list[at] = { ...before, toLine: gap.toLine };
        return;
      }
    }
    if (this.#list.length >= MAX_GAPS) this.leftOut++;
    else this.#list.splice(at + 1, 0, gap);
  }

  addAll(gaps: PageGaps): void {
    for (const gap of gaps.list) this.add(gap);
    this.leftOut += gaps.leftOut;
  }

  clear(): void {
    this.#list = [];
    this.leftOut = 0;
  }
}

/** Beside at most a thousand lines. */
const MAX_GAPS = 1000;
