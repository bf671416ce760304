import type { AgentConfig } from '../shared/options/agent-options.ts';
import { TokenBucket } from './token-bucket.ts';

/** Records of a run that is paced are no larger, or one of them would be many seconds' worth. */
export function pacedLines(perSecond: number): number {
  return Math.max(MIN_PACED_LINES, perSecond);
}

/** At less than so many lines a second, the rate holds over the lines of a record only: a record a line would cost more. */
const MIN_PACED_LINES = 100;

/** The pacer that the configuration asks for. */
export function pacerOf(config: Pick<AgentConfig, 'rateLimitPerSecond' | 'rateLimitPolicy'>): Pacer | undefined {
  const { rateLimitPerSecond: perSecond, rateLimitPolicy } = config;
  return perSecond === undefined || rateLimitPolicy !== 'delay' ? undefined : new Pacer(perSecond);
}

/** Says when records may be sent, so that no more than so many lines a second leave, and a second's worth of them at once. */
export class Pacer {
  readonly perSecond: number;
  /** Lines that had to wait when it was their turn, and how long all in all, in ms. */
  heldLines = 0;
  heldMs = 0;
  readonly #bucket: TokenBucket;
  readonly #now: () => number;
  /** Since when the next record waits. */
  #heldSince: number | undefined;

  /** `now` is a clock that is never set, in ms. */
  constructor(perSecond: number, now: () => number = () => performance.now()) {
    this.perSecond = perSecond;
    this.#now = now;
    this.#bucket = new TokenBucket(perSecond, now());
  }

  /** How long a record of so many lines has to wait, in ms. 0: it is sent now, and counted. */
  take(lines: number): number {
    const now = this.#now();
    const bucket = this.#bucket;
    bucket.fill(now);
    // What is larger than a second's worth goes when that has been saved, and is paid off behind it.
    const missing = Math.min(lines, bucket.perSecond) - bucket.tokens;
    if (missing > 0) {
      if (this.#heldSince === undefined) this.heldLines += lines;
      this.#heldSince ??= now;
      return Math.ceil((missing * 1000) / bucket.perSecond);
    }
    bucket.tokens -= lines;
    if (this.#heldSince !== undefined) this.heldMs += now - this.#heldSince;
    this.#heldSince = undefined;
    return 0;
  }
}
