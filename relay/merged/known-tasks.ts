import { groupOf, type Store, type TaskRecord } from '../store/store.ts';
import type { TaskFacts } from './task-facts.ts';

/** Whose lines they are. */
export interface Owner {
  task: string;
  run?: string | undefined;
}

/**
 * Facts of the tasks whose lines are being read, looked up once for all readers. What they say changes only when a run
 * is opened: so a run that is new here has its task looked up again, and no line of it is told apart by older facts.
 * What other runs have changed is noticed within two seconds.
 */
export class KnownTasks {
  readonly #store: Pick<Store, 'task' | 'change'>;
  readonly #now: () => number;
  readonly #maxRuns: number;
  /** The task that was used last stands last. */
  readonly #tasks = new Map<string, Known>();
  /** Of all of them. */
  #runs = 0;
  readonly #loading = new Map<string, Promise<TaskFacts>>();
  #change: Promise<number> | undefined;

  /** `now` is monotonic, in ms. */
  constructor(options: { store: Pick<Store, 'task' | 'change'>; now?: () => number; maxRuns?: number }) {
    this.#store = options.store;
    this.#maxRuns = options.maxRuns ?? MAX_RUNS;
    this.#now = options.now ?? (() => performance.now());
  }

  /** The facts that hold for these lines, if they are known and fresh. */
  of(owner: Owner): TaskFacts | undefined {
    const known = this.#known(owner);
    return known && this.#now() - known.checkedAt <= MAX_AGE_MS ? known.facts : undefined;
  }

  /** The group that these lines are of, if it is known: a run that is known has changed it already. */
  group(owner: Owner): string | undefined {
    return this.#known(owner)?.facts.group;
  }

  #known({ task, run }: Owner): Known | undefined {
    const known = this.#tasks.get(task);
    return run === undefined || known?.runs.has(run) === true ? known : undefined;
  }

  /** Looks up what `of` does not know of these. */
  async ensure(owners: Iterable<Owner>): Promise<void> {
    const loads = new Map<string, Promise<TaskFacts>>();
    for (const owner of owners) {
      const { task, run = '' } = owner;
      if (this.of(owner) === undefined) loads.set(`${task} ${run}`, this.load(owner));
    }
    await Promise.all(loads.values());
  }

  /** As `of`, looked up where they are not known. */
  load(owner: Owner): Promise<TaskFacts> {
    const { task, run = '' } = owner;
    const key = `${run} ${task}`;
    let loading = this.#loading.get(key);
    if (loading === undefined) {
      loading = this.#load(owner).finally(() => this.#loading.delete(key));
      this.#loading.set(key, loading);
    }
    return loading;
  }

  async #load({ task, run }: Owner): Promise<TaskFacts> {
    const change = await this.#currentChange();
    const known = this.#tasks.get(task);
    // The run was opened before its lines came, so a change since then would be counted.
    const record = known?.change === change ? undefined : await this.#store.task(task);
    const latest = this.#tasks.get(task) ?? newTask(task);
    if (record !== undefined && change >= latest.change) {
      if (!sameFacts(latest.facts, factsOf(task, record))) latest.facts = factsOf(task, record);
      latest.change = change;
    }
    latest.checkedAt = this.#now();
    this.#runs -= latest.runs.size;
    if (latest.runs.size >= MAX_RUNS_OF_TASK) latest.runs.clear();
    if (run !== undefined) latest.runs.add(run);
    this.#runs += latest.runs.size;
    this.#tasks.delete(task);
    this.#tasks.set(task, latest);
    this.#shrink();
    return latest.facts;
  }

  /** One question for all who ask in the same turn. */
  #currentChange(): Promise<number> {
    this.#change ??= Promise.resolve().then(() => {
      this.#change = undefined;
      return this.#store.change();
    });
    return this.#change;
  }

  #shrink(): void {
    for (const [task, { runs }] of this.#tasks) {
      if (this.#tasks.size <= MAX_TASKS && this.#runs <= this.#maxRuns) return;
      this.#tasks.delete(task);
      this.#runs -= runs.size;
    }
  }
}

interface Known {
  facts: TaskFacts;
  /** The store's `change` before they were read. */
  change: number;
  checkedAt: number;
  /** Runs that were opened before they were read. */
  readonly runs: Set<string>;
}

function newTask(task: string): Known {
  return { facts: factsOf(task, undefined), change: -1, checkedAt: 0, runs: new Set() };
}

export function factsOf(task: string, record: TaskRecord | undefined): TaskFacts {
  const { name, pipelineId, labels = {} } = record ?? {};
  return { task, name, pipelineId, group: groupOf({ task, pipelineId }), labels };
}

function sameFacts(one: TaskFacts, other: TaskFacts): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** What is revoked by a label is gone after this. */
const MAX_AGE_MS = 2000;
/** Above what one read returns. */
const MAX_TASKS = 16_384;
const MAX_RUNS = 65_536;
const MAX_RUNS_OF_TASK = 1024;
