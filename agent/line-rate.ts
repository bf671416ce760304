import { TokenBucket } from './token-bucket.ts';

/** Lines that are over the rate are left out for so long at least: a gap for each line that fits would be as many. */
const PAUSE_MS = 100;

/** Lets so many lines a second through, a second's worth of them at once, and says of the others that they are left out. */
export class LineRate {
  readonly #bucket: TokenBucket;
  /** Tokens that must be there before lines go through again. */
  readonly #resumeAt: number;
  #leavesOut = false;

  /** `now` in ms, as are the times of the lines. */
  constructor(perSecond: number, now: number) {
    this.#bucket = new TokenBucket(perSecond, now);
    this.#resumeAt = Math.max(1, (perSecond * PAUSE_MS) / 1000);
  }

  /** Whether a line that was read at `time` goes through. */
  admits(time: number): boolean {
    const bucket = this.#bucket;
    bucket.fill(time);
    this.#leavesOut = bucket.tokens < (this.#leavesOut ? this.#resumeAt : 1);
    if (!this.#leavesOut) bucket.tokens--;
    return !this.#leavesOut;
  }
}
