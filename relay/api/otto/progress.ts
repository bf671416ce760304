import type { EndReason } from '../../../shared/wire.ts';
import { progressOf } from '../../pipelines/progress.ts';
import type { PipelineSnapshot } from '../../pipelines/snapshot.ts';
import type { PipelineRecord, RunRecord, TaskRecord, TaskStatus } from '../../store/store.ts';
import { iso } from '../iso.ts';

/** How far a stage of a pipeline is, or the pipeline itself, in this order of members. What is not known is empty. */
export interface Progress {
  pipelineId: string;
  /** The task; empty: the pipeline as a whole. */
  stageId: string;
  /** A number of STAGE_STATUS. */
  status: number;
  /** 0 to 100, whole. */
  progressPercentage: number;
  message: string;
  /** Of the last change. */
  timestamp: string;
  startedAt: string;
  completedAt: string;
  /** The pods of its workers, or where no pod is known, the workers. */
  workerPodNames: string[];
  errorMessage: string;
}

/** Otto's StageStatus by our words for it. Nobody here skips a stage (5), and one that is tried again (6) is running. */
export const STAGE_STATUS: Record<TaskStatus, number> = {
  pending: 0,
  running: 1,
  succeeded: 2,
  failed: 3,
  // A status that may change again: its agent may come back.
  lost: 3,
  cancelled: 4,
};

/** How far a task is, as a stage of a pipeline. `runs`: all of the task's, in the order in which they were opened. */
export function stageProgress(task: TaskRecord, runs: readonly RunRecord[], pipelineId: string): Progress {
  const { status } = task;
  const over = isOver(task);
  return {
    pipelineId,
    stageId: task.task,
    status: STAGE_STATUS[status],
    progressPercentage: percentOf(task),
    message: task.message ?? status,
    timestamp: iso(task.updatedAt),
    startedAt: timeOf(runs.at(0)?.startedAt),
    completedAt: over ? timeOf(lastEnd(runs)) : '',
    workerPodNames: podNames(runs),
    errorMessage: errorOf(task, runs),
  };
}

/** How far a pipeline is as a whole, by the tasks that are shown of it. */
export function pipelineProgress({ pipelineId, pipeline, tasks }: ShownPipeline): Progress {
  const { status, percent, startedAt, endedAt, errorMessage } = progressOf(pipeline, tasks);
  return {
    pipelineId,
    stageId: '',
    status: STAGE_STATUS[status],
    progressPercentage: percent,
    message: status,
    timestamp: iso(pipeline.updatedAt),
    startedAt: timeOf(startedAt),
    completedAt: isAllOver(pipeline) ? timeOf(endedAt) : '',
    workerPodNames: [],
    errorMessage: errorMessage ?? '',
  };
}

/** A pipeline of which somebody may see at least one task. */
export type ShownPipeline = Omit<PipelineSnapshot, 'pipeline'> & { pipeline: PipelineRecord };

/** Whether nothing more is to come of any task, unless somebody tries one again. */
export function isAllOver({ openRuns, statuses }: PipelineRecord): boolean {
  return openRuns === 0 && statuses.pending === 0;
}

function isOver({ status, openRuns }: TaskRecord): boolean {
  return openRuns === 0 && status !== 'pending';
}

function percentOf(task: TaskRecord): number {
  return isOver(task) ? 100 : Math.round(task.progress ?? 0);
}

function podNames(runs: readonly RunRecord[]): string[] {
  const names = new Set(runs.map(({ labels, workerId }) => (labels as Partial<typeof labels>).pod ?? workerId));
  return [...names].slice(-MAX_PODS);
}

function errorOf(task: TaskRecord, runs: readonly RunRecord[]): string {
  const { status, message, errorCode } = task;
  if (status !== 'failed' && status !== 'lost') return '';
  const said = [errorCode, message].filter((one) => one !== null).join(': ');
  if (said !== '') return said;
  if (status === 'lost') return 'The agent has fallen silent';
  const { reason, exitCode, signal } = runs.findLast((one) => one.status === status) ?? { ...task, reason: null };
  const plain = exitCode === null ? 'Failed' : `Exited with code ${exitCode}`;
  const why = reason === null || reason === 'exited' ? plain : REASONS[reason];
  return signal === null ? why : `${why} (${signal})`;
}

function lastEnd(runs: readonly RunRecord[]): number | null {
  return runs.reduce<number | null>(
    (last, { endedAt }) => (endedAt === null ? last : Math.max(last ?? 0, endedAt)),
    null,
  );
}

function timeOf(time: number | null | undefined): string {
  return time === null || time === undefined ? '' : iso(time);
}

const REASONS: Record<Exclude<EndReason, 'exited'>, string> = {
  signalled: 'Killed by a signal',
  timeout: 'Took too long',
  cancelled: 'Cancelled',
  'not-started': 'Could not be started',
  'agent-died': 'The agent died',
};
/** Of a task that has been tried so often, the newest. */
const MAX_PODS = 100;
