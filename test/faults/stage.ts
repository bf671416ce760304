import type { Context } from '../programs.ts';

/** What a round has opened, to be cleaned up behind it in the reverse order. */
export class Stage implements Context {
  readonly #cleanings: (() => unknown)[] = [];

  after(clean: () => unknown): void {
    this.#cleanings.push(clean);
  }

  /** Cleans up all, whatever fails; throws the first failure. */
  async clear(): Promise<void> {
    const failures: unknown[] = [];
    for (const clean of this.#cleanings.splice(0).reverse()) {
      try {
        await clean();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

/** Resolves after `ms`, or as soon as `signal` aborts. */
export function rest(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
}
