/** Waits for the rest of a log to be delivered, no longer than is reasonable. */
export class Drain {
  /** Resolves when it is over, for whatever reason. */
  readonly over: Promise<void>;
  readonly #state: () => DrainState;
  readonly #patience: DrainPatience;
  #resolve: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  #progress: number | undefined;
  #isOver = false;

  constructor(state: () => DrainState, patience: DrainPatience, signal?: AbortSignal) {
    this.#state = state;
    this.#patience = patience;
    this.over = new Promise((resolve) => {
      this.#resolve = () => {
        this.#isOver = true;
        clearTimeout(this.#timer);
        signal?.removeEventListener('abort', this.#resolve);
        resolve();
      };
    });
    signal?.addEventListener('abort', this.#resolve);
    if (signal?.aborted) this.#resolve();
    else this.#wait('totalMs' in patience ? patience.totalMs : patience.unreachedMs);
    this.update();
  }

  /** To be called when the state may have changed. */
  update(): void {
    if (this.#isOver) return;
    const { over, reached, progress } = this.#state();
    if (over) this.#resolve();
    else if ('totalMs' in this.#patience || !reached || progress === this.#progress) return;
    else {
      this.#progress = progress;
      this.#wait(this.#patience.idleMs);
    }
  }

  /** This timer keeps the process alive: it is what the process waits for. */
  #wait(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#resolve, ms);
  }
}

export interface DrainState {
  over: boolean;
  /** The relay has been reached at least once. */
  reached: boolean;
  /** Grows with what is delivered. */
  progress: number;
}

/** ms: all in all; or without progress, and before the relay is reached. */
export type DrainPatience = { totalMs: number } | { idleMs: number; unreachedMs: number };
