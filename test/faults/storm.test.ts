import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Random } from '../random.ts';
import { BUGS } from './bugs.ts';
import { Deck, type Card } from './deck.ts';
import { planRound, type RoundPlan, type Victim } from './plan.ts';
import { runRound } from './round.ts';
import { SEEDS } from './seeds.ts';
import { Tally } from './tally.ts';

const OPTIONS = { timeout: 600_000 };

let cacheFolder: string;
before(() => (cacheFolder = mkdtempSync(join(tmpdir(), 'keruta-storm-cache-'))));
after(() => rmSync(cacheFolder, { recursive: true, force: true }));

/** Rounds of a storm as `npm run faults` has them, only shorter. */
const FAULTS = 12;
for (const { seed, round, found } of [{ seed: 1, round: 1, found: 'nothing yet' }, ...SEEDS]) {
  test(
    `a short storm, seed ${seed}, round ${round} (found: ${found}): every line once, in order`,
    OPTIONS,
    async () => {
      const tally = new Tally();
      const plan = planRound(seed, round, { faults: FAULTS });
      const result = await runRound(plan, { deck: new Deck(new Random(seed)), tally, cacheFolder });
      assert.deepEqual(result.problems, [], `kept in ${result.folder}`);
      assert.ok(result.verdict.linesChecked > 0);
      assert.ok(tally.total.inFlight >= FAULTS);
    },
  );
}

/** Where somebody waits for ever, there is no use in waiting long. */
const [SHORT_MS, LONG_MS] = [15_000, 60_000];

/** What shows each bug: whom faults happen to, of what the programs die, how long to wait, and a word of what is found. */
const SHOWN: Record<string, { faults: number; victim: Victim; kill: Card; patienceMs: number; as: RegExp }> = {
  'ack-before-commit': {
    faults: 3,
    victim: 'relay',
    kill: { point: 'relay/answered', action: 'kill', ms: 1500 },
    patienceMs: LONG_MS,
    as: /has forgotten what it had acknowledged|lost|neither there/,
  },
  'skipped-resend': {
    faults: 2,
    victim: 'relay',
    kill: { point: 'relay/before-ack', action: 'kill' },
    patienceMs: SHORT_MS,
    as: /left lines in its spool|does not end/,
  },
  'lost-gap': {
    faults: 3,
    victim: 'agents',
    kill: { point: 'agent/after-send', action: 'kill' },
    patienceMs: LONG_MS,
    as: /died/,
  },
  'cursor-after-merging': {
    faults: 3,
    victim: 'relay',
    kill: { point: 'relay/after-swap', action: 'kill' },
    patienceMs: SHORT_MS,
    as: /not sound|there again|behind|order|twice|neither/,
  },
};

function directed(faults: number, victims: Victim[]): RoundPlan {
  const plan = planRound(1, 1, { faults });
  const agents = plan.agents.slice(0, 2);
  return { ...plan, agents, victims, patient: true, secure: false, clockJumps: false, smallDisks: false };
}

for (const { name, what } of BUGS) {
  test(`a planted bug is found: ${what}`, OPTIONS, async () => {
    const { faults, victim, kill, patienceMs, as } = SHOWN[name];
    const deck = { kill: () => kill, pauses: () => [] };
    const options = { deck, tally: new Tally(), cacheFolder, bug: name, patienceMs };
    const { problems, folder } = await runRound(directed(faults, [victim]), options);
    assert.match(problems.join('\n'), as);
    rmSync(folder, { recursive: true, force: true });
  });
}

test('the same faults without the bugs find nothing', OPTIONS, async () => {
  const kills = { relay: killsOf('relay'), agent: killsOf('agents') };
  const deck = {
    kill: (program: 'relay' | 'agent') => kills[program].next().value as Card,
    pauses: () => [],
  };
  const plan = directed(6, ['relay', 'agents']);
  const { problems, folder } = await runRound(plan, { deck, tally: new Tally(), cacheFolder });
  assert.deepEqual(problems, [], `kept in ${folder}`);
});

/** Of what the programs die in the rounds that show bugs, again and again. */
function* killsOf(victim: Victim): Generator<Card> {
  const cards = Object.values(SHOWN).filter((one) => one.victim === victim);
  for (;;) for (const { kill } of cards) yield kill;
}
