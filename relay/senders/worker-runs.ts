import { KerutaError } from '../../shared/errors.ts';
import { newUlid } from '../../shared/ulid.ts';
import type { Caller } from '../caller.ts';
import type { RunRecord, Store } from '../store/store.ts';
import type { Sender } from './sender.ts';
import { CANCELLED, DIED, SENT_BY, SUCCEEDED, type RunResult, type SentRun } from './sent-run.ts';
import type { NewRun, Senders } from './senders.ts';
import type { StatusUpdate } from './task-status.ts';

/**
 * The runs of workers that send lines over streams: one for each worker and task, whatever number of streams its lines
 * come over. It ends as somebody says; well, if its streams were closed in order and nobody says anything else; or
 * without its worker, which then has not come back in time.
 */
export class WorkerRuns {
  readonly #options: WorkerRunsOptions;
  /** By worker and task; the one that was used last stands last. */
  readonly #runs = new Map<string, WorkerRun>();
  /** Those that were registered for, by worker. */
  readonly #registered = new Map<string, Set<WorkerRun>>();

  constructor(options: WorkerRunsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#runs.size;
  }

  /** The run of a worker's lines of a task, or a new one. Throws a KerutaError OVERLOADED if there are too many. */
  of(task: string, worker: Worker): WorkerRun {
    const { senders, now } = this.#options;
    const key = keyOf(task, worker.workerId);
    let of = this.#runs.get(key);
    if (of === undefined) {
      this.#makeRoom();
      const run = worker.run ?? newUlid(now());
      of = new WorkerRun(task, { ...worker, run, sender: senders.holdingSender(task, runsOf({ ...worker, run })) });
      this.#noteRegistered(of);
    } else if (of.streams === 0 && now() - of.usedAt >= LATE_BY_MS) of.result = undefined;
    of.usedAt = now();
    this.#runs.delete(key);
    this.#runs.set(key, of);
    return of;
  }

  /** The run of a worker's lines of a task, if there is one. */
  find(task: string, workerId: string): WorkerRun | undefined {
    return this.#runs.get(keyOf(task, workerId));
  }

  /** An open run that a worker has registered for, whatever its task is. */
  registeredRunOf(workerId: string): WorkerRun | undefined {
    for (const of of this.#registered.get(workerId) ?? []) if (of.sender.open) return of;
    return undefined;
  }

  /**
   * Notes what somebody says of a worker and its task; resolves when it is durable. False if it changes nothing: the
   * worker's run is over. Rejects with a KerutaError or StoreError.
   */
  async status(task: string, worker: Worker, { effect, note }: StatusUpdate): Promise<boolean> {
    const { senders } = this.#options;
    await senders.annotate(task, note);
    if (effect === 'pending') return true;
    const known = this.find(task, worker.workerId);
    if (effect !== 'running' && known?.sender.open !== true) {
      const over = known?.result ?? known?.ended;
      const before = known === undefined ? await this.#before(task, worker.workerId) : undefined;
      // What is over is not begun again by its own end.
      if ((over && statusOf(over)) === statusOf(effect) || before?.status === statusOf(effect)) {
        const again = known === undefined || known.result !== undefined;
        if (known !== undefined) known.result = effect;
        return !again;
      }
      // Agents say themselves how their runs end.
      if (before?.endedAt === null) return true;
    }
    const of = this.of(task, worker);
    if (effect === 'running') {
      of.result = undefined;
      // As for one that was registered: nobody else may ever say how it ends.
      if (of.streams === 0) of.until = this.#options.now() + SESSION_IDLE_MS;
      await of.sender.start();
      return true;
    }
    of.result = effect;
    of.ended = effect;
    // A run without lines, if need be: the task shows how it came out.
    await of.sender.start();
    await of.sender.end(effect);
    return true;
  }

  /** Goes on with a run that an earlier process has left. */
  adopt(sent: SentRun, { task, workerId, run, labels, pipelineId, agentVersion }: RunRecord): void {
    const { senders, now } = this.#options;
    const registered = agentVersion === SENT_BY.registered;
    const next = runsOf({ workerId, caller: workerId, labels, pipelineId, registered });
    const sender = senders.holdingSender(task, next, sent);
    const of = new WorkerRun(task, { workerId, run, registered, labels, sender });
    const key = keyOf(task, workerId);
    const other = this.#runs.get(key);
    // Of two that were left, the older one would stay open.
    if (other !== undefined) {
      this.#forget(key, other);
      void senders.finish(other.sender, DIED);
    }
    of.usedAt = now();
    of.until = now() + SESSION_IDLE_MS;
    this.#runs.set(key, of);
    this.#noteRegistered(of);
  }

  /** Ends what has come to its end, and forgets what has been over for long. */
  async sweep(): Promise<void> {
    const { senders, now } = this.#options;
    const time = now();
    const work: Promise<void>[] = [];
    for (const [key, of] of this.#runs) {
      if (of.streams > 0 && of.result === undefined) continue;
      const quietMs = time - of.usedAt;
      if (of.sender.open) {
        if (of.result !== undefined ? quietMs >= LATE_MS : of.until <= time) {
          of.ended = of.result ?? (of.finished ? SUCCEEDED : DIED);
          work.push(senders.end(of.sender, of.ended));
        }
      } else if (of.streams === 0 && quietMs >= REMEMBERED_MS) {
        this.#forget(key, of);
        work.push(senders.finish(of.sender, of.ended ?? SUCCEEDED));
      }
    }
    await Promise.all(work);
  }

  /** Ends the runs whose end is known; the others go on when their workers come back. */
  async finish(): Promise<void> {
    const { senders } = this.#options;
    const known = [...this.#runs.values()].filter(
      ({ result, finished, streams }) => result !== undefined || (finished && streams === 0),
    );
    await Promise.all(known.map(({ sender, result }) => senders.end(sender, result ?? SUCCEEDED)));
  }

  /** The newest run of a worker, of which this process knows nothing. */
  async #before(task: string, workerId: string): Promise<RunRecord | undefined> {
    return (await this.#options.store.runs(task)).findLast((run) => run.workerId === workerId);
  }

  #noteRegistered(of: WorkerRun): void {
    if (!of.registered) return;
    const others = this.#registered.get(of.workerId);
    if (others === undefined) this.#registered.set(of.workerId, new Set([of]));
    else others.add(of);
  }

