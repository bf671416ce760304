import type { PipelineRecord, TaskRecord, TaskStatus } from './store.ts';

/** What tasks add up to. There is at least one, and the oldest stands first. */
export function pipelineOf(pipelineId: string, tasks: readonly TaskRecord[]): PipelineRecord {
  return tasks.map((task) => recordOf(pipelineId, task)).reduce(together);
}

/** What two parts of one pipeline add up to. */
export function together(one: PipelineRecord, other: PipelineRecord): PipelineRecord {
  const statuses = { ...one.statuses };
  for (const status of Object.keys(statuses) as TaskStatus[]) statuses[status] += other.statuses[status];
  return {
    pipelineId: one.pipelineId,
    tasks: one.tasks + other.tasks,
    statuses,
    runs: one.runs + other.runs,
    openRuns: one.openRuns + other.openRuns,
    progress: one.progress + other.progress,
    createdAt: Math.min(one.createdAt, other.createdAt),
    updatedAt: Math.max(one.updatedAt, other.updatedAt),
    lines: one.lines + other.lines,
    missing: one.missing + other.missing,
    textBytes: one.textBytes + other.textBytes,
  };
}

function recordOf(pipelineId: string, task: TaskRecord): PipelineRecord {
  const { status, progress, runs, openRuns, createdAt, updatedAt, lines, missing, textBytes } = task;
  const none = { pending: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0, lost: 0 };
  const done = status !== 'pending' && openRuns === 0 ? 100 : (progress ?? 0);
  const sums = { progress: done, runs, openRuns, createdAt, updatedAt, lines, missing, textBytes };
  return { pipelineId, tasks: 1, statuses: { ...none, [status]: 1 }, ...sums };
}
