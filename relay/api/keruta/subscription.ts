import { textFrame } from '../frames.ts';
import { iso } from '../iso.ts';
import type { Outgoing } from '../outgoing.ts';
import type { Lane } from './lanes.ts';
import type { Stream } from './stream.ts';
import type { Subscribe } from './subscribe.ts';

export interface SubscriptionOptions<Batch> {
  /** The members by which its messages say which one it is. */
  label: object;
  stream: Stream<Batch>;
  subscribe: Subscribe;
  /** Where to go on if `subscribe` does not say where: the place of the subscription that this one replaces. */
  place?: number | undefined;
  out: Outgoing;
  lane: Lane;
  now: () => number;
}

/** One stream on a viewer's socket: from a place on, every line that matches, once and in order. */
export class Subscription<Batch> {
  /** Everything below was written, or does not match. */
  place: number | undefined;
  readonly #options: SubscriptionOptions<Batch>;
  readonly #abort = new AbortController();

  constructor(options: SubscriptionOptions<Batch>) {
    this.#options = options;
    this.place = options.place;
  }

  /** Says `subscribed`, then writes lines until `stop`, or the end that it was asked to find. Rejects with what went wrong. */
  async run(): Promise<void> {
    const { signal } = this.#abort;
    const { stream, subscribe } = this.#options;
    const leave = stream.join(this);
    try {
      const { place, extent } = await stream.begin(this.place, signal);
      signal.throwIfAborted();
      this.place = place;
      this.#say('subscribed', extent);
      await this.#write(place, signal);
      if (!subscribe.realtime) this.#say('unsubscribed');
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      leave();
    }
  }

  /** Where it was told to start, if it has not yet. */
  get start(): Subscribe['start'] {
    return this.place === undefined ? this.#options.subscribe.start : undefined;
  }

  /** Of the place where it is, once that is known. */
  get cursor(): string | undefined {
    return this.place === undefined ? undefined : this.#options.stream.cursor(this.place);
  }

  stop(): void {
    this.#abort.abort();
  }

  async #write(from: number, signal: AbortSignal): Promise<void> {
    const { stream, out, lane } = this.#options;
    for await (const batch of stream.follow(from, signal)) {
      const rendering = stream.render(batch);
      const { frames, next } = rendering instanceof Promise ? await rendering : rendering;
      // Other subscriptions write here, too: whoever finds it full again waits for another turn.
      while (out.full && !signal.aborted) await out.ready(signal);
      // Once stopped, another subscription may go on from `place`: nothing more is written.
      signal.throwIfAborted();
      if (!out.open) return;
      lane.write(frames);
      this.place = next;
      stream.took(batch);
      // Nothing is read for a viewer that does not take what it has.
      if (out.full) await out.ready(signal);
    }
  }

  #say(type: 'subscribed' | 'unsubscribed', extent?: object): void {
    const { label, subscribe, out, now } = this.#options;
    const message = { type, ...label, timestamp: iso(now()), cursor: this.cursor, ...extent };
    const json = JSON.stringify(message);
    out.write(textFrame(subscribe.batch ? `[${json}]` : json));
  }
}
