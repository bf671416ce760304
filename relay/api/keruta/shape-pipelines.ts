import { pipelinePercent, pipelineStatus, progressOf } from '../../pipelines/progress.ts';
import type { PipelineSnapshot } from '../../pipelines/snapshot.ts';
import type { PipelineRecord } from '../../store/store.ts';
import { iso } from '../iso.ts';
import { taskJson } from './shape.ts';

/** A pipeline as lists show it. Times are ISO 8601, sizes bytes. */
export function pipelineJson(pipeline: PipelineRecord): Record<string, unknown> {
  return {
    pipelineId: pipeline.pipelineId,
    status: pipelineStatus(pipeline),
    progress: pipelinePercent(pipeline),
    taskCount: pipeline.tasks,
    statusCounts: pipeline.statuses,
    runCount: pipeline.runs,
    openRuns: pipeline.openRuns,
    lines: pipeline.lines,
    missing: pipeline.missing,
    bytes: pipeline.textBytes,
    createdAt: iso(pipeline.createdAt),
    updatedAt: iso(pipeline.updatedAt),
  };
}

export function pipelineWithTasksJson({
  pipeline,
  tasks,
  leftOut,
}: Omit<PipelineSnapshot, 'pipeline'> & { pipeline: PipelineRecord }): Record<string, unknown> {
  const { startedAt, endedAt, errorMessage } = progressOf(pipeline, tasks);
  return {
    ...pipelineJson(pipeline),
    startedAt: startedAt === null ? null : iso(startedAt),
    endedAt: endedAt === null ? null : iso(endedAt),
    errorMessage,
    tasks: tasks.map(taskJson),
    tasksLeftOut: leftOut,
  };
}
