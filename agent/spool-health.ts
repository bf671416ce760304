/**
 * Whether the spool works: `unopened` (there is none yet), `opening`, `ok`, `failed` (it is tried again now and then) or `gone` (what it holds can't be
 * had again). A disk that hangs is `stalled`, and treated as one that fails until it answers. The first trouble is said
 * to the user, the rest is not.
 */
export class SpoolHealth {
  state: 'unopened' | 'opening' | 'ok' | 'failed' | 'gone' = 'unopened';
  stalled = false;
  /** Why it does not work, in a sentence, while it doesn't. */
  problem: string | undefined;
  readonly #options: SpoolHealthOptions;
  #warned = false;
  #failures = 0;
  #readFailures = 0;
  #ended = false;
  #stallTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #readTimer: NodeJS.Timeout | undefined;

  constructor(options: SpoolHealthOptions) {
    this.#options = options;
  }

  /** It has what it was given, or will have it; nothing speaks against it. */
  get trusted(): boolean {
    return (this.state === 'unopened' || this.state === 'opening' || this.state === 'ok') && !this.stalled;
  }

  /** Records are to wait for it. */
  get awaited(): boolean {
    return this.trusted && this.state !== 'unopened';
  }

  /** It is being opened for the first time. */
  opens(): void {
    this.state = 'opening';
    this.begins();
  }

  /** Something is asked of the disk. */
  begins(): void {
    clearTimeout(this.#stallTimer);
    this.#stallTimer = setTimeout(() => {
      this.stalled = true;
      this.#trouble(`has not been written for ${STALLED_AFTER_MS / 1000} s`);
      this.#options.onChange();
    }, STALLED_AFTER_MS).unref();
  }

  /** It has answered. */
  answered(): void {
    clearTimeout(this.#stallTimer);
    this.stalled = false;
  }

  opened(): void {
    this.answered();
    this.state = 'ok';
  }

  /** A write has survived. */
  wrote(): void {
    this.answered();
    this.#failures = 0;
    this.problem = undefined;
  }

  failed(error: unknown): void {
    this.answered();
    if (this.#ended || this.state === 'gone') return;
    this.state = 'failed';
    this.#trouble(`can't be written (${(error as Error).message})`);
    const wait = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#failures++);
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = undefined;
      this.#options.onRetry();
    }, wait).unref();
    this.#options.onChange();
  }

  /** A read has brought something, or not. */
  read(error: Error | undefined): void {
    if (!error) this.#readFailures = 0;
    else if (++this.#readFailures >= READ_ATTEMPTS) {
      this.lost(`can't be read (${error.message}); what only it holds is lost`);
      return;
    } else {
      this.#readTimer ??= setTimeout(() => {
        this.#readTimer = undefined;
        this.#options.onChange();
      }, RETRY_MIN_MS).unref();
      return;
    }
    this.#options.onChange();
  }

  /** It is of no more use. */
  lost(why: string): void {
    clearTimeout(this.#retryTimer);
    this.state = 'gone';
    this.#trouble(why);
    this.#options.onChange();
  }

  /** No more callbacks come. */
  end(): void {
    this.#ended = true;
    for (const timer of [this.#stallTimer, this.#retryTimer, this.#readTimer]) clearTimeout(timer);
  }

  #trouble(what: string): void {
    this.problem = `the spool ${this.#options.path} ${what}`;
    if (this.#warned) return;
    this.#warned = true;
    this.#options.onWarning(`${this.problem}: the log is kept in memory and sent from there`);
  }
}

export interface SpoolHealthOptions {
  path: string;
  onChange: () => void;
  /** It should be opened again. */
  onRetry: () => void;
  onWarning: (text: string) => void;
}

/** A disk that takes longer is not waited for. */
export const STALLED_AFTER_MS = 5000;
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 30_000;
const READ_ATTEMPTS = 3;
