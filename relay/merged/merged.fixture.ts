import assert from 'node:assert/strict';
import { openReading, TestRun, type Lasting, type Reading } from '../reading.fixture.ts';
import type { Stored } from '../store/store.ts';
import type { MergedBatch, MergedEvent } from './merged-event.ts';
import { MergedReader, type MergedFollow } from './merged-reader.ts';

/** What merged streams are read from, with both tails fed as the relay does. */
export async function openMerged(t: Lasting): Promise<MergedReading> {
  return mergedOf(await openReading(t));
}

export function mergedOf(reading: Reading): MergedReading {
  const { reader, tail } = reading;
  const merged = new MergedReader({ store: reading.store, reader });
  tail.onForget = (task, throughLine) => merged.tail.forget(task, throughLine);
  const stored = (one: Stored): void => {
    tail.stored(one);
    merged.stored(one);
  };
  const open = (task: string, pipelineId?: string, labels: Record<string, string> = {}): Promise<TestRun> =>
    new TestRun({ store: reading.store, tail: { stored } }, task).open(labels, {
      ...(pipelineId !== undefined && { pipelineId }),
    });
  return { ...reading, merged, open };
}

export interface MergedReading extends Reading {
  merged: MergedReader;
  /** Opens a run whose appends are told to both tails. */
  open: (task: string, pipelineId?: string, labels?: Record<string, string>) => Promise<TestRun>;
}

/** Lines as "position task text", gaps as "first-last task reason fromLine-toLine", ends as "end statuses". */
export function shown(events: readonly MergedEvent[]): string[] {
  return events.flatMap((event) => {
    if (event.type === 'end') return `end ${event.pipeline.runs} runs`;
    if (event.type === 'gap') {
      const { fromPosition, toPosition, task, reason, fromLine = '', toLine = '' } = event;
      return `${fromPosition}-${toPosition} ${task?.task ?? 'nobody'} ${reason} ${fromLine}-${toLine}`;
    }
    const { block, task, first, end, matches } = event;
    assert.equal(block.task, task.task);
    const lines = block.lines();
    assert.ok(lines);
    const wanted = matches ?? Uint32Array.from({ length: end - first }, (_, index) => first + index);
    return [...wanted].map((index) => {
      const text = lines.text.toString('utf8', lines.starts[index], lines.starts[index + 1] - 1);
      return `${block.position + index} ${task.task} ${text}`;
    });
  });
}

/** Follows in the background, and keeps what came as `shown` does. */
export class Follower {
  readonly seen: string[] = [];
  nextPosition: number;
  /** Resolves when it has ended, or was stopped. */
  readonly over: Promise<void>;
  readonly #stop = new AbortController();
  #waits: { done: (seen: readonly string[]) => boolean; resolve: () => void }[] = [];

  constructor(merged: MergedReader, options: Omit<MergedFollow, 'signal'>) {
    this.nextPosition = options.from;
    this.over = this.#run(merged.follow({ ...options, signal: this.#stop.signal }));
    // Who waits hears of it.
    this.over.catch(() => undefined);
  }

  /** Resolves when that holds of what has come; tests have their own time limit. */
  async until(done: (seen: readonly string[]) => boolean): Promise<void> {
    if (done(this.seen)) return;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#waits.push({ done, resolve: () => resolve(undefined) });
    await Promise.race([
      promise,
      this.over.then(() => assert.ok(done(this.seen), `it ended: ${this.seen.join('; ')}`)),
    ]);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.over;
  }

  async #run(batches: AsyncGenerator<MergedBatch>): Promise<void> {
    try {
      for await (const { events, nextPosition } of batches) {
        this.seen.push(...shown(events));
        assert.ok(nextPosition >= this.nextPosition);
        this.nextPosition = nextPosition;
        this.#waits = this.#waits.filter(({ done, resolve }) => {
          const over = done(this.seen);
          if (over) resolve();
          return !over;
        });
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }
}

/** What a stream brings up to what is the head now. */
export async function readAll(merged: MergedReader, options: Partial<MergedFollow> = {}): Promise<string[]> {
  const seen: string[] = [];
  const signal = new AbortController().signal;
  for await (const { events } of merged.follow({ from: 0, untilHead: true, signal, ...options })) {
    seen.push(...shown(events));
  }
  return seen;
}
