import { setImmediate as turn } from 'node:timers/promises';
import type { GapReason } from '../shared/gap-reasons.ts';
import { endLine, type Block, type Segment } from './block.ts';
import type { Filter, Matches } from './filter.ts';
import { filterFor, type RunFacts } from './run-facts.ts';
import { Joined } from './shares.ts';
import { BATCH_WORK, SEGMENT_WORK, slicesOf, type Slice } from './slice.ts';
import type { StoredGap, TaskHead } from './store/store.ts';
import type { Tail, TailReader } from './tail.ts';
import type { Ending, Watch, Watcher } from './watch.ts';

/** What a cursor hands out. Lines stay in their block until somebody renders them. */
export type ReadEvent = LinesEvent | GapEvent | EndEvent;

export interface LinesEvent {
  type: 'lines';
  block: Block;
  /** Indices in the block: the lines [first, end), or those of them in `matches`. */
  first: number;
  end: number;
  matches: Matches;
}

export interface GapEvent {
  type: 'gap';
  /** Line numbers, both missing. */
  fromLine: number;
  toLine: number;
  reason: GapReason;
  /** Of `corrupt`: how many of its lines would have matched, as far as the headers know. */
  counted?: number;
}

/** No run of the task is open. If another one starts, more events follow. */
export interface EndEvent extends Ending {
  type: 'end';
}

export interface Batch {
  /** In order. May be empty: under a filter, lines were searched and none was found. */
  events: readonly ReadEvent[];
  /** Every line below it was handed out, or is not wanted: the place to go on from. */
  nextLine: number;
  /** Where other readers are given the same object: what is made of it for all of them. */
  joined?: Joined;
}

export interface CursorOptions {
  task: string;
  tail: Tail;
  watch: Watch;
  facts: RunFacts;
  filter: Filter;
  /** The line number to start from. */
  from: number;
  /** The last line to read; none by default. The cursor ends behind it. */
  through?: number;
  /** End at what is the head when it starts, instead of waiting there. */
  untilHead?: boolean;
  /** How much to read from the store at once, in bytes of bodies as they are stored. */
  readBytes?: number;
  /** Say that the task has ended only when so many of its runs have. */
  expectRuns?: number;
  signal: AbortSignal;
}

/**
 * Walks over a task's lines from a place on: reads, and when nothing came waits until there is more, and reads again.
 * Every line is handed out once and in order, whether it was there before or comes now; what is missing or can't be
 * read is a gap. Rejects with the signal's reason when that aborts.
 */
export async function* readOn(options: CursorOptions): AsyncGenerator<Batch, void, undefined> {
  const { filter, signal } = options;
  const tail = options.tail.open(options.task);
  const watcher = options.watch.open(options.task, signal);
  let next = options.from;
  let revision = UNKNOWN;
  const ended = new EndOnce(options.expectRuns);
  try {
    const { through, last } = await limitOf(watcher, options);
    for (;;) {
      signal.throwIfAborted();
      if (next > through) {
        const ending = ended.isNews(last) ? await watcher.ending() : undefined;
        if (ending !== undefined) yield { events: [{ type: 'end', ...ending }], nextLine: next };
        return;
      }
      const steps =
        sharedSteps(tail, { next, through, filter }) ?? (await ownSteps(tail, { ...options, next, through }));
      for (const { batch, full } of steps ?? []) {
        next = batch.nextLine;
        yield batch;
        // Others run in between.
        if (full) await turn();
      }
      if (steps !== undefined) {
        // At the end of what this relay has appended there is nothing to be read; if there is, the wait does not wait.
        if (next <= through && revision !== UNKNOWN && tail.endsAt(next)) {
          await watcher.wait({ nextLine: next, revision });
        }
        continue;
      }
      const head = await watcher.head();
      if (head !== undefined && head.nextLine > next) continue;
      if (ended.isNews(head)) {
        const ending = await watcher.ending();
        // More may have come while the ending was read; the lines come first.
        if (ending?.task.revision !== head?.revision) continue;
        if (ending !== undefined) yield { events: [{ type: 'end', ...ending }], nextLine: next };
        ended.said(head);
      }
      revision = head?.revision ?? UNKNOWN;
      await watcher.wait({ nextLine: Math.min(next, head?.nextLine ?? 1), revision });
    }
  } finally {
    tail.close();
    watcher.close();
  }
}

/** Where the cursor ends; if that is the head of this moment, also what it says. */
async function limitOf(
  watcher: Watcher,
  { through = Infinity, untilHead }: CursorOptions,
): Promise<{ through: number; last?: TaskHead }> {
  if (untilHead !== true) return { through };
  const head = await watcher.head();
  if (head === undefined) return { through: 0 };
  return through < head.nextLine - 1 ? { through } : { through: head.nextLine - 1, last: head };
}

