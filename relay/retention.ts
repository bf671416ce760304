import type { Expired, ExpirePolicy } from './store/store.ts';

/**
 * Has the store forget what is too old or too much, every so often. One sweep at a time: a long one is not overtaken
 * by the next. Without any rule nothing is ever asked.
 */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(options: RetentionOptions) {
    this.#options = options;
    const { maxAgeMs = Infinity } = options.policy;
    this.#everyMs = Math.max(MIN_TICK_MS, Math.min(MAX_TICK_MS, maxAgeMs / 10));
  }

  start(): void {
    if (Object.values(this.#options.policy).every((rule) => rule === undefined)) return;
    this.#timer = setInterval(() => void this.tick(), this.#everyMs);
    this.#timer.unref();
    void this.tick();
  }

  /** Resolves when no call into the store is under way any more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  /** One sweep; public for tests, which own the clock. */
  tick(): Promise<void> {
    this.#running ??= this.#expire().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #expire(): Promise<void> {
    const { expire, policy, now, onExpired, onError } = this.#options;
    try {
      await onExpired(await expire(policy, now()));
    } catch (error) {
      onError(error);
    }
  }
}

export interface RetentionOptions {
  policy: ExpirePolicy;
  expire: (policy: ExpirePolicy, now: number) => Promise<Expired>;
  /** After each sweep, also one that found nothing. */
  onExpired: (expired: Expired) => void | Promise<void>;
  onError: (error: unknown) => void;
  /** ms since 1970, as the store is told with appends. */
  now: () => number;
}

const MAX_TICK_MS = 60_000;
const MIN_TICK_MS = 5000;
