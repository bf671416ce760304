import type { Verdict } from './contract.ts';

/** What an oracle finds in what somebody has seen, as it goes. */
export class Findings {
  readonly verdict: Verdict = {
    ...{ linesChecked: 0, lost: 0, duplicated: 0, outOfOrder: 0, altered: 0, exitCodes: 0 },
    gaps: {},
    problems: [],
  };
  /** Said in front of each problem: who has seen it. */
  readonly #observer: string;
  readonly #said = new Map<Wrong, number>();

  constructor(observer: string) {
    this.#observer = observer;
  }

  get ok(): boolean {
    return this.verdict.problems.length === 0;
  }

  /** `count` lines, or exit codes, are wrong in that way. */
  lines(kind: Wrong, count: number, sentence: string): void {
    if (count <= 0) return;
    this.verdict[kind] += count;
    const said = this.#said.get(kind) ?? 0;
    this.#said.set(kind, said + 1);
    if (said < MAX_OF_A_KIND) this.problem(sentence);
  }

  gap(reason: string, lines: number): void {
    this.verdict.gaps[reason] = (this.verdict.gaps[reason] ?? 0) + lines;
  }

  problem(sentence: string): void {
    const { problems } = this.verdict;
    if (problems.length < MAX_PROBLEMS) problems.push(`${this.#observer}: ${sentence}`);
  }
}

type Wrong = 'lost' | 'duplicated' | 'outOfOrder' | 'altered' | 'exitCodes';

/** All of them together. */
export function sumOf(verdicts: readonly Verdict[]): Verdict {
  const sum = new Findings('').verdict;
  for (const verdict of verdicts) {
    for (const kind of ['linesChecked', 'lost', 'duplicated', 'outOfOrder', 'altered', 'exitCodes'] as const)
      sum[kind] += verdict[kind];
    for (const [reason, lines] of Object.entries(verdict.gaps)) sum.gaps[reason] = (sum.gaps[reason] ?? 0) + lines;
    sum.problems.push(...verdict.problems);
  }
  return sum;
}

/** The first ones say what is wrong; a flood of them says no more. */
const MAX_PROBLEMS = 20;
const MAX_OF_A_KIND = 3;
