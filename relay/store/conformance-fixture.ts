import { linesOf } from './conformance-run.ts';
import type { Store } from './store.ts';

/** A new, empty store of the kind that is tested, and ways to have it again. */
export interface TestStore {
  /** Another handle on the same store. */
  open: () => Promise<Store>;
  /** Has the store do at once what it does in the background, if it does anything there. No answer may change by it. */
  settle?: (handle: Store) => Promise<void>;
  /** Removes the store, whose handles are closed. */
  dispose: () => Promise<void>;
}

/** What each test of the suite starts with: an empty store. */
export class Fixture {
  store!: Store;
  readonly #create: () => Promise<TestStore>;
  readonly #handles: Store[] = [];
  #testStore!: TestStore;

  constructor(create: () => Promise<TestStore>) {
    this.#create = create;
  }

  async begin(): Promise<void> {
    this.#testStore = await this.#create();
    this.store = await this.another();
  }

  async end(): Promise<void> {
    for (const handle of this.#handles.splice(0)) await handle.close();
    await this.#testStore.dispose();
  }

  /** Another handle on the store. */
  async another(): Promise<Store> {
    const handle = await this.#testStore.open();
    this.#handles.push(handle);
    return handle;
  }

  async settle(handle = this.store): Promise<void> {
    await this.#testStore.settle?.(handle);
  }

  /** Every line of a task. */
  all(task: string): Promise<string[]> {
    return linesOf(this.store, { task, line: 1 });
  }
}

/** The answer to an append that was stored. */
export function stored(numbers: { nextSeq: number; firstLine: number; position: number; count: number }): object {
  return { outcome: 'stored', ...numbers };
}
