import { CODEC_GAP, readHeader } from '../../shared/chunk.ts';
import { advanceDigest } from '../../shared/digest.ts';
import { clipOverlap } from './clip.ts';
import {
  bytesOf,
  clipped,
  foldAscii,
  headerOf,
  headOf,
  lastLine,
  matches,
  newRun,
  newTask,
  recordOf,
  storedOf,
  sum,
  timesOf,
  type ModelChunk,
  type ModelRun,
  type ModelTask,
} from './model-records.ts';
import { pipelineOf } from './pipeline-of.ts';
import { endStatus } from './status.ts';
import {
  groupOf,
  StoreError,
  type Append,
  type AppendOutcome,
  type EndOutcome,
  type EndRun,
  type Expired,
  type ExpirePolicy,
  type OpenedRun,
  type OpenRun,
  type PipelineQuery,
  type PipelineRecord,
  type PlacedStored,
  type Read,
  type RunRecord,
  type Store,
  type Stored,
  type StoreSize,
  type TaskHead,
  type TaskNote,
  type TaskQuery,
  type TaskRecord,
  type Trimmed,
  type Walk,
  type Walked,
} from './store.ts';
import { wantsBody } from './wants.ts';

/** What every handle of a model sees. */
export class ModelState {
  epoch = 'model-1';
  epochs = 1;
  position = 0;
  change = 0;
  readonly chunks: ModelChunk[] = [];
  readonly tasks: ModelTask[] = [];
  onChange = new Set<() => void>();
}

/**
 * The store as simple as it can be: arrays in memory, nothing durable, everything counted anew at every question. What
 * the contract says is easy to see here, and every other store is compared with it. Also a store for other tests.
 */
export class ModelStore implements Store {
  readonly #state: ModelState;
  readonly #aborts = new Set<(error: StoreError) => void>();
  #closed: StoreError | undefined;

  constructor(state = new ModelState()) {
    this.#state = state;
  }

  epoch(): string {
    return this.#state.epoch;
  }

