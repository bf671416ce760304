import type { Logger } from 'pino';
import { KerutaError } from '../../shared/errors.ts';
import { newUlid } from '../../shared/ulid.ts';
import type { Caller } from '../caller.ts';
import type { DiskGuard } from '../disk.ts';
import { toKerutaError } from '../http-errors.ts';
import { STORE_PATIENCE_MS } from '../ingest-run.ts';
import { StoreError, type RunRecord, type Store, type Stored, type TaskNote } from '../store/store.ts';
import { refuseSystemTask } from '../system-task.ts';
import { WindowBudget, type Flow, type Window } from '../window.ts';
import { Keyed } from './keyed.ts';
import { leftRuns } from './leftovers.ts';
import { Orphans } from './orphans.ts';
import { inTime, notAsked } from './patience.ts';
import { Posts } from './posts.ts';
import type { SocketLines } from './socket-lines.ts';
import { Sender } from './sender.ts';
import type { SenderLimits } from './sender-limits.ts';
import { WorkerRuns } from './worker-runs.ts';
import { DIED, SENT_BY, SentRun, SUCCEEDED, type RunResult } from './sent-run.ts';

/**
 * All who send lines without numbering them as agents do: sockets that speak JSON, requests, and workers with streams.
 * Their runs are opened, kept alive and ended here; those that an earlier process has left are gone on with.
 */
export class Senders {
  readonly posts: Posts;
  readonly keyed: Keyed;
  readonly orphans: Orphans;
  readonly workers: WorkerRuns;
  /** Those that are open, to be swept. */
  readonly sockets = new Set<SocketLines>();
  readonly #options: SendersOptions;
  readonly #budget: WindowBudget;
  /** Those whose runs are kept alive. */
  readonly #senders = new Set<Sender>();
  /** Those whose runs should have ended, and could not. */
  readonly #unfinished = new Map<Sender, RunResult>();
  #sweeper: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;
  #nextSweep: Promise<void> | undefined;
  #draining = false;

  constructor(options: SendersOptions) {
    this.#options = options;
    this.#budget = new WindowBudget(options.windowBytes ?? WINDOW_BYTES);
    this.orphans = new Orphans({ senders: this, graceMs: options.graceMs, now: this.now });
    this.workers = new WorkerRuns({ senders: this, store: options.store, now: this.now });
    this.posts = new Posts({ senders: this, store: options.store, idleMs: options.postIdleMs, now: this.now });
    this.keyed = new Keyed({ senders: this, store: options.store, graceMs: options.graceMs, now: this.now });
  }

