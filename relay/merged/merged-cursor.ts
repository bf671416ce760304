import { setImmediate as turn } from 'node:timers/promises';
import type { Filter } from '../filter.ts';
import { filterFor, type RunFacts } from '../run-facts.ts';
import { BATCH_WORK, SEGMENT_WORK, slicesOf, type Slice } from '../slice.ts';
import type { PipelineRecord, Store } from '../store/store.ts';
import type { GroupEnd, GroupEnds } from './group-ends.ts';
import type { KnownTasks } from './known-tasks.ts';
import type { MergedBatch, MergedEvent, MergedGap } from './merged-event.ts';
import type { MergedTail, PlacedSegment, Stretch } from './merged-tail.ts';
import type { MergedWatch } from './merged-watch.ts';
import type { TaskFacts } from './task-facts.ts';

/** What all merged cursors of a relay share. */
export interface MergedParts {
  store: Pick<Store, 'nextPosition' | 'waitAll'>;
  tail: MergedTail;
  watch: MergedWatch;
  ends: GroupEnds;
  facts: KnownTasks;
  runFacts: RunFacts;
}

export interface MergedCursorOptions {
  group?: string | undefined;
  /** A position. */
  from: number;
  filter: Filter;
  may?: ((facts: TaskFacts) => boolean) | undefined;
  /** End at what is the head when it starts, instead of waiting there. */
  untilHead?: boolean;
  /** End before this position, and say nothing of the group's end. */
  until?: number;
  /** How much to read from the store at once, in bytes of bodies as they are stored. */
  readBytes?: number;
  /** Called when everything was handed out, and more is waited for. */
  onIdle?: () => void;
  signal: AbortSignal;
}

/** Walks over the store, or over a group, from a position on: what `readOn` in ../cursor.ts is for a task. */
export async function* followMerged(
  parts: MergedParts,
  options: MergedCursorOptions,
): AsyncGenerator<MergedBatch, void, undefined> {
  const { group, filter, signal, readBytes = READ_BYTES } = options;
  const { tail } = parts;
  const closeTail = tail.open();
  const watcher = parts.watch.open({ group, signal });
  const end =
    options.until === undefined && group !== undefined ? parts.ends.open(group, () => watcher.wake()) : undefined;
  let next = options.from;
  /** How the group ended, if it was at its head then: what came before may still be on its way. */
  let ending: PipelineRecord | undefined;
  try {
    const { until, last } = await limitOf(parts, options, end);
    // Ahead of the store it waits by itself: those who wait together take the furthest place of all for the head.
    if (until === Infinity && next > 0) await parts.store.waitAll(next - 1, signal);
    for (;;) {
      signal.throwIfAborted();
      if (next >= until) {
        if (last !== undefined) yield { events: [{ type: 'end', pipeline: last }], nextPosition: next };
        return;
      }
      const wanted = { position: next, maxBytes: readBytes, ...(group !== undefined && { group }) };
      const stretch =
        (await tail.recent(next, group)) ??
        (await tail.read({ ...wanted, ...(filter.wants && { wants: filter.wants }), alone: ending !== undefined }));
      const before = next;
      for await (const batch of batches(stretch, { ...options, parts, next, until })) {
        next = batch.nextPosition;
        yield batch;
      }
      if (next > before) {
        // At the end of what this relay has appended there is nothing to be read; if there is, the wait does not wait.
        if (next >= until || tail.end !== next || end?.news() !== undefined) continue;
      } else if (end !== undefined) {
        const ended = end.news();
        if (ended !== undefined && ended === ending) {
          yield { events: [{ type: 'end', pipeline: ended }], nextPosition: next };
          end.said(ended);
          ending = undefined;
        } else {
          ending = ended;
        }
        if (ended !== undefined) continue;
      }
      options.onIdle?.();
      next = await watcher.wait(next);
    }
  } finally {
    closeTail();
    watcher.close();
    end?.close();
  }
}

