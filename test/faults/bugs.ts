import type { Edit } from './edits.ts';

/** A mistake that the storm must find when it is planted. */
export interface Bug {
  name: string;
  /** What it does wrong. */
  what: string;
  edits: Edit[];
}

export const BUGS: readonly Bug[] = [
  {
    name: 'ack-before-commit',
    what: 'the store answers a group of appends, and then commits it',
    edits: [
      {
        name: 'ack-before-commit',
        file: 'relay/store/sqlite-ledger.ts',
        anchor: 'this.#sql.commit.run();',
        instead: 'this.commitLate = () => { this.commitLate = undefined; this.#sql.commit.run(); };',
      },
      {
        name: 'ack-before-commit',
        file: 'relay/store/sqlite-writer.ts',
        anchor: 'const result = work();\n      this.#ledger.commit();',
        behind: ' this.#ledger.commitLate();',
      },
      {
        name: 'ack-before-commit',
        file: 'relay/store/sqlite-writer.ts',
        anchor: "this.#answer({ type: 'group', state: this.#state(), answer, changed, ms }, [answer.bytes]);",
        behind: ' this.#ledger.commitLate?.();',
      },
    ],
  },
  {
    name: 'skipped-resend',
    what: 'after a cut the agent goes on behind what it had sent, instead of behind what was acknowledged',
    edits: [
      {
        name: 'skipped-resend',
        file: 'agent/delivery-backlog.ts',
        anchor: '  resend(seq: number): void {\n    this.cursor = seq;',
        instead: '  resend(seq: number): void {\n    this.cursor = Math.max(this.cursor, seq);',
      },
    ],
  },
  {
    name: 'lost-gap',
    what: 'what a dead agent left is sent without saying that it died',
    edits: [
      {
        name: 'lost-gap',
        file: 'agent/flush.ts',
        anchor: "backlog.setEnd(end, { reason: 'agent-died', count: 1 });",
        instead: 'backlog.setEnd(end);',
      },
    ],
  },
  {
    name: 'cursor-after-merging',
    what: 'in a merged chunk, positions are one further from piece to piece',
    edits: [
      {
        name: 'cursor-after-merging',
        file: 'relay/store/pieces.ts',
        anchor: 'position: end + next(), count: counts[index] };',
        instead: 'position: end + next() + (index > 0 ? 1 : 0), count: counts[index] };',
      },
    ],
  },
];

/** Throws an Error that names all there are. */
export function bugNamed(name: string): Bug {
  const bug = BUGS.find((one) => one.name === name);
  if (bug === undefined)
    throw new Error(`there is no bug "${name}"; there are: ${BUGS.map((one) => one.name).join(', ')}`);
  return bug;
}
