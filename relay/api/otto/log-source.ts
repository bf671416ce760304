import { decodeCursor, decodePosition } from '../../../shared/cursor.ts';
import { KerutaError } from '../../../shared/errors.ts';
import type { ReadEvent } from '../../cursor.ts';
import type { Filter } from '../../filter.ts';
import type { MergedEvent } from '../../merged/merged-event.ts';
import type { TaskFacts } from '../../merged/task-facts.ts';
import type { Joined } from '../../shares.ts';
import type { TaskRecord } from '../../store/store.ts';
import type { OttoParts } from './parts.ts';
import type { MissingLines, SomeLines, Worker } from './shape.ts';

/** A log as Otto's clients read it: that of one task, or of all together. Places are line numbers, or positions. */
export interface LogSource {
  /** Names what places count, where the same bytes must not be shared with the other kind. */
  kind: 'line' | 'position';
  /** The task, if it is one task's. */
  task: string | undefined;
  /** The store's epoch now: what cursors of another one say means nothing. */
  epoch(): string;
  /** Writes cursors of the store as it is now: of the place to go on from. */
  cursors(): (place: number) => string;
  /** What `start`, `now`, or a number or cursor of this log means. Rejects with INVALID_INPUT or INVALID_CURSOR. */
  place(text: string): Promise<number>;
  /** As `place`, if the text is a cursor. */
  cursorPlace(text: string): Promise<number>;
  /** Every line from there on that matches, once and in order; `worker` knows the runs of what was handed out last. */
  follow(options: { from: number; filter: Filter; signal: AbortSignal }): AsyncGenerator<LogBatch, void, undefined>;
  worker(task: string, run: string): Worker | undefined;
}

export interface LogBatch {
  /** In order. May be empty: something was passed, and nothing matched. */
  parts: LogPart[];
  /** Everything before it was handed out, or is not wanted: the place to go on from. */
  next: number;
  /** Where others are given the same parts: what is made of them for all of them. */
  joined?: Joined | undefined;
}

export type LogPart = LinesPart | GapPart | EndPart;

interface LinesPart {
  type: 'lines';
  lines: SomeLines;
  /** The place of the line with the index 0. */
  origin: number;
}

interface GapPart extends Omit<MissingLines, 'time'> {
  type: 'gap';
  /** The place behind it. */
  behind: number;
}

/** No run of the task is open. */
interface EndPart {
  type: 'end';
  task: TaskRecord;
}

type SourceParts = Pick<OttoParts, 'reader' | 'merged' | 'runFacts'>;

/** The log of one task, which need not exist yet. */
export function taskLog({ reader, runFacts }: Omit<SourceParts, 'merged'>, task: string): LogSource {
  return {
    kind: 'line',
    task,
    epoch: () => reader.epoch(),
    cursors: () => reader.cursors(),
    place: (text) => reader.place(task, text),
    cursorPlace: async (text) => {
      if (decodeCursor(text) === undefined) throw noCursor(text);
      return reader.place(task, text);
    },
    async *follow(options) {
      for await (const batch of reader.follow(task, options)) {
        const unknown = runsOf(batch.events).filter((run) => runFacts.of(task, run) === undefined);
        if (unknown.length > 0) await runFacts.ensure(task, runsOf(batch.events));
        const parts = batch.events.map((event) => taskPart(event, task));
        yield { parts, next: batch.nextLine, joined: batch.joined };
        reader.followed.took(batch);
      }
    },
    worker: (_task, run) => runFacts.of(task, run),
  };
}

/** The logs of all tasks of which `may` says that the reader may read them, in the order of the store. */
export function wholeLog({ merged, runFacts }: SourceParts, may: (facts: TaskFacts) => boolean): LogSource {
  return {
    kind: 'position',
    task: undefined,
    epoch: () => merged.epoch(),
    cursors: () => merged.cursors(),
    place: (text) => merged.place(text),
    cursorPlace: async (text) => {
      if (decodePosition(text) === undefined) throw noCursor(text);
      return merged.place(text);
    },
    async *follow(options) {
      for await (const { events, nextPosition, joined } of merged.follow({ ...options, may })) {
        for (const [task, runs] of runsByTask(events)) await runFacts.ensure(task, runs);
        yield { parts: events.flatMap(mergedPart), next: nextPosition, joined };
      }
    },
    worker: (task, run) => runFacts.of(task, run),
  };
}

function taskPart(event: ReadEvent, taskId: string): LogPart {
  switch (event.type) {
    case 'lines':
      return { type: 'lines', lines: event, origin: event.block.firstLine };
    case 'gap': {
      const { fromLine, toLine, reason } = event;
      return { type: 'gap', taskId, fromLine, toLine, reason, behind: toLine + 1 };
    }
    case 'end':
      return { type: 'end', task: event.task };
  }
}

/** The log of everything has no end. */
function mergedPart(event: MergedEvent): LogPart[] {
  switch (event.type) {
    case 'lines':
      return [{ type: 'lines', lines: event, origin: event.block.position }];
    case 'gap': {
      const { task, fromPosition, toPosition, reason } = event;
      const { fromLine = fromPosition, toLine = toPosition } = event;
      return [{ type: 'gap', taskId: task?.task ?? '', fromLine, toLine, reason, behind: toPosition + 1 }];
    }
    case 'end':
      return [];
  }
}

function runsOf(events: readonly ReadEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'lines' ? event.block.runIds : []));
}

function runsByTask(events: readonly MergedEvent[]): Map<string, Set<string>> {
  const byTask = new Map<string, Set<string>>();
  for (const event of events) {
    if (event.type !== 'lines') continue;
    const runs = byTask.get(event.task.task) ?? new Set();
    for (const run of event.block.runIds) runs.add(run);
    byTask.set(event.task.task, runs);
  }
  return byTask;
}

function noCursor(text: string): KerutaError {
  return new KerutaError('INVALID_CURSOR', `${JSON.stringify(text)} is no cursor of this log.`);
}
