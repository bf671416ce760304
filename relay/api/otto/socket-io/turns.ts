/** What a client asks, one thing after the other; those that wait are bounded. */
export class Turns {
  readonly #onError: (error: unknown) => void;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;
  /** Of what came since nothing waited. */
  #bytes = 0;
  #closed = false;

  /** `onError`: what was done in a turn has failed. */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Whether more wait than a client that takes its answers ever has. */
  get full(): boolean {
    return this.#waiting >= MAX_WAITING || (this.#waiting > 0 && this.#bytes > MAX_BYTES);
  }

  /** So much has come, of what is to be added. */
  came(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Does something when all before it is done, unless it is closed by then. */
  add(act: () => Promise<void>): void {
    this.#waiting++;
    this.#last = this.#last
      .then(() => (this.#closed ? undefined : act()))
      .catch((error: unknown) => this.#onError(error))
      .finally(() => this.#done());
  }

  close(): void {
    this.#closed = true;
  }

  #done(): void {
    if (--this.#waiting === 0) this.#bytes = 0;
  }
}

/** More than a client may subscribe to, and than it has buffered when it connects. */
const MAX_WAITING = 256;
/** Far more than their filters have; what waits is kept in memory. */
const MAX_BYTES = 1024 * 1024;
