import type { EndReason } from '../../shared/wire.ts';
import type { RunStatus, TaskStatus } from './store.ts';

/** What a run's end makes of it. */
export function endStatus(end: { reason: EndReason; exitCode: number | null }): RunStatus {
  if (end.reason === 'cancelled') return 'cancelled';
  return end.reason === 'exited' && end.exitCode === 0 ? 'succeeded' : 'failed';
}

/** What a run's status and times contribute to its task's. Times are the agent's, in ms; `endedAt` null: open. */
export interface RunSpan {
  status: RunStatus;
  startedAt: number;
  endedAt: number | null;
}

/**
 * A task's status from its runs, in the order in which they were opened: `pending` without any, `running` while one
 * is, `lost` if those that are open all are lost; else `failed` if one that overlapped the newest failed, else as the
 * newest. Runs that ended before the newest started may be left out.
 */
export function taskStatus(runs: readonly RunSpan[]): TaskStatus {
  const newest = runs.at(-1);
  if (newest === undefined) return 'pending';
  if (runs.some((run) => run.status === 'running')) return 'running';
  if (runs.some((run) => run.status === 'lost')) return 'lost';
  return runs.some((run) => run.status === 'failed' && overlap(run, newest)) ? 'failed' : newest.status;
}

function overlap(run: RunSpan, other: RunSpan): boolean {
  return (run.endedAt ?? Infinity) > other.startedAt && run.startedAt < (other.endedAt ?? Infinity);
}
