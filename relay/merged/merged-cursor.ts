import { setImmediate as turn } from 'node:timers/promises';
import type { Filter } from '../filter.ts';
import { filterFor, type RunFacts } from '../run-facts.ts';
import { Joined } from '../shares.ts';
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
      const before = next;
      const shared = sharedStep({ ...options, parts, next, until });
      if (shared !== undefined) {
        next = shared.batch.nextPosition;
        yield shared.batch;
        if (shared.full) await turn();
      } else {
        const wanted = { position: next, maxBytes: readBytes, ...(group !== undefined && { group }) };
        const stretch =
          (await tail.recent(next, group)) ??
          (await tail.read({ ...wanted, ...(filter.wants && { wants: filter.wants }), alone: ending !== undefined }));
        for await (const { batch, full } of steps(stretch, { ...options, parts, next, until })) {
          next = batch.nextPosition;
          yield batch;
          // Others run in between.
          if (full) await turn();
        }
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

/** A batch, and whether it is as much work as one turn should take. */
interface Step {
  batch: MergedBatch;
  full: boolean;
}

/** A step that several readers are given, and what has to hold still for it to be right. */
interface SharedStep extends Step {
  lines: readonly { segment: PlacedSegment; task: TaskFacts }[];
  tasks: ReadonlySet<TaskFacts>;
}

/**
 * What is in memory from a place on, the same for all readers who want the same; undefined if it is not there, or if
 * something has to be looked up first or left out.
 */
function sharedStep(range: Range): Step | undefined {
  const { parts, group, filter, may, next, until } = range;
  const { tail, facts } = parts;
  if (until !== Infinity || filter.ofRuns !== undefined) return undefined;
  const step = tail.shares.get(`batch ${next} ${JSON.stringify(group)} ${filter.key}`, () => makeShared(range));
  if (step === undefined) return undefined;
  for (const { segment, task } of step.lines) if (facts.of(segment) !== task) return undefined;
  if (may !== undefined) for (const task of step.tasks) if (!may(task)) return undefined;
  return step;
}

function makeShared(range: Range): SharedStep | undefined {
  const { tail, facts } = range.parts;
  const stretch = tail.recentKnown(range.next, range.group);
  if (stretch === undefined) return undefined;
  const cutter = new Cutter(range);
  const lines: { segment: PlacedSegment; task: TaskFacts }[] = [];
  const made = (step: Step): SharedStep => {
    const batch = { ...step.batch, joined: new Joined(tail.shares) };
    return { ...step, batch, lines, tasks: new Set(lines.map(({ task }) => task)) };
  };
  for (const segment of stretch.segments) {
    const task = facts.of(segment);
    if (task === undefined) return undefined;
    lines.push({ segment, task });
    // One at a time: who has written it finds the next one here, with what has come meanwhile.
    for (const step of cutter.take(segment, { task, filter: range.filter })) return made(step);
  }
  const rest = cutter.rest(stretch.nextPosition);
  return rest && made(rest);
}

/** What one reader is given of a stretch, which may be more than it wants. */
async function* steps({ segments, nextPosition }: Stretch, range: Range): AsyncGenerator<Step> {
  const { filter, may } = range;
  const { facts, runFacts } = range.parts;
  const cutter = new Cutter(range);
  await facts.ensure(segments);
  for (const segment of segments) {
    if (segment.position >= range.until) break;
    const task = facts.of(segment) ?? (await facts.load(segment));
    if (may?.(task) === false) {
      cutter.leaveOut(segment);
      continue;
    }
    const own = await filterFor([segment], { filter, task: segment.task, facts: runFacts });
    yield* cutter.take(segment, { task, filter: own });
  }
  const rest = cutter.rest(nextPosition);
  if (rest !== undefined) yield rest;
}

/** Cuts the segments of a stretch into batches of about BATCH_WORK. */
class Cutter {
  readonly #group: string | undefined;
  /** Positions: of the stretch, and where to end. */
  readonly #from: number;
  readonly #until: number;
  #next: number;
  #events: MergedEvent[] = [];
  #work = 0;

  constructor({ group, next, until }: Range) {
    this.#group = group;
    this.#from = this.#next = next;
    this.#until = until;
  }

  /** The batches that are full with it. */
  *take(segment: PlacedSegment, { task, filter }: { task: TaskFacts; filter: Filter }): Generator<Step> {
    this.#passTo(segment.position);
    if (this.#next >= this.#until) return;
    const range = { task, filter, next: this.#next, until: this.#until, from: this.#from };
    for (const piece of pieces(segment, range)) {
      if (piece.event !== undefined) this.#events.push(piece.event);
      this.#work += piece.work;
      this.#next = piece.behind;
      if (this.#work >= BATCH_WORK) yield this.#step(true);
    }
  }

  /** Its lines are not for this reader. */
  leaveOut({ position, count }: PlacedSegment): void {
    this.#passTo(position);
    this.#next = Math.min(position + count, this.#until);
    this.#work += SEGMENT_WORK;
  }

  /** The last batch, if there is any news in it, when all of a stretch up to a position was taken. */
  rest(nextPosition: number): Step | undefined {
    this.#passTo(nextPosition);
    return this.#events.length > 0 || this.#work > 0 || this.#next > this.#from ? this.#step(false) : undefined;
  }

  #step(full: boolean): Step {
    const batch = { events: this.#events, nextPosition: this.#next };
    this.#events = [];
    this.#work = 0;
    return { batch, full };
  }

  #passTo(position: number): void {
    const reached = Math.min(position, this.#until);
    // Of a group, whatever is there is said by the store: the rest is others'.
    if (reached > this.#next && this.#group === undefined) {
      this.#events.push({ type: 'gap', fromPosition: this.#next, toPosition: reached - 1, reason: 'trimmed' });
    }
    this.#next = Math.max(this.#next, reached);
  }
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
