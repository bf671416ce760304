import { KerutaError } from '../../../shared/errors.ts';
import type { Reader } from '../../reader.ts';
import type { Outgoing } from '../outgoing.ts';
import type { Subscribe } from './subscribe.ts';
import { Subscription } from './subscription.ts';

/** The subscriptions of one viewer's socket, one a task. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #byTask = new Map<string, Subscription>();

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byTask.size;
  }

  /** Each task and the line up to which all was written, once that is known. */
  *places(): Generator<{ taskId: string; nextLine: number | undefined }> {
    for (const [taskId, { nextLine }] of this.#byTask) yield { taskId, nextLine };
  }

  /** Starts one. One for the same task that is there ends, and unless told otherwise this goes on from its place. */
  start(task: string, subscribe: Subscribe): void {
    const { reader, out, now } = this.#options;
    const old = this.#byTask.get(task);
    if (old === undefined && this.#byTask.size >= MAX_SUBSCRIPTIONS) {
      throw new KerutaError('INVALID_INPUT', `One socket may watch ${MAX_SUBSCRIPTIONS} tasks.`);
    }
    // Nothing is written by a subscription after it was stopped, and its place is what was written.
    old?.stop();
    const subscription = new Subscription({
      task,
      subscribe: { ...subscribe, start: subscribe.start ?? old?.start },
      place: old?.nextLine,
      reader,
      out,
      now,
    });
    this.#byTask.set(task, subscription);
    void this.#run(task, subscription);
  }

  stop(task: string): void {
    this.#byTask.get(task)?.stop();
    this.#byTask.delete(task);
  }

  stopAll(): void {
    for (const subscription of this.#byTask.values()) subscription.stop();
    this.#byTask.clear();
  }

  async #run(task: string, subscription: Subscription): Promise<void> {
    try {
      await subscription.run();
    } catch (error) {
      this.#options.onError(error, task);
    } finally {
      if (this.#byTask.get(task) === subscription) this.#byTask.delete(task);
    }
  }
}

export interface SubscriptionsOptions {
  reader: Reader;
  out: Outgoing;
  now: () => number;
  /** One of them has ended with an error. */
  onError: (error: unknown, task: string) => void;
}

/** Each costs a place to wait. */
const MAX_SUBSCRIPTIONS = 100;
