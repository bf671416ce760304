import type { SubscribeMessage, SubscribeOptions } from '../shared/viewer-messages.ts';
import { ClientError, PASSING_CODES } from './errors.ts';
import type { LagEvent, MergedEvent, TaskEvent } from './events.ts';
import type { Message, Share } from './frames.ts';
import type { Place } from './place.ts';

export interface FeedOptions {
  /** The target's member of a `subscribe`. */
  target: Pick<SubscribeMessage, 'taskId' | 'pipelineId' | 'all'>;
  /** What is wanted, but for the place. */
  wanted: SubscribeOptions;
  place: Place;
  signal: AbortSignal | undefined;
}

/**
 * One stream, between the connection that brings it and the reader who takes it. It holds what the reader has not taken
 * yet, and knows the place behind the last of it.
 */
export class Feed {
  /** Under which name it is subscribed to now; undefined: it is not. */
  subscription: string | undefined;
  /** Whether the relay has confirmed that. */
  confirmed = false;
  /** Told when the reader has taken everything and waits for more. */
  onDrained: () => void = () => undefined;
  readonly #options: FeedOptions;
  #queue: FeedEvent[] = [];
  #queuedCharacters = 0;
  /** It was full: that it is subscribed to again is no news. */
  #interrupted = false;
  #outcome: { error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Whether the reader is so far behind that nothing more may come. */
  get full(): boolean {
    return this.#queuedCharacters > MAX_QUEUED_CHARACTERS;
  }

  /** Whether nothing more will come: the relay has said all, or refuses. */
  get over(): boolean {
    return this.#outcome !== undefined;
  }

  /** What to say to get what comes behind the last that came, under this name. */
  subscribe(subscription: string): SubscribeMessage {
    const { target, wanted, place } = this.#options;
    this.subscription = subscription;
    this.confirmed = false;
    return { type: 'subscribe', subscription, ...target, options: { ...wanted, ...place.start, batch: true } };
  }

  /** It is no longer subscribed to, since the reader takes nothing. */
  interrupt(): void {
    this.subscription = undefined;
    this.#interrupted = true;
  }

  /** Takes what came. False: it has to be subscribed to anew, from another place. */
  receive({ messages, characters }: Share): boolean {
    let goesOn = true;
    for (const message of messages) goesOn &&= this.#take(message);
    this.#queuedCharacters += characters;
    this.#wake?.();
    return goesOn;
  }

  /** There is no connection. Of several such notices in a row the last one says it all. */
  lag(event: LagEvent): void {
    if (this.#queue.at(-1)?.type === 'lag') this.#queue.pop();
    else this.#queuedCharacters += NOTICE_CHARACTERS;
    this.#queue.push(event);
    this.#interrupted = false;
    this.#wake?.();
  }

  /** It ends, behind what has come: with an error, or if there is none because all has been said. */
  finish(outcome: { error?: unknown }): void {
    this.#outcome ??= outcome;
    this.#wake?.();
  }

  /** What comes, in groups. Throws what it ended with, or the signal's reason. */
  async *groups(): AsyncGenerator<FeedEvent[], void, undefined> {
    const { signal } = this.#options;
    const onAbort = (): void => this.#wake?.();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        signal?.throwIfAborted();
        if (this.#queue.length > 0) {
          const events = this.#queue;
          this.#queue = [];
          this.#queuedCharacters = 0;
          yield events;
          continue;
        }
        if (this.#outcome !== undefined) {
          if (this.#outcome.error !== undefined) throw this.#outcome.error as Error;
          return;
        }
        this.onDrained();
        // Being drained may have ended it.
        if (!this.over) await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #take(message: Message): boolean {
    const { place } = this.#options;
    switch (message.type) {
      case 'log':
      case 'gap':
        place.pass(message);
        this.#queue.push(message);
        return true;
      case 'end':
        if (place.pass(message)) this.#queue.push(message);
        return true;
      case 'subscribed':
        place.pass(message);
        this.confirmed = true;
        if (!this.#interrupted) this.#queue.push(message);
        this.#interrupted = false;
        return true;
      case 'ping':
        if (message.cursor !== undefined) place.searched(message.cursor);
        return true;
      case 'unsubscribed':
        this.finish({});
        return true;
      case 'error':
        return this.#refused(message);
      default:
        return true;
    }
  }

  #refused({ code, message, hint }: Message & { type: 'error' }): boolean {
    // The connection is about to be closed, so that we come back later.
    if (PASSING_CODES.has(code)) return true;
    const reset = code === 'INVALID_CURSOR' ? this.#options.place.reset() : undefined;
    if (reset === undefined) {
      this.finish({ error: new ClientError(code, message, { hint }) });
      return true;
    }
    this.#queue.push({ type: 'reset', message, ...reset });
    return false;
  }
}

export type FeedEvent = TaskEvent | MergedEvent;

/** Held for a reader that is slower than the network. */
const MAX_QUEUED_CHARACTERS = 2 * 1024 * 1024;
/** What a notice counts for. */
const NOTICE_CHARACTERS = 256;
