import { decodePosition } from '../../../shared/cursor.ts';
import { KerutaError } from '../../../shared/errors.ts';
import type { Principal } from '../../auth/principal.ts';
import type { MergedBatch, MergedEnd, MergedEvent } from '../../merged/merged-event.ts';
import type { MergedReader } from '../../merged/merged-reader.ts';
import type { TaskFacts } from '../../merged/task-facts.ts';
import { readSnapshot, visibleTo, type SnapshotStore } from '../../pipelines/snapshot.ts';
import type { RunFacts } from '../../run-facts.ts';
import { mergedGapMessage, pipelineEndMessage, renderMergedLines, type MergedStyle } from './merged-render.ts';
import { messageFrames } from './render.ts';
import type { Beginning, Rendered, Stream } from './stream.ts';
import type { Subscribe, Target } from './subscribe.ts';

export interface MergedStreamOptions {
  target: Exclude<Target, { taskId: string }>;
  subscribe: Subscribe;
  merged: MergedReader;
  facts: RunFacts;
  pipelines: SnapshotStore;
  /** Who reads, now; undefined: somebody who may read nothing any more. */
  principal: () => Principal | undefined;
}

/** The lines of a pipeline's tasks, or of all tasks, that a subscription asks for and its reader may read. */
export class MergedStream implements Stream<MergedBatch> {
  readonly target: MergedStreamOptions['target'];
  readonly #options: MergedStreamOptions;
  readonly #wanted: Pick<Parameters<MergedReader['follow']>[0], 'group' | 'filter' | 'may'>;
  #style: (MergedStyle & { epoch: string }) | undefined;

  constructor(options: MergedStreamOptions) {
    const { target, subscribe, principal } = options;
    this.target = target;
    this.#options = options;
    this.#wanted = {
      ...('pipelineId' in target && { group: target.pipelineId }),
      filter: subscribe.filter,
      may: ({ task, labels }: TaskFacts) => principal()?.may('read', { task, labels }) ?? false,
    };
  }

  async begin(place: number | undefined, signal: AbortSignal): Promise<Beginning> {
    const { subscribe, merged } = this.#options;
    const { start } = subscribe;
    if (start === undefined) return { place: place ?? (await merged.place('now')) };
    if ('from' in start) return { place: await merged.place(start.from) };
    if ('tail' in start) return { place: await merged.placeBefore({ ...this.#wanted, size: start.tail, signal }) };
    if (decodePosition(start.after) === undefined) {
      throw new KerutaError('INVALID_CURSOR', `after is ${JSON.stringify(start.after)}, which is no cursor of a line.`);
    }
    return { place: (await merged.place(start.after)) + 1 };
  }

  follow(from: number, signal: AbortSignal): AsyncGenerator<MergedBatch, void, undefined> {
    const { merged, subscribe } = this.#options;
    return merged.follow({ ...this.#wanted, from, untilHead: !subscribe.realtime, signal });
  }

  render(batch: MergedBatch): Promise<Rendered> | Rendered {
    const style = this.#currentStyle();
    const { events, nextPosition: next, joined } = batch;
    const made = joined?.made(style.key);
    if (made !== undefined) return { frames: made, next };
    if (!events.every((event) => this.#isKnown(event))) return this.#renderUnknown(batch, style);
    const render = (): Buffer[] => events.map((event) => this.#render(event, style));
    return { frames: joined?.of(style.key, render) ?? render(), next };
  }

  took(): void {
    // The reader counts what is taken from it.
  }

  join(): () => void {
    return () => undefined;
  }

  cursor(position: number): string {
    return this.#options.merged.cursors()(position);
  }

  /** Asks for what has to be looked up first. */
  async #renderUnknown({ events, nextPosition }: MergedBatch, style: MergedStyle): Promise<Rendered> {
    const frames: Buffer[] = [];
    for (const event of events) {
      if (event.type === 'end') {
        const end = await this.#visibleEnd(event);
        const cursor = style.cursors(nextPosition);
        if (end !== undefined)
          frames.push(messageFrames([JSON.stringify(pipelineEndMessage(end, cursor))], style.batch));
        continue;
      }
      if (event.type === 'lines') await this.#options.facts.ensure(event.task.task, event.block.runIds);
      frames.push(this.#render(event, style));
    }
    return { frames, next: nextPosition };
  }

  #render(event: Exclude<MergedEvent, MergedEnd>, style: MergedStyle): Buffer {
    if (event.type === 'lines') return renderMergedLines(event, style);
    return messageFrames([JSON.stringify(mergedGapMessage(event, style.cursors))], style.batch);
  }

  #isKnown(event: MergedEvent): event is Exclude<MergedEvent, MergedEnd> {
    if (event.type !== 'lines') return event.type === 'gap';
    const { facts } = this.#options;
    return event.block.runIds.every((run) => facts.of(event.task.task, run) !== undefined);
  }

  /** Sums of what its reader may see; undefined if that is nothing. */
  async #visibleEnd({ pipeline }: MergedEnd): Promise<MergedEnd['pipeline'] | undefined> {
    const { principal, pipelines } = this.#options;
    const reader = principal();
    if (reader?.everywhere('read') === true) return pipeline;
    const snapshot = await readSnapshot(pipelines, pipeline.pipelineId);
    return reader && visibleTo(reader, snapshot).pipeline;
  }

  #currentStyle(): MergedStyle {
    const { merged, facts, subscribe } = this.#options;
    const epoch = merged.epoch();
    // Epochs change once in a store's life, if at all.
    if (this.#style?.epoch !== epoch) {
      const workerOf = (task: string, run: string): string | undefined => facts.of(task, run)?.workerId;
      const { batch, filter } = subscribe;
      const key = `keruta merged ${batch ? 'batch' : 'single'} ${epoch} ${filter.key}`;
      this.#style = { epoch, key, batch, cursors: merged.cursors(), workerOf };
    }
    return this.#style;
  }
}