  #forget(key: string, of: WorkerRun): void {
    this.#runs.delete(key);
    const others = this.#registered.get(of.workerId);
    others?.delete(of);
    if (others?.size === 0) this.#registered.delete(of.workerId);
  }

  /** The longest unused one that no stream uses makes room for another. */
  #makeRoom(): void {
    if (this.#runs.size < MAX_RUNS) return;
    for (const [key, of] of this.#runs) {
      if (of.streams > 0) continue;
      this.#forget(key, of);
      void this.#options.senders.finish(of.sender, of.result ?? (of.finished ? SUCCEEDED : DIED));
      return;
    }
    throw new KerutaError('OVERLOADED', `${MAX_RUNS} workers are sending already.`);
  }
}

/** One worker's lines of one task. */
export class WorkerRun {
  readonly task: string;
  readonly workerId: string;
  /** The id of its first run. */
  readonly run: string;
  /** Whether its worker has registered for it. */
  readonly registered: boolean;
  /** What its runs are opened with. */
  readonly labels: Readonly<Record<string, string>>;
  readonly sender: Sender;
  /** Streams that its lines may come over now. */
  streams = 0;
  /** How it came out, once somebody has said so. Lines that come late go into a run that ends alike. */
  result: RunResult | undefined;
  /** How its last run has ended, if one has. */
  ended: RunResult | undefined;
  /** Whether the last stream was closed in order. */
  finished = false;
  /** Without a stream: when it ends, if nobody comes. */
  until = Infinity;
  usedAt = 0;

  constructor(task: string, { workerId, run, registered = false, labels = {}, sender }: WorkerRunParts) {
    this.task = task;
    this.workerId = workerId;
    this.run = run;
    this.registered = registered;
    this.labels = labels;
    this.sender = sender;
  }

  /** A stream begins to send its lines. */
  join(): void {
    this.streams++;
    this.until = Infinity;
    this.finished = false;
  }

  /** A stream is through with it; if it was the last one, the run ends `afterMs` from `now` on unless one comes. */
  leave({ finished, now, afterMs }: { finished: boolean; now: number; afterMs: number }): void {
    this.streams--;
    this.usedAt = now;
    if (this.streams > 0) return;
    this.finished = finished;
    this.until = now + (finished ? LATE_MS : afterMs);
  }
}

export interface WorkerRunsOptions {
  senders: Senders;
  store: Pick<Store, 'runs'>;
  /** ms since 1970 */
  now: () => number;
}

interface WorkerRunParts {
  workerId: string;
  run: string;
  registered?: boolean;
  labels?: Readonly<Record<string, string>>;
  sender: Sender;
}

/** Who sends, and what a run of it is to show. */
export interface Worker {
  /** May be empty: then runs show the name or address of the caller. */
  workerId: string;
  caller: Caller | string;
  /** The id of its first run; else one is made. */
  run?: string;
  registered?: boolean;
  labels?: Readonly<Record<string, string>>;
  pipelineId?: string | undefined;
}

/** What each run of a worker is opened with; only the first one can have the id that is given. */
function runsOf({ run, registered = false, ...worker }: Worker): () => NewRun {
  const by = registered ? SENT_BY.registered : SENT_BY.grpc;
  let first = run;
  return () => {
    const id = first;
    first = undefined;
    return { ...worker, by, ...(id !== undefined && { run: id }) };
  };
}

function statusOf(result: RunResult): string {
  if (result === CANCELLED) return 'cancelled';
  return result === SUCCEEDED ? 'succeeded' : 'failed';
}

function keyOf(task: string, workerId: string): string {
  // Task ids hold no control characters.
  return `${task}\n${workerId}`;
}

/** For how long a worker that is quiet may still come back: known ones hold no connection while they have nothing to
 * say, and give up their streams after 30 minutes. */
export const SESSION_IDLE_MS = 30 * 60 * 1000;
/** A run whose streams were closed in order, or whose end was said, ends after this long without another line. */
const LATE_MS = 2000;
/** What comes later than this after the end is a new beginning. */
const LATE_BY_MS = 10_000;
/** For how long it is known how a worker's run came out. */
const REMEMBERED_MS = 10 * 60 * 1000;
/** Each may have an open run, which has to be kept alive. */
const MAX_RUNS = 10_000;
