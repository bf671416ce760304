/** Finds out that nothing has been said for long, while nothing else keeps a connection busy. */
export class IdleTimer {
  readonly #options: IdleTimerOptions;
  #timer: NodeJS.Timeout | undefined;
  #saidAt: number;

  constructor(options: IdleTimerOptions) {
    this.#options = options;
    this.#saidAt = performance.now();
  }

  start(): void {
    const { timeoutMs } = this.#options;
    if (timeoutMs === undefined) return;
    const left = Math.max(0, this.#saidAt + timeoutMs - performance.now());
    this.#timer = setTimeout(() => this.#look(timeoutMs), Math.min(left, MAX_TIMER_MS));
    this.#timer.unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  said(): void {
    this.#saidAt = performance.now();
  }

  #look(timeoutMs: number): void {
    if (this.#options.busy()) this.said();
    if (performance.now() - this.#saidAt >= timeoutMs) this.#options.onIdle();
    else this.start();
  }
}

export interface IdleTimerOptions {
  /** Undefined: never. */
  timeoutMs: number | undefined;
  /** Whether silence means nothing now. */
  busy: () => boolean;
  onIdle: () => void;
}

/** What a timer takes. */
const MAX_TIMER_MS = 2 ** 31 - 1;
