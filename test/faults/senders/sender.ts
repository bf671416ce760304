import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../../random.ts';
import type { Entrance, Sent, StormSender } from '../contract.ts';
import { textOf, type Author } from '../text.ts';

export interface SenderOptions {
  entrance: Entrance;
  name: string;
  task: string;
  seed: number;
  random: Random;
}

/**
 * Thinks of a few lines every moment and sends them, until each is acknowledged: subclasses say how. Who falls behind
 * thinks of no more for a while.
 */
export abstract class Sender implements StormSender {
  readonly name: string;
  readonly task: string;
  readonly sent: Sent;
  protected readonly entrance: Entrance;
  protected readonly random: Random;
  /** Of all that are acknowledged, the first ones, without a hole. */
  #acknowledged = 0;
  #finishing = false;
  #failure: Error | undefined;
  #changed = Promise.withResolvers<undefined>();
  readonly #author: Author;
  readonly #closing = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> | undefined;

  constructor({ entrance, name, task, seed, random }: SenderOptions) {
    this.entrance = entrance;
    this.random = random;
    this.name = name;
    this.task = task;
    this.sent = { task, seed, count: 0, doubts: [], retried: [] };
    this.#author = { task, attempt: 0, shape: 'sent', seed };
    this.#timer = setInterval(() => this.#think(), THINK_EVERY_MS);
  }

  start(): this {
    this.#running = this.#run();
    return this;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  async finish(signal: AbortSignal): Promise<void> {
    this.#finishing = true;
    clearInterval(this.#timer);
    this.#news();
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    signal.throwIfAborted();
    try {
      await Promise.race([this.#running, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    await this.#running;
  }

  /**
   * Sends what there is, over one connection or several requests, until all is acknowledged and no more will come, or
   * something breaks. Rejects with a Hopeless if sending again is in vain; ends at once when `signal` aborts.
   */
  protected abstract session(signal: AbortSignal): Promise<void>;

  /** All is acknowledged, and no more will come. */
  protected get done(): boolean {
    return this.#finishing && this.#acknowledged === this.sent.count;
  }

  protected text(index: number): string {
    return textOf(this.#author, 'stdout', index);
  }

  /** Lines [0, count) are acknowledged. */
  protected acknowledge(count: number): void {
    if (count > this.sent.count)
      throw new Hopeless(`${count} lines were acknowledged, and ${this.sent.count} were sent`);
    this.#acknowledged = Math.max(this.#acknowledged, count);
    this.#news();
  }

  /** Lines [from, to) may be stored, or not. */
  protected doubt(from: number, to: number): void {
    if (from < to) this.sent.doubts.push({ from, to });
  }

  /** Resolves when there is more to send, something was acknowledged, or no more will come. */
  protected async news(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<undefined>();
    const onAbort = (): void => aborted.resolve(undefined);
    signal.addEventListener('abort', onAbort, { once: true });
    await Promise.race([this.#changed.promise, aborted.promise]);
    signal.removeEventListener('abort', onAbort);
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted && !this.done) {
      try {
        await this.session(signal);
      } catch (error) {
        if (error instanceof Hopeless) {
          this.#failure = new Error(`the sender ${this.name}: ${error.message}`);
          return;
        }
      }
      await delay(50 + this.random.below(250), undefined, { signal }).catch(() => undefined);
    }
  }

  #think(): void {
    if (this.sent.count - this.#acknowledged > MOST_UNACKNOWLEDGED) return;
    this.sent.count += 1 + this.random.below(5);
    this.#news();
  }

  #news(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve(undefined);
  }
}

/** Sending it again would be in vain, says the relay. In a storm it has no reason to. */
export class Hopeless extends Error {}

const THINK_EVERY_MS = 50;
const MOST_UNACKNOWLEDGED = 300;
