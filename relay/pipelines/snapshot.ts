import type { Principal } from '../auth/principal.ts';
import { pipelineOf, together } from '../store/pipeline-of.ts';
import type { PipelineRecord, Store, TaskRecord } from '../store/store.ts';

/** A pipeline and its tasks at one moment. */
export interface PipelineSnapshot {
  pipelineId: string;
  /** What all its tasks add up to; undefined as long as there is none. */
  pipeline: PipelineRecord | undefined;
  /** The oldest first. Of very many, the newest MAX_TASKS. */
  tasks: readonly TaskRecord[];
  /** How many more there are. */
  leftOut: number;
}

/** Reads a pipeline as it is now. Rejects as the store does. */
export async function readPipeline(store: Pick<Store, 'tasks' | 'pipeline'>, id: string): Promise<PipelineSnapshot> {
  const newest = await store.tasks({ pipelineId: id, limit: MAX_TASKS });
  const tasks = newest.reverse();
  const pipeline = tasks.length < MAX_TASKS ? sumsOf(id, tasks) : await store.pipeline(id);
  return { pipelineId: id, pipeline, tasks, leftOut: Math.max(0, (pipeline?.tasks ?? 0) - tasks.length) };
}

/** As `readPipeline`, a group (`groupOf` in store/store.ts): with the task without a pipeline that bears the id. */
export async function readSnapshot(store: SnapshotStore, group: string): Promise<PipelineSnapshot> {
  const [{ pipeline, tasks, leftOut }, task] = await Promise.all([readPipeline(store, group), store.task(group)]);
  if (task === undefined || task.pipelineId !== undefined) return { pipelineId: group, pipeline, tasks, leftOut };
  const alone = pipelineOf(group, [task]);
  return {
    pipelineId: group,
    pipeline: pipeline === undefined ? alone : together(pipeline, alone),
    tasks: [...tasks, task].sort((one, other) => one.createdAt - other.createdAt),
    leftOut,
  };
}

/** What of it somebody may read: sums are of these tasks only, so that nobody learns from them what else is there. */
export function visibleTo(principal: Principal, snapshot: PipelineSnapshot): PipelineSnapshot {
  if (principal.everywhere('read')) return snapshot;
  const { pipelineId } = snapshot;
  const tasks = snapshot.tasks.filter(({ task, labels }) => principal.may('read', { task, labels }));
  return { pipelineId, pipeline: sumsOf(pipelineId, tasks), tasks, leftOut: tasks.length === 0 ? 0 : snapshot.leftOut };
}

export type SnapshotStore = Pick<Store, 'tasks' | 'task' | 'pipeline'>;

function sumsOf(pipelineId: string, tasks: readonly TaskRecord[]): PipelineRecord | undefined {
  return tasks.length === 0 ? undefined : pipelineOf(pipelineId, tasks);
}

/** Far more stages than anybody looks at; all of them are read whenever one changes. */
const MAX_TASKS = 500;