  open(open: OpenRun): Promise<OpenedRun> {
    return this.#change(() => {
      const task = this.#taskOrNew(open.task, open.now);
      let run = this.#run(open.task, open.run);
      if (!run) {
        run = newRun(open);
        task.runs.push(run);
        task.name = open.taskName ?? task.name;
        task.pipelineId = open.pipelineId ?? task.pipelineId;
        this.#setStatus(run, 'running', open.now);
      }
      if (run.status === 'lost') this.#setStatus(run, 'running', open.now);
      run.fence++;
      run.lastSeen = Math.max(run.lastSeen, open.now);
      run.reportedSeq = Math.max(run.reportedSeq, open.ackedSeq);
      if (open.epoch === this.#state.epoch && open.ackedSeq > run.nextSeq) {
        this.#state.epoch = `model-${++this.#state.epochs}`;
      }
      const { fence, nextSeq, digest, endedAt } = run;
      return { epoch: this.#state.epoch, fence, nextSeq, digest, ended: endedAt !== null };
    });
  }

  append(append: Append): Promise<AppendOutcome> {
    return this.#change(() => {
      const run = this.#run(append.task, append.run);
      if (run?.fence !== append.fence) return { outcome: 'fenced' };
      const { nextSeq } = run;
      if (run.endedAt !== null) return { outcome: 'ended', nextSeq };
      const given = readHeader(append.bytes);
      if (given.firstSeq > nextSeq) return { outcome: 'expected', nextSeq };
      if (given.firstSeq + given.count <= nextSeq) return { outcome: 'duplicate', nextSeq };
      if (given.firstSeq === nextSeq) return this.#keep(run, Buffer.from(append.bytes), append.now);
      const clipped = clipOverlap(given, append.bytes, nextSeq);
      return { ...this.#keep(run, clipped, append.now), clipped };
    });
  }

  #keep(run: ModelRun, bytes: Buffer, now: number): AppendOutcome & { outcome: 'stored' } {
    const task = this.#task(run.task) as ModelTask;
    const header = readHeader(bytes);
    const { count } = header;
    const { nextLine: firstLine } = task;
    const { position } = this.#state;
    if (run.status === 'lost') this.#setStatus(run, 'running', now);
    this.#state.chunks.push({ task: run.task, run: run.run, firstLine, position, bytes, at: now });
    this.#state.position += count;
    task.nextLine += count;
    task.updatedAt = Math.max(task.updatedAt, now);
    run.nextSeq += count;
    run.reportedSeq = Math.max(run.reportedSeq, run.nextSeq);
    run.digest = advanceDigest(run.digest, header);
    run.lastSeen = Math.max(run.lastSeen, now);
    if (header.codec === CODEC_GAP) run.missing += count;
    else run.lines += count;
    run.textBytes += header.textBytes;
    return { outcome: 'stored', nextSeq: run.nextSeq, firstLine, position, count };
  }

  end(end: EndRun): Promise<EndOutcome> {
    return this.#change(() => {
      const run = this.#run(end.task, end.run);
      if (run?.fence !== end.fence) return { outcome: 'fenced' };
      const { nextSeq, digest } = run;
      if (run.endedAt === null) {
        if (nextSeq < end.nextSeq) return { outcome: 'missing', nextSeq };
        const { endedAt, exitCode, signal, reason } = end;
        const counted = run.lines === end.lines && run.textBytes === end.bytes;
        const verified = counted && nextSeq === end.nextSeq && digest === end.digest;
        Object.assign(run, { endedAt, exitCode, signal, reason, verified });
        run.lastSeen = Math.max(run.lastSeen, end.now);
        this.#setStatus(run, endStatus(end), end.now);
      }
      return run.verified ? { outcome: 'verified', nextSeq } : { outcome: 'unverified', nextSeq, digest };
    });
  }

  seen(seen: { task: string; run: string; fence: number; nextSeq?: number; now: number }): Promise<void> {
    return this.#change(() => {
      const run = this.#run(seen.task, seen.run);
      if (run?.fence !== seen.fence || run.endedAt !== null) return;
      run.lastSeen = Math.max(run.lastSeen, seen.now);
      run.reportedSeq = Math.max(run.reportedSeq, seen.nextSeq ?? 0);
      if (run.status === 'lost') this.#setStatus(run, 'running', seen.now);
    });
  }

  markLost(before: number, now: number, except?: string): Promise<{ task: string; run: string }[]> {
    return this.#change(() => {
      const runs = this.#state.tasks.flatMap((task) => (task.task === except ? [] : task.runs));
      const silent = runs.filter((run) => run.status === 'running' && run.lastSeen < before);
      for (const run of silent) this.#setStatus(run, 'lost', now);
      return silent.map(({ task, run }) => ({ task, run }));
    });
  }

  trim(name: string, throughLine: number): Promise<Trimmed> {
    return this.#change(() => {
      const task = this.#task(name);
      if (!task) return { trimmedLine: 0, lines: 0 };
      const through = Math.min(throughLine, task.nextLine - 1);
      let lines = 0;
      for (const chunk of this.#chunksOf(name)) {
        if (chunk.firstLine <= through) lines += this.#forget(task, chunk, through);
      }
      return { trimmedLine: task.trimmedLine, lines };
    });
  }

  /** Forgets what a chunk holds at or below a line. Answers how many lines, gaps not counted. */
  #forget(task: ModelTask, chunk: ModelChunk, through: number): number {
    const { chunks } = this.#state;
    const header = headerOf(chunk);
    const count = Math.min(header.count, through - chunk.firstLine + 1);
    const rest = count < header.count ? [clipped(chunk, count)] : [];
    chunks.splice(chunks.indexOf(chunk), 1, ...rest);
    task.trimmedLine = chunk.firstLine + count - 1;
    task.trimmedPosition = chunk.position + count - 1;
    return header.codec === CODEC_GAP ? 0 : count;
  }

  lastLineUntil(name: string, time: number): Promise<number> {
    return this.#change(() => {
      let line = 0;
      for (const chunk of this.#chunksOf(name)) {
        const times = timesOf(chunk);
        const later = times.findIndex((one) => one > time);
        if (later === 0) return line;
        if (later > 0) return chunk.firstLine + later - 1;
        line = lastLine(chunk);
      }
      return line;
    });
  }

  expire(policy: ExpirePolicy, now: number): Promise<Expired> {
    return this.#change(() => {
      const { maxAgeMs = Infinity, maxBytes = Infinity, maxTaskBytes = Infinity, maxTaskLines = Infinity } = policy;
      const gone: ModelChunk[] = [];
      const drop = (task: ModelTask, chunk: ModelChunk): void => {
        this.#forget(task, chunk, Infinity);
        gone.push(chunk);
      };
      const kept = this.#state.tasks.filter(({ pinned }) => !pinned);
      for (const task of kept) {
        for (const chunk of this.#chunksOf(task.task)) chunk.at = Math.min(chunk.at, now);
        for (const chunk of this.#chunksOf(task.task)) {
          const { storedBytes, lines } = this.#record(task);
          if (chunk.at < now - maxAgeMs || storedBytes > maxTaskBytes || lines > maxTaskLines) drop(task, chunk);
          else break;
        }
      }
      for (const chunk of [...this.#state.chunks]) {
        const task = kept.find(({ task: name }) => name === chunk.task);
        if (task && sum(this.#state.chunks, bytesOf) > maxBytes) drop(task, chunk);
      }
      const tasks = new Set(gone.map(({ task }) => task)).size;
      const lines = sum(gone, (chunk) => timesOf(chunk).length);
      return { tasks, chunks: gone.length, lines, bytes: sum(gone, bytesOf) };
    });
  }

  pin(name: string, pinned: boolean): Promise<boolean> {
    return this.#change(() => {
      const task = this.#task(name);
      if (task) task.pinned = pinned;
      return task !== undefined;
    });
  }

  annotate(name: string, note: TaskNote, now: number): Promise<void> {
    return this.#change(() => {
      const task = this.#taskOrNew(name, now);
      const said = Object.entries(note).filter(([, value]) => value !== undefined);
      Object.assign(task.note, Object.fromEntries(said));
      this.#changeTask(task, now);
    });
  }

  read({ from, maxBytes, wants }: Read): Promise<Stored[]> {
    return this.#change(() => {
      const stored: Stored[] = [];
      let chunks = this.#state.chunks;
      if ('task' in from) {
        const { task } = from;
        const trimmedLine = this.#task(task)?.trimmedLine ?? 0;
        const line = Math.max(1, from.line);
        chunks = chunks.filter((chunk) => chunk.task === task && lastLine(chunk) >= line);
        const count = trimmedLine - line + 1;
        if (count > 0) stored.push({ kind: 'gap', task, firstLine: line, count, reason: 'trimmed' });
      } else {
        chunks = chunks.filter((chunk) => chunk.position + headerOf(chunk).count > from.position);
      }
      let bytes = 0;
      for (const chunk of chunks.slice(0, 4096)) {
        const header = headerOf(chunk);
        const wanted = wantsBody(wants, header);
        if (wanted) bytes += header.bodyBytes;
        if (wanted && bytes > maxBytes && chunk !== chunks[0]) break;
        stored.push(storedOf(chunk, header, wanted));
      }
      return stored;
    });
  }

  walk({ position, maxBytes, group, wants }: Walk): Promise<Walked> {
    return this.#change(() => {
      const tasks = this.#state.tasks.filter((task) => group === undefined || groupOf(task) === group);
      const found: { wanted: number; stored: PlacedStored }[] = [];
      for (const { task, trimmedLine: firstLine, trimmedPosition } of group === undefined ? [] : tasks) {
        const gap = { kind: 'gap', task, firstLine, position: trimmedPosition, count: 1, reason: 'trimmed' } as const;
        if (trimmedPosition >= position) found.push({ wanted: 0, stored: gap });
      }
      for (const chunk of this.#state.chunks) {
        const header = headerOf(chunk);
        if (chunk.position + header.count <= position || !tasks.some(({ task }) => task === chunk.task)) continue;
        const wanted = wantsBody(wants, header);
        const stored = storedOf(chunk, header, wanted) as PlacedStored;
        found.push({ wanted: wanted ? header.bodyBytes : 0, stored });
      }
      found.sort((a, b) => a.stored.position - b.stored.position);
      let bytes = 0;
      const cut = found.findIndex(({ wanted }, index) => (bytes += wanted) > maxBytes && wanted > 0 && index > 0);
      return cut === -1
        ? { stored: found.map(({ stored }) => stored), nextPosition: Math.max(position, this.#state.position) }
        : { stored: found.slice(0, cut).map(({ stored }) => stored), nextPosition: found[cut].stored.position };
    });
  }

  head(task: string): Promise<TaskHead | undefined> {
    return this.#change(() => {
      const known = this.#task(task);
      return known && headOf(known);
    });
  }

  nextPosition(): Promise<number> {
    return this.#change(() => this.#state.position);
  }

  wait(task: string, past: { nextLine: number; revision: number }, signal: AbortSignal): Promise<void> {
    return this.#wait(signal, () => {
      const known = this.#task(task);
      return known !== undefined && (known.nextLine > past.nextLine || known.revision > past.revision);
    });
  }

  waitAll(nextPosition: number, signal: AbortSignal): Promise<void> {
    return this.#wait(signal, () => this.#state.position > nextPosition);
  }

  change(): Promise<number> {
    return this.#change(() => this.#state.change);
  }

  waitChange(past: number, signal: AbortSignal): Promise<void> {
    return this.#wait(signal, () => this.#state.change > past);
  }

  #wait(signal: AbortSignal, done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        this.#state.onChange.delete(look);
        this.#aborts.delete(stop);
        signal.removeEventListener('abort', onAbort);
        act();
      };
      const look = (): void => {
        if (done()) settle(resolve);
      };
      const stop = (error: Error): void => settle(() => reject(error));
      const onAbort = (): void => stop(signal.reason as Error);
      if (signal.aborted || this.#closed) {
        stop(this.#closed ?? (signal.reason as Error));
        return;
      }
      signal.addEventListener('abort', onAbort);
      this.#aborts.add(stop);
      this.#state.onChange.add(look);
      look();
    });
  }

  task(task: string): Promise<TaskRecord | undefined> {
    return this.#change(() => {
      const known = this.#task(task);
      return known && this.#record(known);
    });
  }

  tasks(query: TaskQuery): Promise<TaskRecord[]> {
    return this.#change(() => {
      const { tasks } = this.#state;
      const end = query.before === undefined ? tasks.length : tasks.findIndex(({ task }) => task === query.before);
      const older = tasks.slice(0, Math.max(0, end)).reverse();
      return older
        .map((task) => this.#record(task))
        .filter((record) => matches(record, query))
        .slice(0, query.limit);
    });
  }

  pipelines({ limit, before, q }: PipelineQuery): Promise<PipelineRecord[]> {
    return this.#change(() => {
      const ids = [...new Set(this.#state.tasks.flatMap(({ pipelineId }) => pipelineId ?? []))];
      const end = before === undefined ? ids.length : ids.indexOf(before);
      const older = ids.slice(0, Math.max(0, end)).reverse();
      const found = older.filter((id) => q === undefined || foldAscii(id).includes(foldAscii(q)));
      return found.slice(0, limit).map((id) => pipelineOf(id, this.#recordsOf(id)));
    });
  }

  pipeline(pipelineId: string): Promise<PipelineRecord | undefined> {
    return this.#change(() => {
      const records = this.#recordsOf(pipelineId);
      return records.length === 0 ? undefined : pipelineOf(pipelineId, records);
    });
  }

  runs(task: string, only?: readonly string[]): Promise<RunRecord[]> {
    return this.#change(() => {
      const runs = (this.#task(task)?.runs ?? []).filter(({ run }) => only?.includes(run) ?? true);
      return runs.map(({ fence: _, ...run }) => structuredClone(run));
    });
  }

  size(): Promise<StoreSize> {
    return this.#change(() => {
      const { chunks } = this.#state;
      return { bytes: sum(chunks, ({ bytes }) => bytes.length), chunks: chunks.length, pendingBytes: 0, freeBytes: 0 };
    });
  }

  /** It is in this thread's memory. */
  readsElsewhere(): undefined {
    return undefined;
  }

  close(): Promise<void> {
    this.#closed ??= new StoreError('closed', 'the store is closed');
    for (const stop of this.#aborts) stop(this.#closed);
    return Promise.resolve();
  }

  /** A step: nothing else happens within it, and whoever waits hears of it after whoever took it. */
  // eslint-disable-next-line @typescript-eslint/require-await -- what is thrown becomes a rejection
  async #change<T>(step: () => T): Promise<T> {
    if (this.#closed) throw this.#closed;
    const result = step();
    setImmediate(() => {
      for (const look of this.#state.onChange) look();
    });
    return result;
  }

  #task(task: string): ModelTask | undefined {
    return this.#state.tasks.find((known) => known.task === task);
  }

  #run(task: string, run: string): ModelRun | undefined {
    return this.#task(task)?.runs.find((known) => known.run === run);
  }

  #setStatus(run: ModelRun, status: RunRecord['status'], now: number): void {
    const task = this.#task(run.task) as ModelTask;
    run.status = status;
    this.#changeTask(task, now);
  }

  #changeTask(task: ModelTask, now: number): void {
    task.revision++;
    task.updatedAt = Math.max(task.updatedAt, now);
    this.#state.change++;
  }

  #taskOrNew(name: string, now: number): ModelTask {
    const known = this.#task(name);
    if (known) return known;
    const task = newTask(name, now);
    this.#state.tasks.push(task);
    return task;
  }

  #chunksOf(task: string): ModelChunk[] {
    return this.#state.chunks.filter((chunk) => chunk.task === task);
  }

  /** Of a pipeline's tasks, the oldest first. */
  #recordsOf(pipelineId: string): TaskRecord[] {
    const tasks = this.#state.tasks.filter((task) => task.pipelineId === pipelineId);
    return tasks.map((task) => this.#record(task));
  }

  #record(task: ModelTask): TaskRecord {
    return recordOf(task, this.#chunksOf(task.task));
  }
}
