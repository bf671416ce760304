/** Places to go back to, not more than a few thousand of them however many are added. */
export class Marks {
  #marks: Mark[] = [];
  #added = 0;
  #every = 1;

  /** `passed` never falls. */
  add(mark: Mark): void {
    if (this.#added++ % this.#every !== 0) return;
    this.#marks.push(mark);
    if (this.#marks.length < MAX_MARKS) return;
    this.#marks = this.#marks.filter((_, index) => index % 2 === 0);
    this.#every *= 2;
  }

  /** The last one with fewer lines before it than `offset`, so that the gaps ahead of that line come behind it. */
  placeOf(offset: number): Place {
    const { firstLine, passed } = this.#marks.findLast((mark) => mark.passed < offset) ?? { firstLine: 1, passed: 0 };
    return { from: firstLine, skip: offset - passed };
  }
}

/** The line to read on from, and matching lines to pass over there. */
export interface Place {
  from: number;
  skip: number;
}

interface Mark {
  firstLine: number;
  /** Matching lines before it. */
  passed: number;
}

const MAX_MARKS = 4096;
