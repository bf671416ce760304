/**
 * Marks runs `lost` whose agents have been silent for too long. They come back with their next hello.
 *
 * Nobody could be heard while the relay was down or stood still (a suspended machine, a stopped process), so silence
 * counts only from the moment since which the relay has been listening without a break.
 */
export class LostWatch {
  readonly #options: LostOptions;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined;
  #listeningSince: number;
  #lastTick: number;
  #running: Promise<void> | undefined;

  constructor(options: LostOptions) {
    this.#options = options;
    this.#everyMs = Math.min(MAX_TICK_MS, Math.max(MIN_TICK_MS, options.lostAfterMs / 4));
    this.#listeningSince = this.#lastTick = options.now();
  }

  start(): void {
    this.#timer = setInterval(() => void this.tick(), this.#everyMs);
    this.#timer.unref();
  }

  /** Resolves when no call into the store is under way any more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  /** One look; public for tests, which own the clock. */
  tick(): Promise<void> {
    const now = this.#options.now();
    const passed = now - this.#lastTick;
    this.#lastTick = now;
    // A clock set back is a break as well: nothing can be said about times before it.
    if (passed < 0 || passed > 2 * this.#everyMs + BREAK_MS) this.#listeningSince = now;
    if (now - this.#listeningSince < this.#options.lostAfterMs) return Promise.resolve();
    this.#running ??= this.#mark(now).finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #mark(now: number): Promise<void> {
    try {
      const lost = await this.#options.markLost(now - this.#options.lostAfterMs, now);
      this.#options.onWritten?.();
      for (const run of lost) this.#options.onLost(run);
    } catch (error) {
      this.#options.onError(error);
    }
  }
}

export interface LostOptions {
  lostAfterMs: number;
  markLost: (before: number, now: number) => Promise<{ task: string; run: string }[]>;
  onLost: (run: { task: string; run: string }) => void;
  /** The store has done what it was asked to. */
  onWritten?: () => void;
  onError: (error: unknown) => void;
  /** ms since 1970, as the store's last-seen times. */
  now: () => number;
}

const MAX_TICK_MS = 5000;
const MIN_TICK_MS = 50;
/** A tick later than this, beyond its own interval, means that the process stood still. */
const BREAK_MS = 2000;
