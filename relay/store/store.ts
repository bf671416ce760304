import type { GapReason } from '../../shared/gap-reasons.ts';
import type { EndReason } from '../../shared/wire.ts';

/**
 * Where the relay keeps its lines. No method assumes that this process is the only writer, and none knows a line's
 * number before the store has given it. Bytes go in and come out as chunks (shared/chunk.ts); nothing here
 * decompresses, but for the rare clip of an overlapping chunk.
 *
 * Every promise below is a test of the conformance suite (conformance.ts), which every implementation passes.
 */
export interface Store {
  /** The identity of this store's numbering, minted when the store is created and anew when it is found to have
   * forgotten what it acknowledged. Cursors carry it. */
  epoch(): string;

  /**
   * A run's writer says hello: creates task and run if they are new, fences every earlier writer of the run, and
   * makes a `lost` run `running` again. A run that has ended stays ended. Durable when it resolves.
   * If `epoch` is the store's own and `ackedSeq` is above the run's next seq, the store has forgotten what it
   * acknowledged (an older copy was put back): a new epoch is minted, and the answer bears it.
   */
  open(run: OpenRun): Promise<OpenedRun>;

  /**
   * Compare-and-append on the run's next seq, decided inside the engine:
   *   - the chunk starts at the next seq: stored, and line numbers and positions are given;
   *   - it ends at or below it: `duplicate`, nothing changes;
   *   - it overlaps it: clipped, the rest is stored (the clip advances the digest with the clipped chunk's own CRC; a
   *     body that can't be read for it leaves a `corrupt` gap over those lines);
   *   - it starts above: `expected`, nothing changes;
   *   - the fence is older than the run's, or the run is unknown: `fenced`; the run has ended: `ended`.
   * Numbers, positions, counts, digest and last-seen change in the same step. Durable when it resolves; appends of
   * one moment share one commit, and one that fails does not fail its neighbours. Appends of one run are applied in
   * the order of the calls. The caller has checked the header and the CRC, and leaves the bytes alone afterwards.
   * Rejects with a StoreError if the engine can't write; then nothing of this append is stored.
   */
  append(append: Append): Promise<AppendOutcome>;

  /**
   * The run is over. If lines are missing: `missing`, nothing changes. Else the run gets its final status and is
   * `verified` if digest and counts agree, else `unverified`. Said again, it answers the same. Ordered with appends.
   */
  end(end: EndRun): Promise<EndOutcome>;

  /** Notes that a writer lives and how far it is (`nextSeq`, if known); like an append, makes a `lost` run `running`.
   * Ignored if fenced. Need not be durable; may take a moment to resolve, since it waits for company. */
  seen(seen: { task: string; run: string; fence: number; nextSeq?: number; now: number }): Promise<void>;

  /** Makes every `running` run `lost` that was last seen before `before`, and names them; those of the task `except`
   * need no sign of life. */
  markLost(before: number, now: number, except?: string): Promise<{ task: string; run: string }[]>;

  /**
   * Chunks from a line of a task on, or from a position of the whole store on, in order, without holes: the first
   * holds `from` (or is the first behind it), each next one follows the one before. Stops when `maxBytes` of bodies
   * are exceeded, or a few MiB of what they decompress to (at least one chunk is returned if there is any), or at 4,096
   * chunks. At the head: an empty array,
   * no error. What was trimmed is a StoredGap `trimmed` (read by line only). Chunks that `wants` rules out come without their body.
   * Holds nothing between calls: what a later call returns for the same place are the same lines, perhaps in other
   * chunks. Nothing ever becomes visible before a place that was already read past.
   */
  read(read: Read): Promise<Stored[]>;

  /**
   * What lies at a position and behind it, of all tasks or of one group (see `groupOf`, as its tasks are now), in order,
   * bounded as `read` is; and how far was looked: all else below `nextPosition` was trimmed, or is none of the group's.
   * The answer may be empty although there is more. At the head, and behind it, `nextPosition` is the position given.
   * The lines of a merged chunk come as they were appended, chunk by chunk, each at consecutive positions.
   *
   * Of a group, what was trimmed at the position or behind it is a StoredGap `trimmed` for each task: its firstLine and
   * position are those of the last line that is gone, its count is 1; how many more are gone nobody knows.
   */
  walk(walk: Walk): Promise<Walked>;

