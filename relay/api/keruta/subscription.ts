import { decodeCursor } from '../../../shared/cursor.ts';
import { KerutaError } from '../../../shared/errors.ts';
import type { SubscribedMessage, UnsubscribedMessage } from '../../../shared/viewer-messages.ts';
import type { Reader } from '../../reader.ts';
import { textFrame } from '../frames.ts';
import type { Outgoing } from '../outgoing.ts';
import { renderBatch, type Style } from './render.ts';
import { iso } from './shape.ts';
import type { Subscribe } from './subscribe.ts';

export interface SubscriptionOptions {
  task: string;
  subscribe: Subscribe;
  /** The line to go on from if `subscribe` does not say where: that of the subscription that this one replaces. */
  place?: number;
  reader: Reader;
  out: Outgoing;
  now: () => number;
}

/** One task on one viewer's socket: from a line on, every line that matches, once and in order. */
export class Subscription {
  /** Everything below was written, or does not match. */
  nextLine: number | undefined;
  readonly #options: SubscriptionOptions;
  readonly #abort = new AbortController();
  #style: Style | undefined;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    this.nextLine = options.place;
  }

  /** Says `subscribed`, then writes lines until `stop`, or the end that it was asked to find. Rejects with what went wrong. */
  async run(): Promise<void> {
    const { signal } = this.#abort;
    const leave = this.#options.reader.followed.join(this.#options.task, this);
    try {
      const from = await this.#start(signal);
      signal.throwIfAborted();
      await this.#write(from, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      leave();
    }
  }

  /** Where it was told to start, if it has not yet. */
  get start(): Subscribe['start'] {
    return this.nextLine === undefined ? this.#options.subscribe.start : undefined;
  }

  stop(): void {
    this.#abort.abort();
  }

  async #start(signal: AbortSignal): Promise<number> {
    const { task, reader, subscribe, now } = this.#options;
    const head = await reader.head(task);
    if (head === undefined && !subscribe.realtime) {
      throw new KerutaError('TASK_NOT_FOUND', `There is no task ${JSON.stringify(task)}.`);
    }
    const nextLine = head?.nextLine ?? 1;
    const from = await this.#firstLine(nextLine, signal);
    this.nextLine = from;
    const subscribed: SubscribedMessage = {
      type: 'subscribed',
      taskId: task,
      timestamp: iso(now()),
      cursor: reader.cursors()(from),
      firstLine: (head?.trimmedLine ?? 0) + 1,
      lastLine: nextLine - 1,
    };
    this.#say(subscribed);
    return from;
  }

  #firstLine(nextLine: number, signal: AbortSignal): Promise<number> | number {
    const { task, reader, subscribe, place } = this.#options;
    const { start, filter } = subscribe;
    if (start === undefined) return place ?? nextLine;
    if ('from' in start) return start.from === 'now' ? nextLine : reader.place(task, start.from);
    if ('tail' in start) return reader.placeBefore(task, { before: nextLine, count: start.tail, filter, signal });
    // A number would be taken for a line; behind a cursor goes on what that cursor's client has not seen yet.
    if (decodeCursor(start.after) === undefined) {
      throw new KerutaError('INVALID_CURSOR', `after is ${JSON.stringify(start.after)}, which is no cursor.`);
    }
    return reader.place(task, start.after).then((line) => line + 1);
  }

  async #write(from: number, signal: AbortSignal): Promise<void> {
    const { task, reader, out, subscribe, now } = this.#options;
    const { filter, batch, expectRuns, realtime } = subscribe;
    const following = reader.follow(task, { from, filter, expectRuns, untilHead: !realtime, signal });
    for await (const read of following) {
      // Once stopped, another subscription may go on from `nextLine`: nothing more is written.
      signal.throwIfAborted();
      const epoch = reader.epoch();
      // Epochs change once in a store's life, if at all.
      if (this.#style?.epoch !== epoch)
        this.#style = { task, batch, epoch, cursors: reader.cursors(), filterKey: filter.key };
      const frames = renderBatch(read, this.#style);
      if (!out.open) return;
      out.write(...frames);
      this.nextLine = read.nextLine;
      reader.followed.took(read);
      if (out.full) await out.ready();
    }
    if (!realtime) {
      const unsubscribed: UnsubscribedMessage = {
        type: 'unsubscribed',
        taskId: task,
        timestamp: iso(now()),
        cursor: reader.cursors()(this.nextLine ?? from),
      };
      this.#say(unsubscribed);
    }
  }

  #say(message: object): void {
    const json = JSON.stringify(message);
    this.#options.out.write(textFrame(this.#options.subscribe.batch ? `[${json}]` : json));
  }
}
