/**
 * So many a period, for each of any number of keys. A key's allowance is one number: when it would be whole again
 * (GCRA, the token bucket without tokens: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm). A key whose
 * allowance is whole is forgotten, so the map holds those that did something lately, and no more than MAX_KEYS.
 */
export class Rate {
  readonly #eachMs: number;
  readonly #burstMs: number;
  readonly #now: () => number;
  /** Monotonic ms; the key that was touched last stands last. */
  readonly #wholeAt = new Map<string, number>();

  /** `allowed` in `periodMs`, all of them at once if they come after a pause of `burstMs` (by default the period). */
  constructor({ allowed, periodMs, burstMs = periodMs, now }: RateOptions) {
    this.#eachMs = periodMs / allowed;
    this.#burstMs = burstMs;
    this.#now = now;
  }

  /** Keys that are kept in mind. */
  get size(): number {
    return this.#wholeAt.size;
  }

  /** After how many ms the key may do something again; 0 if at once. */
  waitMs(key: string): number {
    const owed = (this.#wholeAt.get(key) ?? 0) - this.#now();
    // One must fit: a burst shorter than that would let nothing through.
    const over = owed - Math.max(0, this.#burstMs - this.#eachMs);
    return Math.max(0, Math.ceil(over - ROUNDING_MS));
  }

  /** Counts `count` of them, allowed or not: what is taken beyond the allowance is owed, and waited for. */
  take(key: string, count = 1): void {
    const now = this.#now();
    const wholeAt = Math.max(this.#wholeAt.get(key) ?? 0, now) + count * this.#eachMs;
    this.#wholeAt.delete(key);
    this.#wholeAt.set(key, wholeAt);
    this.#forget(now);
  }

  /** The oldest ones are whole, or nearly so; an attacker with many addresses gains what the first of them had used. */
  #forget(now: number): void {
    for (const [key, at] of this.#wholeAt) {
      if (at > now && this.#wholeAt.size <= MAX_KEYS) return;
      this.#wholeAt.delete(key);
    }
  }
}

export interface RateOptions {
  allowed: number;
  periodMs: number;
  burstMs?: number;
  /** Monotonic ms. */
  now: () => number;
}

/** Sums of fractions are a little off: whoever has waited as told is not to wait for that. */
const ROUNDING_MS = 1e-3;
/** About 10 MB. */
const MAX_KEYS = 100_000;