  /** A task's head now, or undefined if there is no such task. */
  head(task: string): Promise<TaskHead | undefined>;

  /**
   * Resolves when the task's head is past `nextLine` or its revision above `revision` (0 before the task exists, which
   * any head then is above); at once if that is so already. May wake spuriously. Rejects with the signal's reason.
   */
  wait(task: string, past: { nextLine: number; revision: number }, signal: AbortSignal): Promise<void>;

  /** As `wait`, for the whole store: resolves when its next position is above `nextPosition`. */
  waitAll(nextPosition: number, signal: AbortSignal): Promise<void>;

  /** The store's next position. */
  nextPosition(): Promise<number>;

  /** A number that grows whenever any task's revision does, and when a task is new: what was read of tasks and pipelines
   * before may be another now. */
  change(): Promise<number>;

  /** As `wait`, for all tasks: resolves when `change` is above `past`. */
  waitChange(past: number, signal: AbortSignal): Promise<void>;

  /** Tasks, the newest first (by creation), `limit` of them, created before the task `before` if given. */
  tasks(query: TaskQuery): Promise<TaskRecord[]>;
  task(task: string): Promise<TaskRecord | undefined>;
  /** Pipelines, the newest first (by the creation of their first task). A pipeline is what its tasks say. */
  pipelines(query: PipelineQuery): Promise<PipelineRecord[]>;
  pipeline(pipelineId: string): Promise<PipelineRecord | undefined>;
  /** The runs of a task in the order in which they were opened; with `only`, those of them that it names. */
  runs(task: string, only?: readonly string[]): Promise<RunRecord[]>;

  /**
   * Forgets the lines of a task at or below `throughLine`, exactly those; what is above the head is no line yet. Heads
   * and runs outlive it: no number is reused, and a late duplicate stays one. Long work is done in steps between which
   * appends get their turn. A task that is not there has nothing to forget.
   */
  trim(task: string, throughLine: number): Promise<Trimmed>;

  /**
   * The last line of a task that has no later line (`time` is exclusive: lines at `time` count as not later) before or
   * at it: trimming through it forgets no line whose time is later than `time`. 0 if there is none.
   */
  lastLineUntil(task: string, time: number): Promise<number>;

  /**
   * Forgets whole chunks, the oldest of the store first, until the policy holds; those of pinned tasks stay. Readers
   * see what is gone as a gap `trimmed`. Works in steps, as `trim`.
   */
  expire(policy: ExpirePolicy, now: number): Promise<Expired>;

  /** Exempts a task from `expire`, or no longer. False if there is no such task. */
  pin(task: string, pinned: boolean): Promise<boolean>;

  /** Sets what somebody says of a task, as it is shown with it; members that are absent stay, null takes away. The task
   * is created if it is new. The revision grows. */
  annotate(task: string, note: TaskNote, now: number): Promise<void>;

  /** Sizes for health and metrics. */
  size(): Promise<StoreSize>;

  /**
   * How other threads of this process read the same store, for work that would hold this one up: what such a thread
   * imports, and what it calls that with. It sees at least what this handle has answered. Undefined: only this thread can.
   */
  readsElsewhere(): ReadsElsewhere | undefined;

  /** Finishes what was called, then lets go of everything. Later calls reject. */
  close(): Promise<void>;
}