  /** ms since 1970 */
  readonly now = (): number => (this.#options.now ?? Date.now)();

  /** Takes over the runs that an earlier process has left, then looks after all of them. Rejects as the store does. */
  async start(): Promise<void> {
    const left: RunRecord[] = [];
    for await (const record of leftRuns(this.#options.store)) left.push(record);
    // All at once, so that they share commits: nobody is let in until then.
    const opened = await Promise.all(
      left.map(async (record) => {
        const run = await SentRun.open(this.#parts, { ...record, ackedSeq: 0, now: this.now() });
        const result = overBy(record.agentVersion);
        if (result !== undefined) await run.end(result, this.now());
        return { record, run };
      }),
    );
    for (const { record, run } of opened) {
      if (overBy(record.agentVersion) !== undefined) continue;
      if (record.agentVersion.startsWith(SENT_BY.grpc)) this.workers.adopt(run, record);
      else if (record.agentVersion === SENT_BY.socket) this.orphans.add(this.#adopt(record, run), record);
      else this.posts.adopt(this.#adopt(record, run), record);
    }
    if (left.length > 0)
      this.#options.log.info({ runs: left.length }, 'going on with runs that were posted or sent by sockets');
    this.#sweeper = setInterval(() => void this.sweep(), SWEEP_EVERY_MS);
    this.#sweeper.unref();
  }

  /** Takes in no more, and finishes what was taken in. Runs whose end was said are ended; the others go on later. */
  async stop(): Promise<void> {
    this.#draining = true;
    clearInterval(this.#sweeper);
    await (this.#nextSweep ?? this.#sweeping);
    await Promise.all([this.posts.finish(), this.workers.finish()]);
    await Promise.all(Array.from(this.#senders, (sender) => sender.settled()));
  }

  /** A sender of a task; `by` says of what kind, as the run's `agentVersion`. Looked after until `release`. */
  sender(task: string, { chained = false, ...run }: NewSender): Sender {
    const open = (): Promise<SentRun> => this.openRun(task, run);
    return this.#watched(new Sender({ task, open, chained, now: this.now }));
  }

  /** The relay's own sender, whose run needs no sign of life: an idle relay writes nothing. */
  ownSender(task: string): Sender {
    const open = (): Promise<SentRun> => this.openRun(task, { caller: task, by: SENT_BY.system });
    return new Sender({ task, open, now: this.now });
  }

  /**
   * A sender whose lines nobody sends again: what it has taken over is held for as long as the store stands still.
   * `next` describes each run that it opens. Looked after until `release`.
   */
  holdingSender(task: string, next: () => NewRun, run?: SentRun): Sender {
    const open = (): Promise<SentRun> => this.openRun(task, next());
    return this.#watched(new Sender({ task, open, holds: () => !this.#draining, now: this.now }, run));
  }

  /**
   * Ends a sender's run and lets go of the sender, in the background. If the store can't do it now, the run is kept
   * alive, and the next sweeps try again.
   */
  async finish(sender: Sender, result: RunResult): Promise<void> {
    this.#unfinished.delete(sender);
    await this.end(sender, result);
    await sender.settled();
    if (sender.open) this.#unfinished.set(sender, result);
    else this.#senders.delete(sender);
  }

  /** Ends a sender's run, in the background: a failure is logged, and whoever asked for it asks again. */
  end(sender: Sender, result: RunResult): Promise<void> {
    return sender.end(result).catch((error: unknown) => {
      this.#options.log.error({ err: this.failed(error), task: sender.task }, 'could not end a run');
    });
  }

  /**
   * Opens a run that the relay writes. It has the labels that its task has, so that it changes nobody's permissions;
   * whoever gives others beside them has looked at permissions. Rejects with a KerutaError or StoreError.
   */
  async openRun(task: string, { caller, by, run, workerId = '', labels, pipelineId }: NewRun): Promise<SentRun> {
    if (by !== SENT_BY.system) refuseSystemTask(task, pipelineId);
    const now = this.now();
    const known = await this.#options.store.task(task);
    const pipeline = pipelineId ?? known?.pipelineId;
    return SentRun.open(this.#parts, {
      task,
      run: run ?? newUlid(now),
      workerId: workerId === '' ? workerOf(caller) : workerId,
      labels: { ...known?.labels, ...labels },
      ...(pipeline !== undefined && { pipelineId: pipeline }),
      agentVersion: by,
      startedAt: now,
      ackedSeq: 0,
      now,
    });
  }

  /** Whether it takes in no more. */
  get draining(): boolean {
    return this.#draining;
  }

  get limits(): SenderLimits {
    return this.#options.limits;
  }

  /** Tells agents of a task that somebody has cancelled it. */
  cancel(task: string, reason: string): void {
    for (const socket of this.sockets) socket.cancel(task, reason);
  }

  /** Sets what is shown with a task. Resolves when it is durable; rejects with a KerutaError or StoreError. */
  async annotate(task: string, note: TaskNote): Promise<void> {
    refuseSystemTask(task);
    return inTime(this.#options.store.annotate(task, note, this.now()));
  }

  /** Throws a KerutaError if nothing can be taken in now. */
  admit(): void {
    this.admitHeld();
    // What it was given already may stay in memory for long.
    if (this.#silent) throw notAsked();
  }

  /** As `admit`, for what is held while the store stands still. */
  admitHeld(): void {
    if (this.#draining) throw new KerutaError('DRAINING', 'The relay is stopping.');
    const { room, problem } = this.#options.disk.state;
    if (!room) throw new KerutaError('STORE_FULL', `The relay takes in nothing: ${problem ?? 'no room'}.`);
  }

  /** Room for what a request brought, until what is returned is called. Throws a KerutaError if there is none. */
  take(bytes: number): () => void {
    this.admit();
    if (this.#budget.used > 0 && this.#budget.used + bytes > (this.#options.windowBytes ?? WINDOW_BYTES)) {
      throw new KerutaError('OVERLOADED', 'Too much waits for the store.', { retryAfterMs: BUSY_MS });
    }
    const window = this.#budget.open({ pause: () => undefined, resume: () => undefined });
    window.take(bytes);
    return () => {
      window.release(bytes);
      window.close();
    };
  }

  /** A socket's share of the room. */
  window(flow: Flow): Window {
    return this.#budget.open(flow);
  }

  /** A call into the store failed: notes what that means for all, and answers what to say of it. */
  failed(error: unknown): KerutaError {
    const { disk, onFatal } = this.#options;
    if (error instanceof StoreError) {
      if (error.reason === 'full') disk.full();
      else if (!error.retry || (error.reason === 'closed' && !this.#draining)) onFatal(error);
    }
    return toKerutaError(error);
  }

  /**
   * Once a second: runs that have to be kept alive, or have come to their end. Whoever asks while that is under way
   * waits for the next time. Public for tests, which own the clock.
   */
  sweep(): Promise<void> {
    if (this.#sweeping === undefined) {
      this.#sweeping = this.#sweep().finally(() => (this.#sweeping = undefined));
      return this.#sweeping;
    }
    this.#nextSweep ??= this.#sweeping.then(() => {
      this.#nextSweep = undefined;
      return this.sweep();
    });
    return this.#nextSweep;
  }

  /** Whether the store stands still. */
  get #silent(): boolean {
    return (this.#options.waitingMs?.() ?? 0) >= STORE_PATIENCE_MS;
  }

  async #sweep(): Promise<void> {
    const now = this.now();
    for (const socket of this.sockets) socket.sweep(now);
    if (this.#options.disk.state.room && !this.#silent)
      for (const [sender, result] of [...this.#unfinished]) void this.finish(sender, result);
    const seen = Array.from(this.#senders, (sender) => sender.sweep(now, this.#options.seenEveryMs));
    await Promise.all([
      ...seen,
      this.posts.sweep(),
      this.keyed.sweep(),
      this.orphans.sweep(),
      this.workers.sweep(),
    ]).catch((error: unknown) => {
      this.#options.log.error({ err: this.failed(error) }, 'could not look after the runs of senders');
    });
  }

  #adopt(record: { task: string; run: string; agentVersion: string; workerId: string }, run: SentRun): Sender {
    const { task, agentVersion: by, workerId } = record;
    const numbered = by === SENT_BY.numbered ? { run: record.run } : {};
    const open = (): Promise<SentRun> => this.openRun(task, { caller: workerId, by, ...numbered });
    return this.#watched(new Sender({ task, open, chained: by === SENT_BY.socket, now: this.now }, run));
  }

  #watched(sender: Sender): Sender {
    this.#senders.add(sender);
    return sender;
  }

  get #parts(): { store: Store; stored: (stored: Stored) => void } {
    return { store: this.#options.store, stored: (stored) => this.#options.tail.stored(stored) };
  }
}

export interface SendersOptions {
  store: Store;
  /** Told of each append that is durable, before its sender is. */
  tail: { stored(stored: Stored): void };
  disk: Pick<DiskGuard, 'state' | 'full'>;
  limits: SenderLimits;
  /** For how long the store has left a write unanswered, by whomever; 0 if it does not. */
  waitingMs?: () => number;
  /** Bytes of lines that may wait for the store, over all senders. */
  windowBytes?: number;
  /** How often the store is told that a quiet sender lives. */
  seenEveryMs: number;
  /** How long a socket's run waits for its sender to come back, if it went without a word. */
  graceMs: number;
  /** How long the run of posted lines waits for more. */
  postIdleMs: number;
  /** The store is beyond use. May be called more than once. */
  onFatal: (error: StoreError) => void;
  log: Pick<Logger, 'info' | 'error'>;
  now?: () => number;
}

export interface NewSender extends NewRun {
  /** See SenderOptions. */
  chained?: boolean;
}

export interface NewRun {
  /** Who sends, or the name that an earlier process gave them. */
  caller: Caller | string;
  /** One of SENT_BY. */
  by: string;
  /** A run id; else one is made. */
  run?: string;
  /** Whose run it is; empty or absent: the caller's. */
  workerId?: string;
  /** Beside those that the task has. */
  labels?: Readonly<Record<string, string>>;
  /** The task's pipeline; absent: the one that it has. */
  pipelineId?: string | undefined;
}

/** Who sends, as runs show it: by name, or by address where nobody has one. */
export function workerOf(caller: Caller | string): string {
  if (typeof caller === 'string') return caller;
  return caller.principal.name === 'anonymous' ? caller.address : caller.principal.name;
}

/** How a run ended with the process that wrote it; undefined where another one goes on with it. */
function overBy(by: string): RunResult | undefined {
  if (by === SENT_BY.system) return DIED;
  return by.startsWith(SENT_BY.key) ? SUCCEEDED : undefined;
}

const WINDOW_BYTES = 32 * 1024 * 1024;
const SWEEP_EVERY_MS = 1000;
/** By then the store has taken in what waits, or is beyond hope. */
const BUSY_MS = 1000;
