import { KerutaError } from '../../../shared/errors.ts';
import type { UnsubscribedMessage } from '../../../shared/viewer-messages.ts';
import type { Outgoing } from '../outgoing.ts';
import { Lanes } from './lanes.ts';
import type { Stream } from './stream.ts';
import type { Subscribe, Target } from './subscribe.ts';
import { Subscription } from './subscription.ts';

/** Which subscription it is, and what it is of, as its messages say it. */
export type Label = Pick<UnsubscribedMessage, 'subscription' | 'taskId' | 'pipelineId' | 'all'>;

/** The subscriptions of one viewer's socket: any number with names, and without one a task can have one. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #lanes: Lanes;
  readonly #open = new Map<string, Entry>();

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
    this.#lanes = new Lanes(options.out);
  }

  get size(): number {
    return this.#open.size;
  }

  /** Those that are open, and the cursor up to which all was written, once that is known. */
  *places(): Generator<Place> {
    for (const { label, target, subscription } of this.#open.values()) {
      yield { label, target, cursor: subscription.cursor };
    }
  }

  /**
   * Starts one. What has this name, or without a name is of this task, ends; if it was of the same, this one goes on
   * from its place unless told otherwise. Throws a KerutaError if there are too many.
   */
  start({ name, target, subscribe }: Start): void {
    const { out, now, streamOf } = this.#options;
    const key = keyOf(name, target);
    const replaced = this.#open.get(key);
    if (replaced === undefined && this.#open.size >= MAX_SUBSCRIPTIONS) {
      throw new KerutaError('INVALID_INPUT', `One socket may have ${MAX_SUBSCRIPTIONS} subscriptions.`);
    }
    // Nothing is written by a subscription after it was stopped, and its place is what was written.
    replaced?.subscription.stop();
    const old = replaced && isSame(replaced.target, target) ? replaced.subscription : undefined;
    const start = subscribe.start ?? old?.start;
    const asked = { ...subscribe, start };
    const label = labelOf(name, target);
    const subscription = new Subscription({
      label,
      stream: streamOf(target, asked),
      subscribe: asked,
      place: start === undefined ? old?.place : undefined,
      ...{ out, now },
      lane: this.#lanes.lane(name),
    });
    const entry = { label, target, subscription };
    this.#open.set(key, entry);
    void this.#run(key, entry);
  }

  /** Ends the one of this name, or without a name that of the task, and answers which it was. */
  stop(name: string | undefined, target: Target | undefined): Label {
    const key = keyOf(name, target);
    const entry = this.#open.get(key);
    entry?.subscription.stop();
    this.#open.delete(key);
    return entry?.label ?? labelOf(name, name === undefined ? target : undefined);
  }

  stopAll(): void {
    for (const { subscription } of this.#open.values()) subscription.stop();
    this.#open.clear();
  }

  async #run(key: string, entry: Entry): Promise<void> {
    try {
      await entry.subscription.run();
    } catch (error) {
      this.#options.onError(error, entry.label);
    } finally {
      if (this.#open.get(key) === entry) this.#open.delete(key);
    }
  }
}

export interface SubscriptionsOptions {
  /** What there is to follow. */
  streamOf: (target: Target, subscribe: Subscribe) => Stream<unknown>;
  out: Outgoing;
  now: () => number;
  /** One of them has ended with an error. */
  onError: (error: unknown, label: Label) => void;
}

export interface Start {
  name: string | undefined;
  target: Target;
  subscribe: Subscribe;
}

export interface Place {
  label: Label;
  target: Target;
  cursor: string | undefined;
}

interface Entry {
  label: Label;
  target: Target;
  subscription: Subscription<unknown>;
}

/** The members of a message that say which subscription it is about. */
export function labelOf(name: string | undefined, target: Target | undefined): Label {
  return { ...(name !== undefined && { subscription: name }), ...target };
}

/** Names and tasks don't meet. */
function keyOf(name: string | undefined, target: Target | undefined): string {
  return name === undefined ? `of ${JSON.stringify(target)}` : `named ${name}`;
}

function isSame(one: Target, other: Target): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Each costs a place to wait. */
const MAX_SUBSCRIPTIONS = 100;