/** `retry`: it may work later (full disk, busy). Otherwise the store is beyond use and the process should end. */
export class StoreError extends Error {
  readonly retry: boolean;
  /** `full`: no room. `io`: the device failed. `crashed`: the engine itself died. `closed`: the store was closed.
   * `other`: the message says. */
  readonly reason: 'full' | 'io' | 'crashed' | 'closed' | 'other';
  constructor(reason: StoreError['reason'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.reason = reason;
    this.retry = reason !== 'io' && reason !== 'crashed';
  }
}

export interface ReadsElsewhere {
  /** The address of a `ReadsModule`. */
  module: string;
  /** Bears being sent to another thread. */
  data: unknown;
}

export interface ReadsModule {
  openReads: (data: unknown) => StoreReads;
}

/** Of a store, what searching takes. Its calls do as the store's. */
export interface StoreReads extends Pick<Store, 'read' | 'runs'> {
  close(): void;
}

export type RunStatus = 'running' | 'succeeded' | 'failed' | 'cancelled' | 'lost';
export type TaskStatus = RunStatus | 'pending';

/** What `trim` did. */
export interface Trimmed {
  /** The last line that is forgotten, 0 if none ever was. */
  trimmedLine: number;
  /** Lines that this call has forgotten, gaps not counted. */
  lines: number;
}

export interface ExpirePolicy {
  /** Chunks that the store took in longer ago than this, ms. */
  maxAgeMs?: number;
  /** Of the whole store: bytes of chunks, headers and bodies. */
  maxBytes?: number;
  /** Of each task. */
  maxTaskBytes?: number;
  maxTaskLines?: number;
}

export interface Expired {
  tasks: number;
  chunks: number;
  lines: number;
  /** Of chunks, as they were stored. */
  bytes: number;
}

export interface TaskNote {
  message?: string | null;
  /** 0 to 100. */
  progress?: number | null;
  errorCode?: string | null;
}

export interface StoreSize {
  /** What the store takes on the disk. */
  bytes: number;
  chunks: number;
  /** Of `bytes`: what is not yet in its place (the write-ahead log), and what is free to be used again. */
  pendingBytes: number;
  freeBytes: number;
}

export interface OpenRun {
  task: string;
  run: string;
  pipelineId?: string;
  workerId: string;
  taskName?: string;
  labels: Record<string, string>;
  command?: string;
  agentVersion: string;
  startedAt: number;
  epoch?: string;
  ackedSeq: number;
  now: number;
}

export interface OpenedRun {
  epoch: string;
  /** To be given with every append, end and seen of this writer. */
  fence: number;
  nextSeq: number;
  digest: string;
  ended: boolean;
}

export interface Append {
  task: string;
  run: string;
  fence: number;
  /** One whole chunk or gap. */
  bytes: Buffer;
  now: number;
}

export type AppendOutcome =
  | {
      outcome: 'stored';
      nextSeq: number;
      firstLine: number;
      position: number;
      count: number;
      /** What was stored: the bytes given, or the clipped chunk. */
      clipped?: Buffer;
    }
  | { outcome: 'duplicate'; nextSeq: number }
  | { outcome: 'expected'; nextSeq: number }
  | { outcome: 'ended'; nextSeq: number }
  | { outcome: 'fenced' };

export interface EndRun {
  task: string;
  run: string;
  fence: number;
  exitCode: number | null;
  signal: string | null;
  reason: EndReason;
  nextSeq: number;
  lines: number;
  bytes: number;
  digest: string;
  endedAt: number;
  now: number;
}

export type EndOutcome =
  | { outcome: 'verified'; nextSeq: number }
  | { outcome: 'unverified'; nextSeq: number; digest: string }
  | { outcome: 'missing'; nextSeq: number }
  | { outcome: 'fenced' };

export interface Read {
  /** A place: a task's line number (from 1), or a position (from 0). */
  from: { task: string; line: number } | { position: number };
  maxBytes: number;
  wants?: Wants;
}

export interface Walk {
  position: number;
  maxBytes: number;
  group?: string;
  wants?: Wants;
}

export interface Walked {
  stored: PlacedStored[];
  nextPosition: number;
}

/** What a header alone can rule out. */
export interface Wants {
  /** 12 bits, bit `source * 4 + level`; a chunk without any line of these pairs comes without its body. */
  pairs?: number;
  /** ms since 1970, inclusive. */
  from?: number;
  to?: number;
  /** Only chunks in which a line has metadata. */
  metadata?: boolean;
  /** No bodies at all: counting and paging. */
  headersOnly?: boolean;
}

export interface StoredChunk {
  kind: 'chunk';
  task: string;
  /** Of all its lines; of a chunk that was merged from several runs, of the first of them. */
  run: string;
  /** Only where lines of several runs were merged: whose they are, in order. Their counts add up to `count`. */
  runs?: readonly { run: string; count: number }[];
  firstLine: number;
  /** Of its first line. Those of a merged chunk need not be consecutive when it is read by line. */
  position: number;
  count: number;
  /** The 92 bytes of the header. Its firstSeq and count are those of this chunk. */
  header: Buffer;
  /** The body; absent if `wants` ruled the chunk out. */
  body?: Buffer;
}

export interface StoredGap {
  kind: 'gap';
  task: string;
  /** Absent for `trimmed`, which may span runs. */
  run?: string;
  firstLine: number;
  /** Absent for `trimmed`, but in the answer of `walk`. */
  position?: number;
  count: number;
  reason: GapReason;
  /** ms since 1970; absent for `trimmed`. */
  time?: number;
}

export type Stored = StoredChunk | StoredGap;
export type PlacedStored = StoredChunk | (StoredGap & { position: number });

export interface TaskHead {
  /** The next line's number; 1 for a task without lines. */
  nextLine: number;
  /** The last line that was trimmed, 0 if none. */
  trimmedLine: number;
  /** Grows with every change of the task's or its runs' status. */
  revision: number;
  status: TaskStatus;
  /** Runs that have neither ended; a lost run is open. */
  openRuns: number;
  runs: number;
}

export interface TaskQuery {
  limit: number;
  /** A task id. */
  before?: string;
  status?: TaskStatus;
  pipelineId?: string;
  /** All of them must match a label of the task's newest run. */
  labels?: Record<string, string>;
  /** A substring of the task id or name, ASCII case folded. */
  q?: string;
  /** Created at or after, ms since 1970. */
  since?: number;
}

/**
 * What a task belongs to in merged streams: its pipeline, or if it has none, itself. A pipeline and a task without one
 * that bears the same id are one group.
 */
export function groupOf({ task, pipelineId }: { task: string; pipelineId?: string | undefined }): string {
  return pipelineId ?? task;
}

export interface PipelineQuery {
  limit: number;
  /** A pipeline id: those that are older than it. */
  before?: string;
  /** A substring of the pipeline id, ASCII case folded. */
  q?: string;
}

/** What the tasks of a pipeline add up to. */
export interface PipelineRecord {
  pipelineId: string;
  tasks: number;
  /** How many of them have each status. */
  statuses: Record<TaskStatus, number>;
  /** Runs of all of them: how many there are, and how many are open. */
  runs: number;
  openRuns: number;
  /** Of all of them together, how far each is: 100 for each that has ended, else what its note says, 0 to 100. */
  progress: number;
  /** Of the first task, and of the task that was updated last. */
  createdAt: number;
  updatedAt: number;
  lines: number;
  missing: number;
  textBytes: number;
}

export interface TaskRecord extends TaskHead {
  task: string;
  name?: string;
  pipelineId?: string;
  /** Of the newest run. */
  labels: Record<string, string>;
  createdAt: number;
  updatedAt: number;
  /** Of the newest run, ms by its agent's clock: null without one, and of one that is open. */
  startedAt: number | null;
  endedAt: number | null;
  /** Of the newest run, when it has ended. */
  exitCode: number | null;
  signal: string | null;
  /** Lines that are there, without gaps and what was trimmed; and per pair (`source * 4 + level`). */
  lines: number;
  counts: number[];
  /** Bytes of their text, a line end each included. */
  textBytes: number;
  /** Bytes of their chunks. */
  storedBytes: number;
  /** Lines that gaps stand for, without trimmed ones. */
  missing: number;
  /** Times of the earliest and latest line, ms; null without lines. */
  minTime: number | null;
  maxTime: number | null;
  pinned: boolean;
  message: string | null;
  progress: number | null;
  errorCode: string | null;
}

export interface RunRecord {
  task: string;
  run: string;
  status: RunStatus;
  pipelineId?: string;
  workerId: string;
  taskName?: string;
  labels: Record<string, string>;
  command?: string;
  agentVersion: string;
  startedAt: number;
  openedAt: number;
  lastSeen: number;
  endedAt: number | null;
  exitCode: number | null;
  signal: string | null;
  reason: EndReason | null;
  nextSeq: number;
  /** How far the agent said it is; never below nextSeq. */
  reportedSeq: number;
  digest: string;
  /** true: counts and digest agreed at the end; false: they didn't; null: not ended. */
  verified: boolean | null;
  lines: number;
  textBytes: number;
  missing: number;
}
