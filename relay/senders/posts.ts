import type { LineInput } from '../../shared/columns.ts';
import { KerutaError } from '../../shared/errors.ts';
import type { Caller } from '../caller.ts';
import type { RunRecord, Store } from '../store/store.ts';
import { lineOf } from './line-of.ts';
import type { Sender, Written } from './sender.ts';
import { CANCELLED, DIED, SENT_BY, SUCCEEDED, type RunResult } from './sent-run.ts';
import type { Senders } from './senders.ts';
import type { StatusUpdate } from './task-status.ts';

/**
 * The runs of posted lines: one a task, or as many as senders number themselves. A run ends when somebody says how the
 * task came out, or when nothing has been posted for long.
 */
export class Posts {
  readonly #options: PostsOptions;
  /** By task, or by task and run; the one that was used last stands last. */
  readonly #posted = new Map<string, Posted>();

  constructor(options: PostsOptions) {
    this.#options = options;
  }

  /** Resolves when the lines are durable, all of them together. Rejects with a KerutaError or StoreError. */
  write(task: string, lines: readonly LineInput[], caller: Caller): Promise<Written> {
    return this.#of(task, { caller, by: SENT_BY.post }).sender.write(lines);
  }

  /**
   * As `write`, from `seq` of a run on, which the sender numbers: what is there already is not stored twice. Rejects
   * with a CONFLICT that says which seq is expected.
   */
  async writeAt(task: string, { run, seq, lines, caller }: NumberedLines): Promise<Written> {
    await this.#checkOurs(task, run);
    const { sender } = this.#of(task, { caller, by: SENT_BY.numbered, run });
    const outcome = await sender.writeAt(seq, lines);
    switch (outcome.outcome) {
      case 'stored':
        // Of lines that overlap with what is there, the first may stand further ahead.
        return { firstLine: outcome.count === lines.length ? outcome.firstLine : await this.#lineOf(task, run, seq) };
      case 'duplicate':
        return { firstLine: await this.#lineOf(task, run, seq), again: true };
      case 'expected':
        throw new KerutaError('CONFLICT', `The run expects seq ${outcome.nextSeq}, and ${seq} came.`);
      case 'ended':
        // All of it is there, and somebody has ended the run since.
        if (seq + lines.length <= outcome.nextSeq)
          return { firstLine: await this.#lineOf(task, run, seq), again: true };
        throw new KerutaError('CONFLICT', `The run has ended with ${outcome.nextSeq} lines.`);
      case 'fenced':
        throw new KerutaError('FENCED', 'Another sender has taken this run over.');
    }
  }

  /** Makes sure that the task has a run of posted lines, so that it is shown as running. */
  async touch(task: string, caller: Caller): Promise<void> {
    await this.#of(task, { caller, by: SENT_BY.post }).sender.start();
  }

  /** Notes what somebody says of the task. Resolves when it is durable. */
  async status(task: string, { effect, note }: StatusUpdate, caller: Caller): Promise<void> {
    await this.#options.senders.annotate(task, note);
    if (effect === 'running') await this.#running(task, caller);
    else if (effect !== 'pending') await this.#ended(task, effect, caller);
  }

  /** Goes on with a run that an earlier process has left. */
  adopt(sender: Sender, { task, run, agentVersion }: RunRecord): void {
    const key = agentVersion === SENT_BY.numbered ? keyOf(task, run) : task;
    const other = this.#posted.get(key);
    // There should be none. Its run would stay open.
    if (other !== undefined) void this.#forget(key, other, SUCCEEDED);
    this.#posted.set(key, { sender, stated: agentVersion === SENT_BY.status, usedAt: this.#options.now() });
  }

  /** Ends what has come to its end. */
  async sweep(): Promise<void> {
    const now = this.#options.now();
    const { idleMs, senders } = this.#options;
    const work: Promise<void>[] = [];
    for (const [key, posted] of this.#posted) {
      const quietMs = now - posted.usedAt;
      if (posted.result !== undefined) {
        if (posted.sender.open && quietMs >= LATE_MS) work.push(senders.end(posted.sender, posted.result));
        else if (quietMs >= REMEMBERED_MS) work.push(this.#forget(key, posted, posted.result));
      } else if (quietMs >= idleMs) work.push(this.#forget(key, posted, idleResult(posted)));
    }
    await Promise.all(work);
  }

  /** Ends the runs whose end was said. */
  async finish(): Promise<void> {
    const said = [...this.#posted.values()].filter(({ result }) => result !== undefined);
    await Promise.all(said.map((posted) => this.#options.senders.end(posted.sender, idleResult(posted))));
  }

  async #running(task: string, caller: Caller): Promise<void> {
    const posted = this.#of(task, { caller, by: SENT_BY.status });
    posted.stated = true;
    delete posted.result;
    await posted.sender.start();
  }

  async #ended(task: string, result: RunResult, caller: Caller): Promise<void> {
    const of = [...this.#posted.values()].filter(({ sender }) => sender.task === task);
    await Promise.all(of.map(({ sender }) => sender.end(result)));
    const posted = this.#of(task, { caller, by: SENT_BY.status });
    posted.result = result;
    posted.stated = false;
    const head = await this.#options.store.head(task);
    // Runs of agents say themselves how they end.
    if (head === undefined || (head.openRuns === 0 && head.status !== statusOf(result))) {
      await posted.sender.start();
      await posted.sender.end(result);
    }
  }

  #of(task: string, { caller, by, run }: { caller: Caller; by: string; run?: string }): Posted {
    const key = run === undefined ? task : keyOf(task, run);
    let posted = this.#posted.get(key);
    if (posted === undefined) {
      const sender = this.#options.senders.sender(task, { caller, by, ...(run !== undefined && { run }) });
      posted = { sender, stated: false, usedAt: 0 };
      this.#makeRoom();
    }
    posted.usedAt = this.#options.now();
    this.#posted.delete(key);
    this.#posted.set(key, posted);
    return posted;
  }

  /** The longest unused one makes room for another, as if it had been idle for long. */
  #makeRoom(): void {
    const [oldest] = this.#posted;
    if (this.#posted.size >= MAX_POSTED) void this.#forget(oldest[0], oldest[1], idleResult(oldest[1]));
  }

  async #forget(key: string, posted: Posted, result: RunResult): Promise<void> {
    this.#posted.delete(key);
    await this.#options.senders.finish(posted.sender, result);
  }

  /** An agent's run is not to be written by anybody else, who would cut it off. */
  async #checkOurs(task: string, run: string): Promise<void> {
    if (this.#posted.has(keyOf(task, run))) return;
    const record = (await this.#options.store.runs(task)).find((one) => one.run === run);
    if (record !== undefined && record.agentVersion !== SENT_BY.numbered) {
      throw new KerutaError('CONFLICT', `The run ${run} is not one of numbered posts; choose another run id.`);
    }
  }

  #lineOf(task: string, run: string, seq: number): Promise<number> {
    return lineOf(this.#options.store, { task, run, seq });
  }
}

export interface PostsOptions {
  senders: Senders;
  store: Store;
  idleMs: number;
  /** ms since 1970 */
  now: () => number;
}

export interface NumberedLines {
  run: string;
  seq: number;
  lines: readonly LineInput[];
  caller: Caller;
}

interface Posted {
  sender: Sender;
  /** Somebody said that the task runs, so somebody has to say how it ends. */
  stated: boolean;
  /** How the task came out. Lines that come late go into a run that ends alike. */
  result?: RunResult;
  usedAt: number;
}

function idleResult({ stated, result }: Posted): RunResult {
  return result ?? (stated ? DIED : SUCCEEDED);
}

function statusOf(result: RunResult): string {
  if (result === CANCELLED) return 'cancelled';
  return result === SUCCEEDED ? 'succeeded' : 'failed';
}

function keyOf(task: string, run: string): string {
  // Task ids hold no control characters.
  return `${task}\n${run}`;
}

/** A run of late lines ends after this long without another one. */
const LATE_MS = 2000;
/** What comes later than this after a task's end is a new beginning. */
const REMEMBERED_MS = 10_000;
/** Each may have an open run, which has to be kept alive. */
const MAX_POSTED = 10_000;
