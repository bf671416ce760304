/** So many tokens come in a second; as many as come in one second can be saved. It begins full. */
export class TokenBucket {
  readonly perSecond: number;
  tokens: number;
  #filledAt: number;

  /** `now` in ms, by any clock. */
  constructor(perSecond: number, now: number) {
    this.perSecond = this.tokens = perSecond;
    this.#filledAt = now;
  }

  /** Brings what has come since the last call. A clock that goes back brings nothing. */
  fill(now: number): void {
    const passed = Math.max(0, now - this.#filledAt);
    this.#filledAt = now;
    this.tokens = Math.min(this.perSecond, this.tokens + (passed * this.perSecond) / 1000);
  }
}
