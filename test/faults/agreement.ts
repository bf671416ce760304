import type { Sighting } from './contract.ts';
import type { Findings } from './findings.ts';
import type { Trace } from './trace.ts';

/** A task's log as the store has it, to compare with what readers saw. */
export class StoreIndex {
  readonly #byNumber = new Map<number, Sighting>();
  /** Line numbers by place in what was written. */
  readonly #byPlace = new Map<string, number>();

  constructor(log: readonly Sighting[], trace: Trace) {
    for (const sighting of log) {
      if (sighting.type === 'gap') continue;
      const { line = 0 } = sighting;
      this.#byNumber.set(line, sighting);
      const place = trace.places.get(sighting);
      if (place !== undefined) this.#byPlace.set(place, line);
    }
  }

  /**
   * Checks that a reader saw what the store has, in its order. Lines that the store has not are none of this, since
   * they were trimmed, or found missing otherwise.
   */
  judge(log: readonly Sighting[], trace: Trace, findings: Findings): void {
    const { task, writers } = trace.truth;
    const unique = writers.every(({ sent }) => sent === undefined);
    let last = 0;
    for (const sighting of log) {
      if (sighting.type === 'gap') continue;
      const { line, text, source } = sighting;
      if (line !== undefined) {
        const stored = this.#byNumber.get(line);
        if (stored?.type !== 'line' || (stored.text === text && stored.source === source)) continue;
        const sentence = `task ${task}, line ${line}: it is ${JSON.stringify(text.slice(0, 100))} here, ${JSON.stringify(stored.text.slice(0, 100))} in the store`;
        findings.lines('altered', 1, sentence);
        return;
      }
      const place = unique ? trace.places.get(sighting) : undefined;
      const number = place === undefined ? undefined : this.#byPlace.get(place);
      if (number === undefined) continue;
      if (number < last) {
        findings.problem(`task ${task}, line ${number}: it comes behind line ${last}`);
        return;
      }
      last = number;
    }
  }
}
