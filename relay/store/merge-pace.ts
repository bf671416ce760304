/**
 * When work in the background has to wait, so that appends don't: as long as commits are quick it may go on at once; while
 * they are slow, for want of processor or disk, it takes a fifth of the time. Times are ms of any one clock.
 */
export class MergePace {
  #slowAt = -Infinity;
  #until = -Infinity;

  /** A group of appends took so long. */
  committed(ms: number, now: number): void {
    this.#slowAt = ms > SLOW_MS ? now : -Infinity;
  }

  /** A step in the background took so long. */
  stepped(ms: number, now: number): void {
    this.#until = now - this.#slowAt < QUIET_MS ? now + SHARE * ms : -Infinity;
  }

  /** How long the next step has to wait still. */
  wait(now: number): number {
    return Math.max(0, this.#until - now);
  }
}

/** An ack should take no longer than 50 ms, of which the commit is a part. */
const SLOW_MS = 12;
/** Without a commit for so long, nobody is kept waiting. */
const QUIET_MS = 250;
const SHARE = 4;
