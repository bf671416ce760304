/**
 * How often those who wait together are woken: a flood of small appends reaches each of them in few pieces, and where
 * there are so many that waking them takes long, they leave the event loop most of its time. Times are ms of any one
 * clock.
 */
export class WakePace {
  readonly #minMs: number;
  #nextAt = -Infinity;

  constructor(minMs = MIN_MS) {
    this.#minMs = minMs;
  }

  /** How long the next wake has to wait. */
  wait(now: number): number {
    return Math.max(0, this.#nextAt - now);
  }

  /** All who were woken from `start` on had been served by `end`. */
  woke(start: number, end: number): void {
    const most = Math.max(this.#minMs, MAX_MS);
    this.#nextAt = start + Math.min(most, Math.max(this.#minMs, REST * (end - start)));
  }
}

const MIN_MS = 5;
/** Nobody sees the difference; a line should take no longer than 50 ms to its viewer, of which this is a part. */
const MAX_MS = 25;
/** Waking takes two fifths of the time at most. */
const REST = 2.5;
