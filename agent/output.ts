/** A place for redacted bytes besides the log: the agent's own stdout or stderr, a file, or several at once. */
export interface Output {
  /** Called when `full` became false. */
  onDrain: () => void;
  /** The script waits. */
  readonly full: boolean;
  /** Keeps `bytes`, which must not change until `release` is called. */
  write(bytes: Buffer, release?: () => void): void;
  /** Resolves when everything is written, or can't be any more. */
  flushed(): Promise<void>;
}

/** One output for all that are there; undefined if there is none. */
export function joinOutputs(outputs: readonly (Output | undefined)[]): Output | undefined {
  const there = outputs.filter((output) => output !== undefined);
  return there.length < 2 ? there.at(0) : new JoinedOutput(there);
}

/** Passes the same bytes to several outputs. The slowest decides. */
class JoinedOutput implements Output {
  readonly #outputs: readonly Output[];

  constructor(outputs: readonly Output[]) {
    this.#outputs = outputs;
  }

  set onDrain(onDrain: () => void) {
    for (const output of this.#outputs) output.onDrain = onDrain;
  }

  get full(): boolean {
    return this.#outputs.some((output) => output.full);
  }

  write(bytes: Buffer, release: () => void = () => undefined): void {
    let left = this.#outputs.length;
    for (const output of this.#outputs) {
      output.write(bytes, () => {
        if (--left === 0) release();
      });
    }
  }

  async flushed(): Promise<void> {
    await Promise.all(this.#outputs.map((output) => output.flushed()));
  }
}
