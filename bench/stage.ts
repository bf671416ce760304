import type { Programs } from './programs.ts';
import type { Row } from './table.ts';

/** A part of the benchmark that can be run by itself. */
export type Stage = (bench: Bench) => AsyncIterable<Row>;

/** What a stage measures with. */
export interface Bench {
  /** Its own, deleted after the run. */
  folder: string;
  programs: Programs;
  scale: Scale;
}

/** How much is measured: a smoke run only shows that the benchmark works. */
export interface Scale {
  smoke: boolean;
  /** How often what is cheap is repeated. */
  runs: number;
}

/** The results of so many runs, one after the other. */
export async function repeat<T>(runs: number, measure: (run: number) => Promise<T> | T): Promise<T[]> {
  const results: T[] = [];
  for (let run = 0; run < runs; run++) results.push(await measure(run));
  return results;
}
