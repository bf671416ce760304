import type { Filter } from './filter.ts';
import type { Store } from './store/store.ts';

/** What lines are shown with, and filtered by, that only their run knows. */
export interface RunFact {
  workerId: string;
  labels: Readonly<Record<string, string>>;
}

/**
 * What runs said of themselves, asked of the store once and remembered: it never changes after a run was opened. Who
 * needs the same at the same time shares the question.
 */
export class RunFacts {
  readonly #store: Pick<Store, 'runs'>;
  readonly #maxCharacters: number;
  /** The one that was asked for last stands last. */
  readonly #facts = new Map<string, RunFact>();
  #characters = 0;
  readonly #asked = new Map<string, Promise<ReadonlyMap<string, RunFact>>>();

  constructor({ store, maxCharacters = MAX_CHARACTERS }: { store: Pick<Store, 'runs'>; maxCharacters?: number }) {
    this.#store = store;
    this.#maxCharacters = maxCharacters;
  }

  /** What is known of these runs of a task, by run; those that the store does not know are absent. Rejects with a
   * StoreError. */
  async lookUp(task: string, runs: Iterable<string>): Promise<ReadonlyMap<string, RunFact>> {
    const found = new Map<string, RunFact>();
    const unknown = new Set<string>();
    for (const run of runs) {
      const fact = this.of(task, run);
      if (fact === undefined) unknown.add(run);
      else found.set(run, fact);
    }
    if (unknown.size > 0) {
      for (const answer of await this.#ask(task, unknown)) {
        for (const [run, fact] of answer) if (unknown.has(run)) found.set(run, fact);
      }
    }
    for (const [run, fact] of found) this.#keep(keyOf(task, run), fact);
    this.#shrink(found.size);
    return found;
  }

  /**
   * Resolves when `of` knows these runs of a task, but for those that the store does not know. It forgets them when many
   * others come: ensure what is needed at once, and again the next time. Rejects with a StoreError.
   */
  async ensure(task: string, runs: Iterable<string>): Promise<void> {
    await this.lookUp(task, runs);
  }

  of(task: string, run: string): RunFact | undefined {
    return this.#facts.get(keyOf(task, run));
  }

  /** The answers that say what there is of these runs: to a new question, and to those under way. */
  #ask(task: string, runs: ReadonlySet<string>): Promise<ReadonlyMap<string, RunFact>[]> {
    const missing = [...runs].filter((run) => !this.#asked.has(keyOf(task, run)));
    if (missing.length > 0) {
      const asked = this.#store
        .runs(task, missing)
        .then((records) => new Map(records.map(({ run, workerId, labels }) => [run, { workerId, labels }])))
        .finally(() => {
          for (const run of missing) this.#asked.delete(keyOf(task, run));
        });
      for (const run of missing) this.#asked.set(keyOf(task, run), asked);
    }
    return Promise.all(new Set([...runs].flatMap((run) => this.#asked.get(keyOf(task, run)) ?? [])));
  }

  #keep(key: string, fact: RunFact): void {
    this.#drop(key);
    this.#facts.set(key, fact);
    this.#characters += charactersOf(key, fact);
  }

  #drop(key: string): void {
    const fact = this.#facts.get(key);
    if (fact === undefined) return;
    this.#facts.delete(key);
    this.#characters -= charactersOf(key, fact);
  }

  /** Forgets what was not asked for lately, but never the `kept` that were asked for just now. */
  #shrink(kept: number): void {
    for (const key of this.#facts.keys()) {
      if (this.#characters <= this.#maxCharacters || this.#facts.size <= kept) return;
      this.#drop(key);
    }
  }
}

/** The filter as it can be asked about these segments of one task: one by workers is told whose runs they are of. */
export async function filterFor(
  segments: readonly OfRuns[],
  { filter, task, facts }: { filter: Filter; task: string; facts: RunFacts },
): Promise<Filter> {
  if (filter.ofRuns === undefined) return filter;
  const runs = new Set(segments.flatMap(({ run, runs }) => runs?.map((one) => one.run) ?? run ?? []));
  const found = await facts.lookUp(task, runs);
  return filter.ofRuns(runs, (run) => found.get(run)?.workerId);
}

/** A chunk or gap, stored or read: `runs` where it is of several. */
interface OfRuns {
  run?: string | undefined;
  runs?: readonly { run: string }[] | undefined;
}

/** A ULID's length is fixed, so the pair is told from any other by being joined. */
function keyOf(task: string, run: string): string {
  return run + task;
}

/** About what it takes, objects included. */
function charactersOf(key: string, { workerId, labels }: RunFact): number {
  let characters = OBJECT_CHARACTERS + key.length + workerId.length;
  for (const [name, value] of Object.entries(labels)) characters += OBJECT_CHARACTERS + name.length + value.length;
  return characters;
}

const OBJECT_CHARACTERS = 50;
/** Of some ten thousand runs with usual labels. */
const MAX_CHARACTERS = 4 * 1024 * 1024;
