/** What has been started, to be stopped in reverse. */
export class Parts {
  readonly #stops: (() => void | Promise<void>)[] = [];
  #stopped: Promise<void> | undefined;

  get stopping(): boolean {
    return this.#stopped !== undefined;
  }

  started(stop: () => void | Promise<void>): void {
    this.#stops.push(stop);
  }

  /**
   * Stops all, also if one of them fails; then rejects with what the first one failed of. Said again, it waits for the
   * same, and stops what was started since.
   */
  stop(): Promise<void> {
    this.#stopped = this.#stop(this.#stopped);
    return this.#stopped;
  }

  async #stop(before: Promise<void> | undefined): Promise<void> {
    try {
      if (before !== undefined) await before;
    } finally {
      await this.#stopAll();
    }
  }

  async #stopAll(): Promise<void> {
    const problems: unknown[] = [];
    for (let stop = this.#stops.pop(); stop !== undefined; stop = this.#stops.pop()) {
      try {
        await stop();
      } catch (problem) {
        problems.push(problem);
      }
    }
    if (problems.length > 0) throw problems[0];
  }
}
