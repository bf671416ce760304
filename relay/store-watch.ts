import type {
  Append,
  AppendOutcome,
  EndOutcome,
  EndRun,
  Expired,
  ExpirePolicy,
  OpenedRun,
  OpenRun,
  PipelineQuery,
  PipelineRecord,
  Read,
  ReadsElsewhere,
  RunRecord,
  Store,
  Stored,
  StoreSize,
  TaskHead,
  TaskNote,
  TaskQuery,
  TaskRecord,
  Trimmed,
  Walk,
  Walked,
} from './store/store.ts';

/**
 * A store, and for how long it has left a write unanswered, whoever asked for it: a disk that hangs answers nobody, and
 * rejects nothing. Trims and sweeps are not counted: they are done in steps, and may take their time.
 */
export class StoreWatch implements Store {
  readonly #store: Store;
  readonly #clock: () => number;
  /** When each write began that is not answered; the oldest stands first. */
  readonly #writes = new Set<{ since: number }>();

  /** `clock` is monotonic, in ms. */
  constructor(store: Store, clock: () => number = () => performance.now()) {
    this.#store = store;
    this.#clock = clock;
  }

  /** For how many ms the oldest write has been waiting, 0 if none does. */
  get waitingMs(): number {
    const [oldest] = this.#writes;
    return this.#writes.size === 0 ? 0 : this.#clock() - oldest.since;
  }

  open(open: OpenRun): Promise<OpenedRun> {
    return this.#write(this.#store.open(open));
  }

  append(append: Append): Promise<AppendOutcome> {
    return this.#write(this.#store.append(append));
  }

  end(end: EndRun): Promise<EndOutcome> {
    return this.#write(this.#store.end(end));
  }

  seen(seen: Parameters<Store['seen']>[0]): Promise<void> {
    return this.#write(this.#store.seen(seen));
  }

  markLost(before: number, now: number, except?: string): Promise<{ task: string; run: string }[]> {
    return this.#write(this.#store.markLost(before, now, except));
  }

  pin(task: string, pinned: boolean): Promise<boolean> {
    return this.#write(this.#store.pin(task, pinned));
  }

  annotate(task: string, note: TaskNote, now: number): Promise<void> {
    return this.#write(this.#store.annotate(task, note, now));
  }

  epoch(): string {
    return this.#store.epoch();
  }

  read(read: Read): Promise<Stored[]> {
    return this.#store.read(read);
  }

  walk(walk: Walk): Promise<Walked> {
    return this.#store.walk(walk);
  }

  head(task: string): Promise<TaskHead | undefined> {
    return this.#store.head(task);
  }

  wait(task: string, past: { nextLine: number; revision: number }, signal: AbortSignal): Promise<void> {
    return this.#store.wait(task, past, signal);
  }

  waitAll(nextPosition: number, signal: AbortSignal): Promise<void> {
    return this.#store.waitAll(nextPosition, signal);
  }

  nextPosition(): Promise<number> {
    return this.#store.nextPosition();
  }

  change(): Promise<number> {
    return this.#store.change();
  }

  waitChange(past: number, signal: AbortSignal): Promise<void> {
    return this.#store.waitChange(past, signal);
  }

  tasks(query: TaskQuery): Promise<TaskRecord[]> {
    return this.#store.tasks(query);
  }

  task(task: string): Promise<TaskRecord | undefined> {
    return this.#store.task(task);
  }

  pipelines(query: PipelineQuery): Promise<PipelineRecord[]> {
    return this.#store.pipelines(query);
  }

  pipeline(pipelineId: string): Promise<PipelineRecord | undefined> {
    return this.#store.pipeline(pipelineId);
  }

  runs(task: string, only?: readonly string[]): Promise<RunRecord[]> {
    return this.#store.runs(task, only);
  }

  trim(task: string, throughLine: number): Promise<Trimmed> {
    return this.#store.trim(task, throughLine);
  }

  lastLineUntil(task: string, time: number): Promise<number> {
    return this.#store.lastLineUntil(task, time);
  }

  expire(policy: ExpirePolicy, now: number): Promise<Expired> {
    return this.#store.expire(policy, now);
  }

  size(): Promise<StoreSize> {
    return this.#store.size();
  }

  readsElsewhere(): ReadsElsewhere | undefined {
    return this.#store.readsElsewhere();
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #write<T>(call: Promise<T>): Promise<T> {
    const write = { since: this.#clock() };
    this.#writes.add(write);
    const done = (): void => void this.#writes.delete(write);
    call.then(done, done);
    return call;
  }
}