/** Whether a task's end is to be told: once, and again after another run. */
class EndOnce {
  readonly #expectRuns: number;
  #saidRuns = 0;

  constructor(expectRuns = 1) {
    this.#expectRuns = expectRuns;
  }

  isNews(head: TaskHead | undefined): boolean {
    if (head === undefined || head.openRuns > 0) return false;
    return head.runs >= this.#expectRuns && head.runs > this.#saidRuns;
  }

  said(head: TaskHead | undefined): void {
    this.#saidRuns = head?.runs ?? 0;
  }
}

/** A batch, and whether it is as much work as one turn should take. */
interface Step {
  batch: Batch;
  full: boolean;
}

interface ReadRange {
  /** Line numbers: from `next` through `through`. */
  next: number;
  through: number;
  filter: Filter;
}

/** What is in memory from a place on, the same for all readers who want the same; undefined if it is not there. */
function sharedSteps(tail: TailReader, range: ReadRange): readonly Step[] | undefined {
  const { next, through, filter } = range;
  // Which workers' runs they are takes a look at the store.
  if (through !== Infinity || filter.ofRuns !== undefined) return undefined;
  const { shares } = tail;
  return shares.get(`batch ${next} ${filter.key}`, () => {
    // One at a time: who has written it finds the next one here, with what has come meanwhile.
    const { value: step } = batches(tail.recent(next) ?? [], range).next();
    return step && [{ ...step, batch: { ...step.batch, joined: new Joined(shares) } }];
  });
}

/** As `sharedSteps`, for one reader alone, and from the store if need be. Undefined at the head. */
async function ownSteps(
  tail: TailReader,
  { next, through, task, facts, filter, readBytes = READ_BYTES }: CursorOptions & ReadRange,
): Promise<Iterable<Step> | undefined> {
  const segments =
    tail.recent(next) ??
    (await tail.read({ line: next, maxBytes: readBytes, ...(filter.wants && { wants: filter.wants }) }));
  if (segments.length === 0) return undefined;
  return batches(segments, { next, through, filter: await filterFor(segments, { filter, task, facts }) });
}

/** Cuts segments into batches of about BATCH_WORK. */
function* batches(segments: readonly Segment[], { next, through, filter }: ReadRange): Generator<Step, undefined> {
  let events: ReadEvent[] = [];
  let work = 0;
  for (const segment of segments) {
    const firstLine = Math.max(segment.firstLine, next);
    if (firstLine > through) break;
    const behind = Math.min(endLine(segment), through + 1);
    for (const piece of pieces(segment, { firstLine, behind, filter })) {
      if (piece.event !== undefined) events.push(piece.event);
      work += piece.work;
      next = piece.behind;
      if (work < BATCH_WORK) continue;
      yield { batch: { events, nextLine: next }, full: true };
      events = [];
      work = 0;
    }
  }
  if (work > 0) yield { batch: { events, nextLine: next }, full: false };
}

/** A part of a segment that is read in one go. */
interface Piece {
  event: ReadEvent | undefined;
  /** The line behind it. */
  behind: number;
  /** Bytes of text that were looked at, or cost as much. */
  work: number;
}

interface Range {
  /** Line numbers: [firstLine, behind). */
  firstLine: number;
  behind: number;
  filter: Filter;
}

function* pieces(segment: Segment, range: Range): Generator<Piece> {
  const { firstLine, behind, filter } = range;
  if (segment.kind === 'gap') {
    yield { event: gapOf(segment, range), behind, work: SEGMENT_WORK };
    return;
  }
  const { firstLine: origin } = segment;
  for (const slice of slicesOf(segment, { first: firstLine - origin, stop: behind - origin, filter })) {
    yield { event: eventOf(segment, slice), behind: origin + slice.end, work: slice.work };
  }
}

function eventOf(block: Block, { found, first, end, matches, counted }: Slice): ReadEvent | undefined {
  if (found === 'none') return undefined;
  if (found === 'lines') return { type: 'lines', block, first, end, matches };
  const { firstLine } = block;
  return { type: 'gap', fromLine: firstLine + first, toLine: firstLine + end - 1, reason: 'corrupt', counted };
}

function gapOf(gap: StoredGap, { firstLine, behind, filter }: Range): GapEvent | undefined {
  if (!filter.showsGap(gap.run, gap.time)) return undefined;
  return { type: 'gap', fromLine: firstLine, toLine: behind - 1, reason: gap.reason };
}

/** Of a task that does not exist, or whose head was not asked for yet. */
const UNKNOWN = -1;
/** Of bodies, as they are stored: about ten times as much text. */
const READ_BYTES = 256 * 1024;
