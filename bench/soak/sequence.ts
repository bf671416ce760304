import type { Mark } from '../mark.ts';

/** What a reader has missed, or got again, of scripts that number their lines. */
export class Sequences {
  lines = 0;
  lost = 0;
  /** Got a second time, or behind a later one. */
  again = 0;
  readonly #next = new Map<number, number>();

  /** Who reads from the beginning misses line 0, too; others count from the first line that they get of a script. */
  constructor({ fromStartOf }: { fromStartOf?: number } = {}) {
    if (fromStartOf !== undefined) this.#next.set(fromStartOf, 0);
  }

  heard({ script, number }: Pick<Mark, 'script' | 'number'>): void {
    this.lines++;
    const next = this.#next.get(script) ?? number;
    if (number < next) {
      this.again++;
      return;
    }
    this.lost += number - next;
    this.#next.set(script, number + 1);
  }

  /** The script has printed so many lines, and no more will come. */
  ended(script: number, lines: number): void {
    this.lost += Math.max(0, lines - (this.#next.get(script) ?? lines));
    this.#next.set(script, lines);
  }
}
