import { Random } from '../random.ts';

/** What a round is like, as its seed has it. */
export interface RoundPlan {
  seed: number;
  /** From 1 on. */
  round: number;
  /** So many faults. */
  faults: number;
  /** Whom they happen to. Agents that are left alone have one script each, for as long as there are faults. */
  victims: readonly Victim[];
  /** TLS and a token. */
  secure: boolean;
  /** Relay and spools have small disks, which fill up now and then. */
  smallDisks: boolean;
  clockJumps: boolean;
  /** Who is to die at a point lives until it is met, however long that takes. */
  patient: boolean;
  agents: AgentPlan[];
}

export const VICTIMS = ['relay', 'agents', 'network', 'clock', 'disks', 'old lines'] as const;
export type Victim = (typeof VICTIMS)[number];

export interface AgentPlan {
  task: string;
  /** Its old lines are deleted now and then. */
  trimmed: boolean;
  /** Over HTTP requests instead of a WebSocket. */
  http: boolean;
  /** What its output goes to beside the log is read by nobody. */
  tee: boolean;
}

export const PIPELINE = 'storm';

/** The same for the same numbers. */
export function planRound(seed: number, round: number, { faults = FAULTS } = {}): RoundPlan {
  const random = new Random(seed * 1_000_003 + round);
  // Not by chance: a few rounds have seen all of it.
  const secure = (round + seed) % 2 === 0;
  const smallDisks = round % 3 === 2;
  const clockJumps = round % 3 !== 1;
  return {
    seed,
    round,
    faults,
    victims: VICTIMS,
    secure,
    smallDisks,
    clockJumps,
    patient: false,
    agents: Array.from({ length: AGENTS }, (_, index) => ({
      task: `job-${index + 1}`,
      trimmed: index === 0,
      http: index === 1 + random.below(AGENTS - 1),
      tee: random.below(2) === 0,
    })),
  };
}

/** A sentence. */
export function describeRound({ round, seed, faults, secure, smallDisks, clockJumps, agents }: RoundPlan): string {
  const has = [
    secure ? 'TLS and tokens' : 'plain and open',
    ...(smallDisks ? ['small disks that fill up'] : []),
    ...(clockJumps ? ['clocks that jump'] : []),
    `${agents.length} agents, ${agents.filter(({ http }) => http).length} of them over HTTP`,
    `old lines of ${agents.filter(({ trimmed }) => trimmed).length} are deleted`,
  ];
  return `round ${round} of seed ${seed}: ${faults} faults; ${has.join(', ')}`;
}

const AGENTS = 4;
const FAULTS = 40;
