/** One line on a terminal that shows how far something is, and is gone when it is done. In a pipe: nothing. */
export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #what: string;
  readonly #now: () => number;
  #next = 0;
  #shown = false;

  constructor(
    what: string,
    { out = process.stderr, now = Date.now }: { out?: NodeJS.WriteStream; now?: () => number } = {},
  ) {
    this.#out = out;
    this.#what = what;
    this.#now = now;
  }

  /** `done` of `total`, in any unit. */
  show(done: number, total: number): void {
    if (!this.#out.isTTY || this.#now() < this.#next) return;
    this.#next = this.#now() + EVERY_MS;
    this.#shown = true;
    this.#out.write(`\r\x1b[K${this.#what} ${Math.floor((done / Math.max(total, 1)) * 100)} %`);
  }

  clear(): void {
    if (this.#shown) this.#out.write('\r\x1b[K');
    this.#shown = false;
    this.#next = 0;
  }
}

const EVERY_MS = 100;
