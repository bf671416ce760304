import type { GapReason } from '../../../shared/gap-reasons.ts';
import { KIND_MORE, KIND_REST, levelOf, sourceOf, type Level, type Source } from '../../../shared/line.ts';
import type { Block } from '../../block.ts';
import type { Matches } from '../../filter.ts';
import { readMetadata } from '../metadata-json.ts';
import { podMetadataOf, type PodMetadata } from './pod-metadata.ts';

/** A line as Otto's APIs show it, in this order of members. */
export interface LogEntry {
  /** The worker label of the line's run; empty where nobody knows it any more. */
  workerId: string;
  taskId: string;
  /** ISO 8601 in UTC with milliseconds, as all times. */
  timestamp: string;
  level: Level;
  /** Of a line whose worker named another source, `stdout`; its own word is in `metadata.source`. */
  source: Source;
  message: string;
  metadata: Record<string, unknown>;
  podMetadata?: PodMetadata;
  /** Only of pieces of a longer line: it goes on in, or continues, another one of the same run and source. */
  more?: true;
  rest?: true;
  run?: string;
}

/** Where a worker's own word for a line's source is kept in the line's metadata, if it is none of ours. */
export const FOREIGN_SOURCE = 'source';

/** Lines of a block: those with the indices [first, end), or those of them in `matches`. */
export interface SomeLines {
  block: Block;
  first: number;
  end: number;
  matches: Matches;
}

/** What is known of a run beside its lines. */
export interface Worker {
  workerId: string;
  labels: Readonly<Record<string, string>>;
}

/** What `make` makes of each line's entry, in order; `index` is the line's in its block. */
export function mapEntries<T>(
  { block, first, end, matches }: SomeLines,
  { workerOf, make }: { workerOf: (run: string) => Worker | undefined; make: (entry: LogEntry, index: number) => T },
): T[] {
  const lines = block.lines();
  if (lines === undefined) throw new Error(`line ${block.firstLine} of ${block.task} can't be shown: it can't be read`);
  const { text, starts, times, kinds, metadata } = lines;
  const who = pods(workerOf);
  let time = NaN;
  let timestamp = '';
  const makeOne = (index: number): T => {
    if (times[index] !== time) {
      time = times[index];
      timestamp = new Date(time).toISOString();
    }
    const kind = kinds[index];
    const run = block.runAt(index);
    const { workerId, podMetadata } = who(run);
    const meta = metadata?.[index];
    const entry: LogEntry = {
      workerId,
      taskId: block.task,
      timestamp,
      level: levelOf(kind),
      source: sourceOf(kind),
      message: text.toString('utf8', starts[index], starts[index + 1] - 1),
      metadata: meta === undefined ? {} : readMetadata(meta),
      ...(podMetadata && { podMetadata }),
    };
    if ((kind & (KIND_MORE | KIND_REST)) !== 0) {
      if ((kind & KIND_MORE) !== 0) entry.more = true;
      if ((kind & KIND_REST) !== 0) entry.rest = true;
      entry.run = run;
    }
    return make(entry, index);
  };
  if (matches !== undefined) return Array.from(matches, makeOne);
  const made = new Array<T>(end - first);
  for (let index = first; index < end; index++) made[index - first] = makeOne(index);
  return made;
}

/** Lines that are missing, as Otto's APIs show them: an entry of the agent's that says so, never nothing. */
export function gapEntry({ taskId, time, fromLine, toLine, reason }: MissingLines): LogEntry {
  const count = toLine - fromLine + 1;
  return {
    workerId: '',
    taskId,
    timestamp: new Date(time).toISOString(),
    level: 'WARN',
    source: 'agent',
    message: `${count === 1 ? '1 line is' : `${count} lines are`} missing here (${reason})`,
    metadata: { gap: { fromLine, toLine, reason } },
  };
}

export interface MissingLines {
  /** Empty: nobody knows any more whose lines they were. */
  taskId: string;
  /** When this is said, ms since 1970: when the lines were written is not known. */
  time: number;
  /** Line numbers in the task, both missing; where the task is not known, positions in the store. */
  fromLine: number;
  toLine: number;
  reason: GapReason;
}

/** What each run's lines say of their worker, worked out once a run. */
function pods(
  workerOf: (run: string) => Worker | undefined,
): (run: string) => { workerId: string; podMetadata: PodMetadata | undefined } {
  const known = new Map<string, { workerId: string; podMetadata: PodMetadata | undefined }>();
  return (run) => {
    let found = known.get(run);
    if (found === undefined) {
      const worker = workerOf(run);
      found = { workerId: worker?.workerId ?? '', podMetadata: worker && podMetadataOf(worker.labels) };
      known.set(run, found);
    }
    return found;
  };
}
