import type { Backoff } from './backoff.ts';
import type { Closing } from './uplink-connection.ts';

/**
 * Which of several relays is tried next, and when: each in turn and at once, then a pause. The one that has taken
 * something comes first, and is tried again first when its connection breaks: relays may have stores of their own, and
 * a log is best kept in one. A relay that asks to be left alone for a while is, as long as there is another one.
 */
export class Round {
  readonly #options: RoundOptions;
  /** ms on the clock, by relay. */
  readonly #notBefore: number[];
  #preferred = 0;
  /** Relays that this round has tried or passed over. */
  #tried = 0;
  #worthwhile = false;
  readonly #problems = new Map<number, string>();

  constructor(options: RoundOptions) {
    this.#options = options;
    this.#notBefore = new Array<number>(options.relays).fill(0);
  }

  /** The relay to try, by its number. */
  get relay(): number {
    return (this.#preferred + this.#tried) % this.#options.relays;
  }

  /** What is wrong with the relays that this round has tried, or the one before, in a sentence. */
  get problem(): string | undefined {
    return this.#problems.size === 0 ? undefined : [...new Set(this.#problems.values())].join('; ');
  }

  /** `relay` has taken something, or there is nothing to take. */
  worked(): void {
    this.#preferred = this.relay;
    this.#begin();
    this.#problems.clear();
    this.#notBefore.fill(0);
    this.#options.backoff.reset();
  }

  /**
   * `relay` has failed; `worked`: after it had worked. Answers after how many ms the one that is `relay` then is to be
   * tried; undefined: none would do better, ever.
   */
  failed(closing: Closing, { worked }: { worked: boolean }): number | undefined {
    const { relay } = this;
    const { retry, retryAfterMs = 0, everywhere = false, problem } = closing;
    const { clock, relays, backoff, maxAttempts = Infinity } = this.#options;
    this.#problems.delete(relay);
    this.#problems.set(relay, problem);
    this.#notBefore[relay] = clock() + Math.min(retryAfterMs, MAX_WAIT_MS);
    if (!retry && everywhere) return undefined;
    if (retry && worked && maxAttempts > 0) return this.#wait();
    this.#worthwhile ||= retry;
    this.#tried++;
    this.#passOver();
    if (this.#tried < relays) return 0;
    if (!this.#worthwhile || backoff.attempts >= maxAttempts) return undefined;
    this.#begin();
    this.#passOver();
    // All of them: then the one that is to be had first.
    if (this.#tried === relays) {
      const first = this.#notBefore.indexOf(Math.min(...this.#notBefore));
      this.#tried = (first - this.#preferred + relays) % relays;
    }
    return this.#wait();
  }

  /** After how many ms the same relay may be tried again, which is not to blame. */
  again(): number {
    return this.#options.backoff.next();
  }

  #begin(): void {
    this.#tried = 0;
    this.#worthwhile = false;
  }

  /** Relays that asked for time. They will do later. */
  #passOver(): void {
    while (this.#tried < this.#options.relays && this.#leftMs() > 0) {
      this.#tried++;
      this.#worthwhile = true;
    }
  }

  /** Until `relay` may be tried, as it said itself. */
  #leftMs(): number {
    return Math.max(0, Math.ceil(this.#notBefore[this.relay] - this.#options.clock()));
  }

  /** What the relay said counts instead of the backoff. */
  #wait(): number {
    const backoffMs = this.#options.backoff.next();
    return this.#leftMs() || backoffMs;
  }
}

export interface RoundOptions {
  /** How many there are. */
  relays: number;
  backoff: Backoff;
  /** Rounds in a row that may fail. */
  maxAttempts?: number;
  /** monotonic ms */
  clock: () => number;
}

/** No relay is left alone for longer, whatever it says. */
const MAX_WAIT_MS = 5 * 60_000;