/** Where the cursor ends; if that is the head of this moment, also how the group had ended before it. */
async function limitOf(
  { store }: MergedParts,
  { until = Infinity, untilHead }: MergedCursorOptions,
  end: GroupEnd | undefined,
): Promise<{ until: number; last?: PipelineRecord | undefined }> {
  if (untilHead !== true) return { until };
  const last = await end?.read();
  return { until: Math.min(until, await store.nextPosition()), last };
}

interface Range extends MergedCursorOptions {
  parts: MergedParts;
  /** Positions: [next, until). */
  next: number;
  until: number;
}

/** Cuts a stretch into batches of about BATCH_WORK, and lets others run between two of them. */
async function* batches({ segments, nextPosition }: Stretch, range: Range): AsyncGenerator<MergedBatch> {
  const { group, filter, may, until } = range;
  const { facts, runFacts } = range.parts;
  let { next } = range;
  let events: MergedEvent[] = [];
  let work = 0;
  const passTo = (position: number): void => {
    // Of a group, whatever is there is said by the store: the rest is others'.
    if (position > next && group === undefined) {
      events.push({ type: 'gap', fromPosition: next, toPosition: position - 1, reason: 'trimmed' });
    }
    next = Math.max(next, position);
  };
  const stopped = Math.min(nextPosition, until);
  await facts.ensure(segments);
  for (const segment of segments) {
    passTo(Math.min(segment.position, until));
    if (next >= until) break;
    const task = facts.of(segment) ?? (await facts.load(segment));
    if (may?.(task) === false) {
      next = Math.min(segment.position + segment.count, until);
      work += SEGMENT_WORK;
      continue;
    }
    const own = await filterFor([segment], { filter, task: segment.task, facts: runFacts });
    for (const piece of pieces(segment, { task, filter: own, next, until, from: range.next })) {
      if (piece.event !== undefined) events.push(piece.event);
      work += piece.work;
      next = piece.behind;
      if (work < BATCH_WORK) continue;
      yield { events, nextPosition: next };
      await turn();
      events = [];
      work = 0;
    }
  }
  passTo(stopped);
  if (events.length > 0 || work > 0 || next > range.next) yield { events, nextPosition: next };
}

/** A part of a segment that is read in one go. */
interface Piece {
  event: MergedEvent | undefined;
  /** The position behind it. */
  behind: number;
  /** Bytes of text that were looked at, or cost as much. */
  work: number;
}

interface PieceOptions {
  task: TaskFacts;
  filter: Filter;
  next: number;
  until: number;
  /** Of the stretch. */
  from: number;
}

function* pieces(segment: PlacedSegment, options: PieceOptions): Generator<Piece> {
  const { task, filter, next, until } = options;
  const { position, count } = segment;
  const first = Math.max(0, next - position);
  const stop = Math.min(position + count, until) - position;
  if (segment.kind === 'gap') {
    const { run, time, reason, firstLine } = segment;
    const gap: MergedGap =
      reason === 'trimmed'
        ? { type: 'gap', task, toLine: firstLine, fromPosition: options.from, toPosition: position, reason }
        : { type: 'gap', task, ...placeOf(segment, first, stop), reason };
    yield { event: filter.showsGap(run, time) ? gap : undefined, behind: position + stop, work: SEGMENT_WORK };
    return;
  }
  for (const slice of slicesOf(segment, { first, stop, filter })) {
    yield { event: eventOf(segment, slice, task), behind: position + slice.end, work: slice.work };
  }
}

function eventOf(block: PlacedSegment & { kind: 'block' }, slice: Slice, task: TaskFacts): MergedEvent | undefined {
  const { found, first, end, matches } = slice;
  if (found === 'none') return undefined;
  if (found === 'lines') return { type: 'lines', task, block, first, end, matches };
  return { type: 'gap', task, ...placeOf(block, first, end), reason: 'corrupt' };
}

function placeOf({ firstLine, position }: PlacedSegment, first: number, end: number) {
  return {
    fromLine: firstLine + first,
    toLine: firstLine + end - 1,
    fromPosition: position + first,
    toPosition: position + end - 1,
  };
}

/** Of bodies, as they are stored: about ten times as much text. */
const READ_BYTES = 256 * 1024;
