import type { Expired, ExpirePolicy } from './store/store.ts';

/**
 * Has the store forget what is too old or too much, every so often. One sweep at a time: a long one is not overtaken
 * by the next. Without any rule nothing is ever asked.
 *
 * A clock that jumps ahead would make everything too old at once. So nothing is too old for an hour after a jump: time
 * for somebody, or for the machine, to set it right.
 */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #everyMs: number;
  /** Wall clock and steady clock when they last went together, and since when they have not. */
  #together: { now: number; clock: number };
  #jumpedSince: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(options: RetentionOptions) {
    this.#options = options;
    const { maxAgeMs = Infinity } = options.policy;
    this.#together = { now: options.now(), clock: options.clock() };
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
    const { expire, onExpired, onError } = this.#options;
    try {
      const now = this.#options.now();
      await onExpired(await expire(this.#policyAt(now), now));
    } catch (error) {
      onError(error);
    }
  }

  /** The rules; without that of age while the clock is not to be trusted. */
  #policyAt(now: number): ExpirePolicy {
    const { policy, onJump } = this.#options;
    const clock = this.#options.clock();
    const jump = now - this.#together.now - (clock - this.#together.clock);
    const waited = this.#jumpedSince === undefined ? 0 : clock - this.#jumpedSince;
    if (policy.maxAgeMs === undefined || jump < JUMP_MS || waited >= TRUST_AFTER_MS) {
      this.#together = { now, clock };
      this.#jumpedSince = undefined;
      return policy;
    }
    if (this.#jumpedSince === undefined) onJump(jump);
    this.#jumpedSince ??= clock;
    return { ...policy, maxAgeMs: undefined };
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
  /** ms of a clock that is never set. */
  clock: () => number;
  /** The clock has jumped ahead, by so many ms. */
  onJump: (ms: number) => void;
}

/** A machine that slept jumps, too; that a clock was a little late is nothing. */
const JUMP_MS = 3_600_000;
const TRUST_AFTER_MS = 3_600_000;

const MAX_TICK_MS = 60_000;
const MIN_TICK_MS = 5000;
