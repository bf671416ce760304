import type { AttemptOutcome, Sent, Sighting, StormReader } from './contract.ts';

/** All that the oracle is told. */
export interface Evidence {
  /** Of each task in the order in which they were started. */
  outcomes: readonly AttemptOutcome[];
  sent: readonly Sent[];
  /** Of each task that was trimmed: the last line that may be gone. */
  trimmed: ReadonlyMap<string, number>;
  store: readonly StoredTask[];
  readers: readonly Seen[];
}

/** What a reader has seen, and of which tasks it should have seen everything. */
export type Seen = Pick<StormReader, 'name' | 'tasks' | 'seen'>;

/** A task as the relay shows it at the end, and its whole log. */
export interface StoredTask {
  task: string;
  lines: number;
  missing: number;
  runs: StoredRun[];
  log: Sighting[];
}

export interface StoredRun {
  run: string;
  status: string;
  reason: string | null;
  exitCode: number | null;
  verified: boolean | null;
  lines: number;
  missing: number;
  labels: Record<string, string | undefined>;
}
