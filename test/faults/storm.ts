import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '../random.ts';
import { steadyNow } from './arming.ts';
import type { Verdict } from './contract.ts';
import { Deck, type Card } from './deck.ts';
import { wanting } from './full.ts';
import { planRound, type RoundPlan } from './plan.ts';
import type { StormResult } from './report.ts';
import { runRound, type RoundResult } from './round.ts';
import { Tally } from './tally.ts';

export interface StormOptions {
  seed: number;
  /** Rounds begin until so many ms have passed. */
  forMs: number;
  /** Only this round. */
  round?: number;
  /** Go on until each action has happened so often at each point, and each of the others so often. */
  atLeast?: number;
  bug?: string;
  say?: (text: string) => void;
  onRound: (plan: RoundPlan, result: RoundResult, tally: Tally) => void;
}

/** Round after round. */
export async function runStorm(options: StormOptions): Promise<StormResult> {
  const { seed, forMs, round, atLeast, bug, say, onRound } = options;
  const since = steadyNow();
  const tally = new Tally();
  const verdicts: Verdict[] = [];
  let [rounds, failedRounds, leaks] = [0, 0, 0];
  const isEnough = ({ point, action }: Card): boolean =>
    atLeast !== undefined && tally.inFlight(action, point) >= atLeast;
  const cacheFolder = mkdtempSync(join(tmpdir(), 'keruta-storm-cache-'));
  for (let number = round ?? 1; ; number++) {
    const plan = planRound(seed, number);
    const deck = new Deck(new Random(seed * 17 + number), isEnough);
    const result = await runRound(plan, { deck, tally, cacheFolder, bug, say });
    rounds++;
    if (result.problems.length > 0) failedRounds++;
    leaks += result.leaks;
    verdicts.push(result.verdict);
    onRound(plan, result, tally);
    if (round !== undefined) break;
    const full = atLeast !== undefined && wanting(tally, atLeast).length === 0;
    if (full || steadyNow() - since >= forMs) break;
  }
  rmSync(cacheFolder, { recursive: true, force: true });
  return { tally, verdicts, rounds, failedRounds, leaks, seconds: (steadyNow() - since) / 1000 };
}
