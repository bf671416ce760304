import { CHUNK_HEADER_BYTES, CODEC_GAP, readStoredHeader, type ChunkHeader } from '../../shared/chunk.ts';
import { decodeLines, decompress } from '../../shared/columns.ts';
import { EMPTY_DIGEST } from '../../shared/digest.ts';
import { PAIRS } from '../../shared/line.ts';
import { clipOverlap } from './clip.ts';
import { taskStatus } from './status.ts';
import type { OpenRun, RunRecord, Stored, TaskHead, TaskNote, TaskQuery, TaskRecord } from './store.ts';

/** What the model keeps, and how it becomes what the contract answers. */
export interface ModelTask {
  task: string;
  createdAt: number;
  updatedAt: number;
  nextLine: number;
  trimmedLine: number;
  /** The position of that line, -1 if there is none. */
  trimmedPosition: number;
  revision: number;
  name?: string;
  pipelineId?: string;
  pinned: boolean;
  note: Required<TaskNote>;
  runs: ModelRun[];
}

export interface ModelRun extends RunRecord {
  fence: number;
}

export interface ModelChunk {
  task: string;
  run: string;
  firstLine: number;
  position: number;
  bytes: Buffer;
  /** When it was taken in. */
  at: number;
}

export function newTask(task: string, now: number): ModelTask {
  const note = { message: null, progress: null, errorCode: null };
  const counted = { nextLine: 1, trimmedLine: 0, trimmedPosition: -1, revision: 0 };
  return { task, createdAt: now, updatedAt: now, ...counted, pinned: false, note, runs: [] };
}

export function newRun(open: OpenRun): ModelRun {
  const { epoch: _epoch, ackedSeq: _acked, now, ...said } = open;
  return {
    ...said,
    fence: 0,
    status: 'running',
    openedAt: now,
    lastSeen: now,
    endedAt: null,
    exitCode: null,
    signal: null,
    reason: null,
    nextSeq: 0,
    reportedSeq: 0,
    digest: EMPTY_DIGEST,
    verified: null,
    lines: 0,
    textBytes: 0,
    missing: 0,
  };
}

export function headOf({ nextLine, trimmedLine, revision, runs }: ModelTask): TaskHead {
  const openRuns = runs.filter(({ endedAt }) => endedAt === null).length;
  return { nextLine, trimmedLine, revision, status: taskStatus(runs), openRuns, runs: runs.length };
}

export function storedOf(
  { task, run, firstLine, position, bytes }: ModelChunk,
  header: ChunkHeader,
  wanted: boolean,
): Stored {
  const place = { task, run, firstLine, position, count: header.count };
  if (header.reason) return { kind: 'gap', ...place, reason: header.reason, time: header.minTime };
  const chunk = { kind: 'chunk', ...place, header: bytes.subarray(0, CHUNK_HEADER_BYTES) } as const;
  return wanted ? { ...chunk, body: bytes.subarray(CHUNK_HEADER_BYTES) } : chunk;
}

export function matches(record: TaskRecord, query: TaskQuery): boolean {
  const text = query.q === undefined ? undefined : foldAscii(query.q);
  return (
    (query.status === undefined || record.status === query.status) &&
    (query.pipelineId === undefined || record.pipelineId === query.pipelineId) &&
    (query.since === undefined || record.createdAt >= query.since) &&
    Object.entries(query.labels ?? {}).every(([key, value]) => record.labels[key] === value) &&
    (text === undefined || [record.task, record.name ?? ''].some((name) => foldAscii(name).includes(text)))
  );
}

export function foldAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

export function headerOf(chunk: ModelChunk): ChunkHeader {
  return readStoredHeader(chunk.bytes);
}

export function lastLine(chunk: ModelChunk): number {
  return chunk.firstLine + headerOf(chunk).count - 1;
}

export function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

/** What is left of a chunk behind its first `lines` lines. */
export function clipped(chunk: ModelChunk, lines: number): ModelChunk {
  const header = headerOf(chunk);
  const bytes = clipOverlap(header, chunk.bytes, header.firstSeq + lines);
  return { ...chunk, firstLine: chunk.firstLine + lines, position: chunk.position + lines, bytes };
}

/** The times of a chunk's lines; none of a gap. */
export function timesOf(chunk: ModelChunk): Float64Array {
  const header = headerOf(chunk);
  if (header.codec === CODEC_GAP) return new Float64Array();
  return decodeLines(header, decompress(header, chunk.bytes.subarray(CHUNK_HEADER_BYTES))).times;
}

/** What a chunk counts for; gaps for nothing. */
export function bytesOf(chunk: ModelChunk): number {
  return headerOf(chunk).codec === CODEC_GAP ? 0 : chunk.bytes.length;
}

export function recordOf(task: ModelTask, ofTask: readonly ModelChunk[]): TaskRecord {
  const headers = ofTask.map(headerOf);
  const chunks = headers.filter(({ codec }) => codec !== CODEC_GAP);
  const gaps = headers.filter(({ codec }) => codec === CODEC_GAP);
  const newest = task.runs.at(-1);
  const { name, pipelineId, createdAt, updatedAt } = task;
  return {
    ...headOf(task),
    task: task.task,
    ...(name === undefined ? {} : { name }),
    ...(pipelineId === undefined ? {} : { pipelineId }),
    labels: { ...newest?.labels },
    createdAt,
    updatedAt,
    startedAt: newest?.startedAt ?? null,
    endedAt: newest?.endedAt ?? null,
    exitCode: newest?.exitCode ?? null,
    signal: newest?.signal ?? null,
    lines: sum(chunks, ({ count }) => count),
    counts: Array.from({ length: PAIRS }, (_, pair) => sum(chunks, ({ counts }) => counts[pair])),
    textBytes: sum(chunks, ({ textBytes }) => textBytes),
    storedBytes: sum(ofTask, bytesOf),
    missing: sum(gaps, ({ count }) => count),
    minTime: chunks.length === 0 ? null : Math.min(...chunks.map(({ minTime }) => minTime)),
    maxTime: chunks.length === 0 ? null : Math.max(...chunks.map(({ maxTime }) => maxTime)),
    pinned: task.pinned,
    ...task.note,
  };
}
