import type { PipelineRecord, TaskRecord, TaskStatus } from '../store/store.ts';

/** How far a pipeline is. */
export interface PipelineProgress {
  status: TaskStatus;
  /** 0 to 100, whole. */
  percent: number;
  /** By the clocks of the agents, of the newest run of each task, ms: the first start, and the last end if no run is
   * open and none is announced; null as long as nothing has started, or not all has ended. */
  startedAt: number | null;
  endedAt: number | null;
  /** What became of the first task that failed or is lost, in words; null if none is. */
  errorMessage: string | null;
}

/** `tasks`: what is known of its tasks, the oldest first. */
export function progressOf(pipeline: PipelineRecord, tasks: readonly TaskRecord[]): PipelineProgress {
  const starts = tasks.flatMap(({ startedAt }) => startedAt ?? []);
  const ends = tasks.flatMap(({ endedAt }) => endedAt ?? []);
  const failed = tasks.find(({ status }) => status === 'failed' || status === 'lost');
  return {
    status: pipelineStatus(pipeline),
    percent: pipelinePercent(pipeline),
    startedAt: starts.length === 0 ? null : Math.min(...starts),
    endedAt: hasEnded(pipeline) && ends.length > 0 ? Math.max(...ends) : null,
    errorMessage: failed === undefined ? null : errorOf(failed),
  };
}

/**
 * As a task's from its runs: running while one task is, lost if all that are open are lost; then running as long as one
 * is announced beside others; else failed or cancelled if one is.
 */
export function pipelineStatus({ statuses, tasks }: PipelineRecord): TaskStatus {
  if (statuses.running > 0) return 'running';
  if (statuses.lost > 0) return 'lost';
  if (statuses.pending > 0) return statuses.pending === tasks ? 'pending' : 'running';
  if (statuses.failed > 0) return 'failed';
  return statuses.cancelled > 0 ? 'cancelled' : 'succeeded';
}

/** What its tasks are done on average, 0 to 100, whole. */
export function pipelinePercent({ progress, tasks }: PipelineRecord): number {
  return Math.floor(progress / tasks);
}

function hasEnded({ openRuns, statuses }: PipelineRecord): boolean {
  return openRuns === 0 && statuses.pending === 0;
}

function errorOf({ task, status, message, errorCode, exitCode, signal }: TaskRecord): string {
  const said = [errorCode, message].filter((one) => one !== null).join(': ');
  if (said !== '') return `${task}: ${said}`;
  if (status === 'lost') return `${task}: the agent has fallen silent`;
  const how = signal === null ? (exitCode === null ? '' : ` with exit code ${exitCode}`) : ` by ${signal}`;
  return `${task}: failed${how}`;
}
