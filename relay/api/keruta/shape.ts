import type { Lines } from '../../../shared/columns.ts';
import { KIND_MORE, KIND_REST, LEVELS, SOURCES, levelOf, sourceOf } from '../../../shared/line.ts';
import type { EndMessage, GapMessage } from '../../../shared/viewer-messages.ts';
import type { EndEvent, GapEvent, LinesEvent } from '../../cursor.ts';
import { countPairs, pairsOf } from '../../filter.ts';
import type { RunRecord, TaskRecord } from '../../store/store.ts';
import { iso } from '../iso.ts';
import { metadataJson } from '../metadata-json.ts';

/** Writes the cursor of a line number; in merged streams, of a position. */
export type Cursors = (place: number) => string;

/** The JSON of each line of an event. */
export function linesJson({ block, first, end, matches }: LinesEvent, style: LineStyle): string[] {
  const lines = block.lines();
  if (lines === undefined)
    throw new Error(`block ${block.firstLine} of ${block.task} can't be rendered: it can't be read`);
  const render = lineWriter(block, lines, style);
  if (matches !== undefined) return Array.from(matches, render);
  const json = new Array<string>(end - first);
  for (let i = first; i < end; i++) json[i - first] = render(i);
  return json;
}

export interface LineStyle {
  cursors: Cursors;
  /** The place of the block's first line, if that is not its number. */
  origin?: number;
  /** The members that come first, as `"type":"log",`. */
  prefix?: string;
  /** Those that come last, by the line's index in the block, as `,"workerId":"w"`. */
  suffix?: (index: number) => string;
}

function lineWriter(block: LinesEvent['block'], lines: Lines, style: LineStyle): (index: number) => string {
  const { task, firstLine } = block;
  const { cursors, origin = firstLine, prefix = '', suffix } = style;
  const { text, starts, times, kinds, metadata } = lines;
  const open = `{${prefix}"id":"`;
  const afterId = `","taskId":${JSON.stringify(task)},"timestamp":"`;
  const words = kindWords();
  let time = NaN;
  let timestamp = '';
  return (index) => {
    if (times[index] !== time) {
      time = times[index];
      timestamp = new Date(time).toISOString();
    }
    const kind = kinds[index];
    const message = JSON.stringify(text.toString('utf8', starts[index], starts[index + 1] - 1));
    const more = (kind & (KIND_MORE | KIND_REST)) === 0 ? '' : pieceJson(kind, block.runAt(index));
    const meta = metadata?.[index] === undefined ? '{}' : metadataJson(metadata[index]);
    const last = suffix?.(index) ?? '';
    return `${open}${cursors(origin + index)}${afterId}${timestamp}${words[kind & PAIR_BITS]}${message},"lineNumber":${firstLine + index},"metadata":${meta}${more}${last}}`;
  };
}

/** The members between timestamp and message, by the bits of source and level. */
function kindWords(): string[] {
  const words: string[] = [];
  for (let kind = 0; kind <= PAIR_BITS; kind++) {
    words.push(`","source":"${sourceOf(kind)}","level":"${levelOf(kind)}","message":`);
  }
  return words;
}

/** Who joins pieces needs to know whose they are. */
function pieceJson(kind: number, run: string): string {
  return `${(kind & KIND_MORE) !== 0 ? ',"more":true' : ''}${(kind & KIND_REST) !== 0 ? ',"rest":true' : ''},"run":"${run}"`;
}

export function gapMessage(gap: GapEvent, { task, cursors }: { task: string; cursors: Cursors }): GapMessage {
  const { fromLine, toLine, reason } = gap;
  return { type: 'gap', taskId: task, fromLine, toLine, reason, cursor: cursors(toLine + 1) };
}

/** A gap as pages and exports show it. */
export function gapJson({ fromLine, toLine, reason }: GapEvent): object {
  return { fromLine, toLine, reason };
}

export function endMessage({ task, runs }: EndEvent, cursors: Cursors): EndMessage {
  const ends = runs.map((run) => run.endedAt ?? run.lastSeen);
  return {
    type: 'end',
    taskId: task.task,
    status: task.status,
    exitCode: task.exitCode,
    signal: task.signal,
    durationMs:
      runs.length === 0 ? null : Math.max(0, Math.max(...ends) - Math.min(...runs.map((run) => run.startedAt))),
    lines: task.lines,
    missing: task.missing,
    runs: task.runs,
    verified: runs.every((run) => run.verified === true),
    cursor: cursors(task.nextLine),
  };
}

/** A task as lists show it. Times are ISO 8601, sizes bytes. */
export function taskJson(task: TaskRecord): Record<string, unknown> {
  return {
    taskId: task.task,
    name: task.name ?? null,
    status: task.status,
    pipelineId: task.pipelineId ?? null,
    labels: task.labels,
    runCount: task.runs,
    openRuns: task.openRuns,
    exitCode: task.exitCode,
    signal: task.signal,
    lines: task.lines,
    missing: task.missing,
    firstLine: task.trimmedLine + 1,
    lastLine: task.nextLine - 1,
    bytes: task.textBytes,
    storedBytes: task.storedBytes,
    ...countsJson(task),
    message: task.message,
    progress: task.progress,
    errorCode: task.errorCode,
    pinned: task.pinned,
    createdAt: iso(task.createdAt),
    updatedAt: iso(task.updatedAt),
  };
}

/** How many lines a task has of what kind. Of an empty one: zeros, and no time range. */
export function statsJson(task: TaskRecord): Record<string, unknown> {
  const { task: taskId, lines, missing, updatedAt } = task;
  return { taskId, totalLogs: lines, ...countsJson(task), missing, lastUpdated: iso(updatedAt) };
}

function countsJson({ counts, minTime, maxTime }: TaskRecord): Record<string, unknown> {
  return {
    logCounts: Object.fromEntries(SOURCES.map((one) => [one, countPairs(counts, pairsOf({ sources: [one] }))])),
    levelCounts: Object.fromEntries(LEVELS.map((one) => [one, countPairs(counts, pairsOf({ levels: [one] }))])),
    timeRange: minTime === null || maxTime === null ? null : { start: iso(minTime), end: iso(maxTime) },
  };
}

export function runJson(run: RunRecord): Record<string, unknown> {
  return {
    run: run.run,
    status: run.status,
    pipelineId: run.pipelineId ?? null,
    workerId: run.workerId,
    labels: run.labels,
    command: run.command ?? null,
    agentVersion: run.agentVersion,
    startedAt: iso(run.startedAt),
    endedAt: run.endedAt === null ? null : iso(run.endedAt),
    lastSeen: iso(run.lastSeen),
    exitCode: run.exitCode,
    signal: run.signal,
    reason: run.reason,
    verified: run.verified,
    lines: run.lines,
    bytes: run.textBytes,
    missing: run.missing,
    /** Lines that the agent has, but has not sent yet as far as is known. */
    behind: run.reportedSeq - run.nextSeq,
  };
}

const PAIR_BITS = 0b1111;
