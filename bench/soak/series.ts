import { appendFileSync, writeFileSync } from 'node:fs';
import { COLUMNS, type Sample } from './sample.ts';

/** Prints samples one below the other, their titles every so many; and into a file as CSV, if one is given. */
export class Series {
  readonly samples: Sample[] = [];
  readonly #csv: string | undefined;
  readonly #say: (line: string) => void;

  constructor({ csv, say }: { csv: string | undefined; say: (line: string) => void }) {
    this.#csv = csv;
    this.#say = say;
    if (csv !== undefined) writeFileSync(csv, `${COLUMNS.map(({ key }) => key).join(',')}\n`);
  }

  add(sample: Sample): void {
    if (this.samples.length % TITLES_EVERY === 0) this.#say(row(COLUMNS.map(({ title }) => title)));
    this.samples.push(sample);
    this.#say(row(COLUMNS.map(({ key }) => short(sample[key]))));
    if (this.#csv !== undefined) {
      appendFileSync(this.#csv, `${COLUMNS.map(({ key }) => Math.round(sample[key] * 1000) / 1000).join(',')}\n`);
    }
  }
}

const row = (cells: readonly string[]): string =>
  cells.map((cell, column) => cell.padStart(Math.max(5, COLUMNS[column].title.length))).join('  ');

const short = (value: number): string => (Math.abs(value) < 10 ? value.toFixed(1) : value.toFixed(0));

const TITLES_EVERY = 20;
