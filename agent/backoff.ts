/**
 * Waits between attempts, full jitter: anything between nothing and a ceiling that doubles from `minMs` to `maxMs`
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). A thousand agents that lost one relay
 * come back spread out.
 */
export class Backoff {
  /** Attempts since the last success. */
  attempts = 0;
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;

  constructor(limits: { minMs: number; maxMs: number }, random: () => number = Math.random) {
    this.#minMs = limits.minMs;
    this.#maxMs = limits.maxMs;
    this.#random = random;
  }

  /** ms until the next attempt. */
  next(): number {
    // 2 ** 30 times anything is above every ceiling, and stays a number.
    const ceiling = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.attempts++, 30));
    return Math.floor(this.#random() * ceiling);
  }

  reset(): void {
    this.attempts = 0;
  }
}
