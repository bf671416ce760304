import { pathToFileURL } from 'node:url';
import type { Context } from '../programs.ts';
import type { Random } from '../random.ts';
import { ENV, steadyNow, type Arm } from './arming.ts';
import type { Entrance } from './contract.ts';
import type { Card, Deals } from './deck.ts';
import type { Journal } from './journal.ts';
import type { RoundPlan } from './plan.ts';
import type { Pulse } from './pulse.ts';
import type { Tally } from './tally.ts';

/** What all who make faults in a round share. */
export interface Weather {
  plan: RoundPlan;
  context: Context;
  /** Of the round; all that it writes is in it. */
  folder: string;
  random: Random;
  deck: Deals;
  journal: Journal;
  tally: Tally;
  pulse: Pulse;
  /** As clients find the relay. */
  entrance: Entrance;
  /** As agents find it: through a proxy of their own. */
  agentsUrl: string;
  /** The file that says how wrong clocks are. */
  clock: string;
  bug: string | undefined;
  /** Where compiled code is kept, so that programs start sooner. */
  cacheFolder: string;
  /** A script is writing, or an agent has lines that are not acknowledged. */
  inFlight: () => boolean;
  /** There is a relay: the time for faults begins, if it has not. */
  begin: () => void;
  /** Resolves then, or when all is over. */
  begun: Promise<unknown>;
  /** Aborts when there are to be no more faults. */
  over: AbortSignal;
  isOver: () => boolean;
  /** Asks the relay that runs, past the proxies, as an admin. Rejects with what was answered if that is no success. */
  ask: (method: string, path: string) => Promise<unknown>;
  /** A sentence for whoever follows what happens. */
  say: (text: string) => void;
}

/** The environment of a program that bears these faults. */
export function stormEnv(weather: Weather, arms: readonly Arm[]): Record<string, string> {
  const { journal, clock, bug, plan, cacheFolder } = weather;
  return {
    NODE_OPTIONS: `--import=${pathToFileURL(HOOK).href}`,
    NODE_COMPILE_CACHE: cacheFolder,
    [ENV.arms]: JSON.stringify(arms),
    [ENV.journal]: journal.path,
    ...(plan.clockJumps && { [ENV.clock]: clock }),
    ...(bug !== undefined && { [ENV.bug]: bug }),
  };
}

/** Arms for a process that is about to start: it takes `startMs` until it works, and is to live `lifeMs` from then on. */
export function arm({ journal, random }: Weather, card: Card, times: { startMs: number; lifeMs: number }): Arm {
  const { startMs, lifeMs } = times;
  const kill = card.action === 'kill';
  return journal.arm({
    ...card,
    notBefore: steadyNow() + (AT_START.has(card.point) ? 0 : startMs + (kill ? lifeMs : random.below(lifeMs))),
    // What happens once in a life is met at the first time.
    hit: RARE.has(card.point) ? 1 : 1 + random.below(3),
    ms: card.ms ?? (kill ? random.pick(LAST_BREATHS_MS) : 50 + random.below(LONGEST_MS)),
  });
}

const HOOK = new URL('./hook.ts', import.meta.url).pathname;
const LONGEST_MS = 800;
const LAST_BREATHS_MS = [0, 30, 150];

/** Points that are met while a process starts. */
const AT_START = new Set<string>(['relay/opening', 'relay/recovered']);
/** Points that are met when a script has ended, or seldom. */
export const AT_END = new Set<string>(['agent/end-spooled', 'agent/before-end-sent', 'agent/verified']);
const RARE = new Set<string>([
  ...AT_START,
  ...AT_END,
  'relay/merged',
  'relay/in-swap',
  'relay/after-swap',
  'relay/in-trim',
  'relay/after-trim',
  'relay/before-end-commit',
  'relay/after-end-commit',
]);
