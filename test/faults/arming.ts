import type { PointName } from './points.ts';

/** What a process does to itself at a point: ends at once, stands still as a whole, or with one of its threads. */
export const ACTIONS = ['kill', 'stop', 'pause'] as const;
export type Action = (typeof ACTIONS)[number];

/** A fault that a process bears in it from its start on, and that happens once. */
export interface Arm {
  /** Its own, in a round. */
  id: number;
  point: PointName;
  action: Action;
  /** Not before this reading of the machine's steady clock (steadyNow). */
  notBefore: number;
  /** At which passing of the point from then on; 1 is the next. */
  hit: number;
  /** How long it stands still; of a kill: how long its thread stands still just before. */
  ms: number;
}

/** The environment of a process, as hook.ts reads it. */
export const ENV = {
  /** JSON: Arm[] */
  arms: 'STORM_ARMS',
  /** A file; a line `pid id` is appended just before an arm acts. */
  journal: 'STORM_JOURNAL',
  /** The name of a bug to be planted. */
  bug: 'STORM_BUG',
  /** A file that says by how many ms the wall clock is wrong. */
  clock: 'STORM_CLOCK',
} as const;

/** ms of a clock that is the same in all processes of the machine, and is never set. */
export function steadyNow(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
