import type { Principal } from '../../auth/principal.ts';
import { visibleTo, type PipelineSnapshot } from '../../pipelines/snapshot.ts';
import type { TaskRecord } from '../../store/store.ts';
import type { OttoParts } from './parts.ts';
import { isAllOver, pipelineProgress, stageProgress, type Progress } from './progress.ts';

/** What has changed in a pipeline. */
export interface ProgressNews {
  /** Of the tasks that have changed, the oldest first; then of the pipeline, if anybody may see any of it. */
  progress: Progress[];
  /** Of a pipeline of which nothing more is to come: names the state in which it is, as does the same text later. */
  over: string | undefined;
}

/** How far the tasks of pipelines are: worked out once a change for all who follow them. */
export class PipelineProgress {
  readonly #parts: Pick<OttoParts, 'pipelines' | 'reader'>;
  readonly #stages = new WeakMap<TaskRecord, Promise<Progress>>();

  constructor(parts: Pick<OttoParts, 'pipelines' | 'reader'>) {
    this.#parts = parts;
  }

  /**
   * Everything of a pipeline that `principal` may read, as it is, and then whatever has changed. The pipeline need not
   * exist yet. Never ends; rejects with the signal's reason when that aborts, or as the store does.
   */
  async *follow(
    pipelineId: string,
    { principal, signal }: { principal: Principal; signal: AbortSignal },
  ): AsyncGenerator<ProgressNews, void, undefined> {
    /** By task, the revision of what was handed out last. */
    let known = new Map<string, number>();
    for await (const whole of this.#parts.pipelines.follow(pipelineId, signal)) {
      const snapshot = visibleTo(principal, whole);
      const { tasks, pipeline } = snapshot;
      const changed = tasks.filter(({ task, revision }) => known.get(task) !== revision);
      if (pipeline === undefined || (changed.length === 0 && tasks.length === known.size)) continue;
      known = new Map(tasks.map(({ task, revision }) => [task, revision]));
      const progress: Progress[] = [];
      for (const task of changed) progress.push(await this.#stage(task, pipelineId));
      progress.push(pipelineProgress({ ...snapshot, pipeline }));
      yield { progress, over: overState(snapshot) };
    }
  }

  /** What `over` would be now. Rejects as `follow` does. */
  async over(
    pipelineId: string,
    { principal, signal }: { principal: Principal; signal: AbortSignal },
  ): Promise<string | undefined> {
    for await (const whole of this.#parts.pipelines.follow(pipelineId, signal)) {
      return overState(visibleTo(principal, whole));
    }
    return undefined;
  }

  #stage(task: TaskRecord, pipelineId: string): Promise<Progress> {
    let stage = this.#stages.get(task);
    if (stage === undefined) {
      stage = this.#parts.reader.runs(task.task).then((runs) => stageProgress(task, runs, pipelineId));
      this.#stages.set(task, stage);
      // Whoever waits for it is told; the next one asks again.
      stage.catch(() => this.#stages.delete(task));
    }
    return stage;
  }
}

/** Any change of a task makes its revision grow. */
function overState({ pipeline, tasks }: PipelineSnapshot): string | undefined {
  if (pipeline === undefined || !isAllOver(pipeline)) return undefined;
  return `${pipeline.tasks}.${tasks.reduce((sum, { revision }) => sum + revision, 0)}`;
}
