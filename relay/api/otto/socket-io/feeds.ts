import { KerutaError } from '../../../../shared/errors.ts';

/** Something that a client has subscribed to: writes to it until it is stopped. */
export interface Feed {
  /** Resolves when it was stopped; rejects with what went wrong. Once. */
  run(): Promise<void>;
  /** Nothing is written after it. */
  stop(): void;
}

/** The feeds of one client, by what they are about. */
export class Feeds<F extends Feed> {
  readonly #byName = new Map<string, F>();
  readonly #onError: (error: unknown, name: string) => void;

  /** `onError`: one of them has ended with an error. */
  constructor(onError: (error: unknown, name: string) => void) {
    this.#onError = onError;
  }

  get size(): number {
    return this.#byName.size;
  }

  get names(): string[] {
    return [...this.#byName.keys()];
  }

  get(name: string): F | undefined {
    return this.#byName.get(name);
  }

  /** Throws a KerutaError INVALID_INPUT if no other one may be started. */
  checkSpace(): void {
    if (this.#byName.size < MAX_FEEDS) return;
    throw new KerutaError('INVALID_INPUT', `One connection may have ${MAX_FEEDS} such subscriptions.`);
  }

  /** Starts one, in place of that which is there. */
  start(name: string, feed: F): void {
    this.stop(name);
    this.#byName.set(name, feed);
    void this.#run(name, feed);
  }

  stop(name: string): void {
    this.#byName.get(name)?.stop();
    this.#byName.delete(name);
  }

  stopAll(): void {
    for (const feed of this.#byName.values()) feed.stop();
    this.#byName.clear();
  }

  async #run(name: string, feed: F): Promise<void> {
    try {
      await feed.run();
    } catch (error) {
      this.#onError(error, name);
    } finally {
      if (this.#byName.get(name) === feed) this.#byName.delete(name);
    }
  }
}

/** Each costs a place to wait. */
const MAX_FEEDS = 100;
