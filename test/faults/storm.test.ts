import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Random } from '../random.ts';
import { BUGS } from './bugs.ts';
import { Deck, type Card } from './deck.ts';
import { planRound, type Victim } from './plan.ts';
import { runRound, type RoundResult } from './round.ts';
import { SEEDS } from './seeds.ts';
import { Tally } from './tally.ts';

const OPTIONS = { timeout: 600_000 };

let cacheFolder: string;
before(() => (cacheFolder = mkdtempSync(join(tmpdir(), 'keruta-storm-cache-'))));
after(() => rmSync(cacheFolder, { recursive: true, force: true }));

/** Rounds of a storm as `npm run faults` has them, only shorter. */
for (const { seed, round, found } of [{ seed: 1, round: 1, found: 'nothing yet' }, ...SEEDS]) {
  test(
    `a short storm, seed ${seed}, round ${round} (found: ${found}): every line once, in order`,
    OPTIONS,
    async () => {
      const tally = new Tally();
      const plan = planRound(seed, round, { faults: 20 });
      const result = await runRound(plan, { deck: new Deck(new Random(seed)), tally, cacheFolder });
      assert.deepEqual(result.problems, [], `kept in ${result.folder}`);
      assert.ok(result.verdict.linesChecked > 0);
      assert.ok(tally.total.inFlight >= 20);
    },
  );
}

/** What shows each bug: whom faults happen to, of what the programs die, and a word of what is found. */
const SHOWN: Record<string, { faults: number; victims: Victim[]; kill: Card; as: RegExp }> = {
  'ack-before-commit': {
    faults: 6,
    victims: ['relay'],
    kill: { point: 'relay/answered', action: 'kill', ms: 400 },
    as: /has forgotten what it had acknowledged|lost|neither there/,
  },
  'skipped-resend': {
    faults: 3,
    victims: ['relay'],
    kill: { point: 'relay/before-ack', action: 'kill' },
    as: /left lines in its spool|does not end/,
  },
  'lost-gap': {
    faults: 5,
    victims: ['agents'],
    kill: { point: 'agent/after-send', action: 'kill' },
    as: /died/,
  },
  'cursor-after-merging': {
    faults: 5,
    victims: ['relay'],
    kill: { point: 'relay/after-swap', action: 'kill' },
    as: /not sound|there again|behind|order|twice|neither/,
  },
};

for (const { name, what } of BUGS) {
  const { faults, victims, kill, as } = SHOWN[name];
  const plan = { ...planRound(1, 1, { faults }), victims, secure: false, clockJumps: false, smallDisks: false };
  const deck = { kill: () => kill, pauses: () => [] };
  const run = (bug?: string): Promise<RoundResult> =>
    runRound(plan, { deck, tally: new Tally(), cacheFolder, bug, ...(bug !== undefined && { patienceMs: 60_000 }) });

  test(`a planted bug is found: ${what}`, OPTIONS, async () => {
    const { problems, folder } = await run(name);
    assert.match(problems.join('\n'), as);
    rmSync(folder, { recursive: true, force: true });
  });

  test(`the same faults without that bug (${name}) find nothing`, OPTIONS, async () => {
    const { problems, folder } = await run();
    assert.deepEqual(problems, [], `kept in ${folder}`);
  });
}
