import { FATES } from '../faulty-proxy.ts';
import { NO_MOUNTS } from '../mounts.ts';
import { ACTIONS } from './arming.ts';
import { POINTS } from './points.ts';
import type { Tally } from './tally.ts';

/** Faults that a full storm has of each: the actions at each point, and all the others. */
export const FULL = 10;

const OTHERS: readonly { kind: string; at: string }[] = [
  { kind: 'kill', at: 'relay' },
  { kind: 'restart', at: 'relay' },
  { kind: 'kill', at: 'agent' },
  ...[...FATES, 'refuse'].map((kind) => ({ kind, at: "agents' connections" })),
  { kind: 'ahead', at: 'clock' },
  { kind: 'back', at: 'clock' },
  ...(NO_MOUNTS === false ? ["relay's disk", "spool's disk"].map((at) => ({ kind: 'full', at })) : []),
];

/** What has not happened often enough yet. */
export function wanting(tally: Tally, atLeast = FULL): { kind: string; at: string; times: number }[] {
  const wanted = [...POINTS.flatMap(({ name: at }) => ACTIONS.map((kind) => ({ kind, at }))), ...OTHERS];
  return wanted
    .map(({ kind, at }) => ({ kind, at, times: atLeast - tally.inFlight(kind, at) }))
    .filter(({ times }) => times > 0);
}
