import { textOf, type Author, type Pipe } from './text.ts';

/** Where a line, or a piece of one, stands in what one author writes to one source. */
export interface Place {
  index: number;
  /** UTF-16 code units [from, to) of the line's text. */
  from: number;
  to: number;
}

/** What must come next, and what did not come, of one author and one source. */
export class Pen {
  readonly author: Author;
  readonly source: Pipe;
  /** The line that is expected next, and how much of its text has come. */
  index = 0;
  offset = 0;
  /** What was jumped over, [from, to) in lines and in the text of the first and last of them. */
  readonly missing: Missing[] = [];

  constructor(author: Author, source: Pipe) {
    this.author = author;
    this.source = source;
  }

  /** Whether this may be what comes next; `rest` if it is known whether it continues a line. */
  fits(text: string, rest: boolean | undefined): Place | undefined {
    if (rest !== undefined && rest !== this.begun) return undefined;
    const line = this.text(this.index);
    const { index, offset: from } = this;
    // Nothing is the whole of an empty line, or what was left of one.
    if (text === '' && line.length > from) return undefined;
    return line.startsWith(text, from) ? { index, from, to: from + text.length } : undefined;
  }

  /** Whether a part of the expected line has come. */
  get begun(): boolean {
    return this.offset > 0;
  }

  text(index: number): string {
    return textOf(this.author, this.source, index);
  }

  /** Says how `place` stands to what was expected, and expects what follows it. */
  take(place: Place, { more, excused }: { more: boolean | undefined; excused: boolean }): Fate {
    const { index, from } = place;
    if (index < this.index || (index === this.index && from < this.offset)) return this.#late(place);
    const jumped = index > this.index || from > this.offset;
    if (jumped) this.missing.push({ from: this.#now(), to: { index, offset: from }, excused });
    const ends = more === undefined ? place.to === this.text(index).length : !more;
    this.index = ends ? index + 1 : index;
    this.offset = ends ? 0 : place.to;
    return 'next';
  }

  /** Everything up to line `end` was written. Returns how many lines too many have come. */
  close(end: number, excused: boolean): number {
    const here = this.#now();
    if (here.index < end) this.missing.push({ from: here, to: { index: end, offset: 0 }, excused });
    return Math.max(0, here.index + (here.offset > 0 ? 1 : 0) - end);
  }

  #now(): Spot {
    return { index: this.index, offset: this.offset };
  }

  /** It fills what was missing, or it was there before. */
  #late({ index, from }: Place): Fate {
    const spot = { index, offset: from };
    const at = this.missing.findIndex((one) => !isBefore(spot, one.from) && isBefore(spot, one.to));
    if (at === -1) return 'again';
    const { from: begin, to: end, excused } = this.missing[at];
    const behind = { index: index + 1, offset: 0 };
    const left = [
      { from: begin, to: spot, excused },
      { from: behind, to: end, excused },
    ].filter((one) => isBefore(one.from, one.to));
    this.missing.splice(at, 1, ...left);
    return 'late';
  }
}

/** It was expected; it comes behind its successors; it was there before. */
export type Fate = 'next' | 'late' | 'again';

export interface Missing {
  from: Spot;
  to: Spot;
  /** A gap stood there. */
  excused: boolean;
}

interface Spot {
  index: number;
  offset: number;
}

/** Lines of which something is missing. */
export function linesMissing({ from, to }: Missing): number {
  return to.index - from.index + (to.offset > 0 ? 1 : 0);
}

function isBefore(a: Spot, b: Spot): boolean {
  return a.index < b.index || (a.index === b.index && a.offset < b.offset);
}
