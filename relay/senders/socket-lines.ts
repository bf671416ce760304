import { setTimeout as delay } from 'node:timers/promises';
import type { LineInput } from '../../shared/columns.ts';
import { KerutaError } from '../../shared/errors.ts';
import type { Caller } from '../caller.ts';
import type { Window } from '../window.ts';
import type { Sender } from './sender.ts';
import { SENT_BY, SUCCEEDED, type RunResult } from './sent-run.ts';
import { workerOf, type Senders } from './senders.ts';
import type { StatusUpdate } from './task-status.ts';

/**
 * What one socket sends that speaks JSON: lines and statuses of one or more tasks, each of which has a run for as long
 * as the socket is open. A run ends as its sender says, or well if the socket was closed in order; if it broke off, the
 * sender may come back (Orphans). A line that comes behind the last status is stored like any other.
 */
export class SocketLines {
  readonly #options: SocketLinesOptions;
  readonly #window: Window;
  readonly #tasks = new Map<string, TaskLines>();
  /** Tasks of which something was stored that the sender has not been told. */
  readonly #unacknowledged = new Set<TaskLines>();
  #room: PromiseWithResolvers<void> | undefined;
  #acknowledging: NodeJS.Immediate | undefined;
  #failed = false;

  constructor(options: SocketLinesOptions) {
    this.#options = options;
    options.senders.sockets.add(this);
    this.#window = options.senders.window({
      pause: () => (this.#room ??= Promise.withResolvers()),
      resume: () => {
        this.#room?.resolve();
        this.#room = undefined;
      },
    });
  }

  /** Whether a run of it is open. */
  get busy(): boolean {
    return [...this.#tasks.values()].some(({ sender }) => sender.open);
  }

  /**
   * Takes a line over; resolves when another one may come. The caller has permission. Rejects with a KerutaError if it
   * can't be taken; if it can't be stored later, `onFailed` is told, and nothing behind it is stored either.
   */
  async line(task: string, line: LineInput, caller: Caller): Promise<void> {
    const { senders } = this.#options;
    if (this.#failed) return;
    senders.admit();
    const of = this.#of(task, caller);
    const bytes = line.text.length + (line.metadata?.length ?? 0);
    const holdMs = senders.limits.lines({ address: caller.address, task, principal: caller.principal }, 1, bytes);
    of.lastAt = senders.now();
    this.#window.take(bytes);
    void this.#write(of, { line, bytes });
    if (holdMs > 0) await this.#hold(holdMs);
    await this.#room?.promise;
  }

  /** Notes a status; resolves when it is durable. Rejects with a KerutaError or StoreError. */
  async status(task: string, { effect, note }: StatusUpdate, caller: Caller): Promise<void> {
    const { senders } = this.#options;
    senders.admit();
    // It makes the task known, if nothing else.
    senders.limits.task(caller.principal, task);
    await senders.annotate(task, note);
    if (effect === 'pending') return;
    const of = this.#of(task, caller);
    of.lastAt = senders.now();
    if (effect === 'running') {
      delete of.result;
      await of.sender.start();
    } else {
      of.result = effect;
      // A run without lines, if need be: the task shows how it came out.
      await of.sender.start();
    }
  }

  /** Ends runs whose sender has said how they came out, and has sent nothing since. */
  sweep(now: number): void {
    for (const { sender, result, lastAt } of this.#tasks.values()) {
      if (result !== undefined && sender.open && now - lastAt >= LATE_MS)
        void this.#options.senders.end(sender, result);
    }
  }

  /** Tells the sender, if this is a task of its. */
  cancel(task: string, reason: string): void {
    if (this.#tasks.has(task)) this.#options.onCancel?.({ task, reason });
  }

  /** The socket has closed, `inOrder` if its other side has said so. */
  close(inOrder: boolean): void {
    const { senders } = this.#options;
    senders.sockets.delete(this);
    this.#window.close();
    this.#room?.resolve();
    clearImmediate(this.#acknowledging);
    for (const { sender, result, workerId } of this.#tasks.values()) {
      const said = result ?? (inOrder ? SUCCEEDED : undefined);
      if (said === undefined) senders.orphans.add(sender, { workerId });
      else void senders.finish(sender, said);
    }
    this.#tasks.clear();
  }

  #of(task: string, caller: Caller): TaskLines {
    const known = this.#tasks.get(task);
    if (known !== undefined) return known;
    if (this.#tasks.size >= MAX_TASKS && !this.#forgetOne()) {
      throw new KerutaError('INVALID_INPUT', `One socket may send the logs of ${MAX_TASKS} tasks at once.`);
    }
    const { senders } = this.#options;
    senders.limits.task(caller.principal, task);
    const workerId = workerOf(caller);
    const sender =
      senders.orphans.take(task, workerId) ?? senders.sender(task, { caller, by: SENT_BY.socket, chained: true });
    const of: TaskLines = { task, sender, workerId, count: 0, lastLine: 0, lastAt: senders.now() };
    this.#tasks.set(task, of);
    return of;
  }

  /** A task that is over makes room for another one. False if there is none: all are being sent. */
  #forgetOne(): boolean {
    const over = [...this.#tasks.values()].find(({ result, sender }) => result !== undefined && !sender.open);
    if (over?.result === undefined) return false;
    this.#tasks.delete(over.task);
    void this.#options.senders.finish(over.sender, over.result);
    return true;
  }

  async #write(of: TaskLines, { line, bytes }: { line: LineInput; bytes: number }): Promise<void> {
    try {
      const { firstLine } = await of.sender.write([line]);
      of.count++;
      of.lastLine = firstLine;
      this.#unacknowledged.add(of);
      this.#acknowledging ??= setImmediate(() => this.#acknowledge());
    } catch (error) {
      // One failure is all that the sender needs to know: it comes back with whatever was not acknowledged.
      if (this.#failed) return;
      this.#failed = true;
      this.#options.onFailed(this.#options.senders.failed(error), error);
    } finally {
      this.#window.release(bytes);
    }
  }

  #acknowledge(): void {
    this.#acknowledging = undefined;
    for (const { task, count, lastLine } of this.#unacknowledged) this.#options.onStored({ task, count, lastLine });
    this.#unacknowledged.clear();
  }

  /** Takes nothing more for so long, unless the socket has closed: what came before that is taken at once. */
  async #hold(ms: number): Promise<void> {
    const { gone } = this.#options;
    try {
      await delay(ms, undefined, { signal: gone });
    } catch (error) {
      if (!gone.aborted) throw error;
    }
  }
}

export interface SocketLinesOptions {
  senders: Senders;
  /** Aborted as soon as the socket has closed. */
  gone: AbortSignal;
  /** More lines are durable: `count` of all that the socket sent of the task, the last of which has a number. */
  onStored: (stored: { task: string; count: number; lastLine: number }) => void;
  /** Somebody has cancelled a task whose logs the socket sends. */
  onCancel?: (cancelled: { task: string; reason: string }) => void;
  /** A line could not be stored. Said once; the socket is to be closed. */
  onFailed: (error: KerutaError, cause: unknown) => void;
}

interface TaskLines {
  task: string;
  sender: Sender;
  workerId: string;
  /** Lines that are durable. */
  count: number;
  lastLine: number;
  result?: RunResult;
  lastAt: number;
}

/** A run ends so long after its last status, if no line comes. */
const LATE_MS = 1000;
const MAX_TASKS = 100;
