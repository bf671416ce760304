import type { Sighting } from './contract.ts';
import type { Findings } from './findings.ts';
import type { Trace } from './trace.ts';

type Line = Extract<Sighting, { type: 'line' }>;

/** A task's log as the store has it, to compare with what readers saw. */
export class StoreIndex {
  readonly #lines: readonly Line[];
  readonly #byNumber = new Map<number, Sighting>();
  /** Line numbers by place in what was written. */
  readonly #byPlace = new Map<string, number>();

  constructor(log: readonly Sighting[], trace: Trace) {
    this.#lines = log.filter((one) => one.type === 'line');
    for (const sighting of this.#lines) {
      const { line = 0 } = sighting;
      this.#byNumber.set(line, sighting);
      const place = trace.places.get(sighting);
      if (place !== undefined) this.#byPlace.set(place, line);
    }
  }

  /**
   * What somebody saw to whom lines bear no numbers, with what the store says of them: which they are, and whether they
   * are pieces. Old lines may be gone from the store since, but what is there must be the end of what was seen: if it is
   * not, that is a finding, and they stay without.
   */
  asStored(task: string, log: readonly Sighting[], findings: Findings): readonly Sighting[] {
    const seen = log.filter((one) => one.type === 'line');
    if (seen.every(({ line }) => line !== undefined)) return log;
    const stored = new Map<Sighting, Line>();
    for (let back = 1; back <= this.#lines.length; back++) {
      const expected = this.#lines[this.#lines.length - back];
      const one = seen.at(-back);
      if (one?.text !== expected.text || one.source !== expected.source) {
        const got = one === undefined ? 'nothing' : JSON.stringify(one.text.slice(0, 100));
        findings.problem(
          `task ${task}, line ${expected.line}: counted from the end, there is ${got} here, ${JSON.stringify(expected.text.slice(0, 100))} in the store`,
        );
        return log;
      }
      stored.set(one, expected);
    }
    return log.map((one) => stored.get(one) ?? one);
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
