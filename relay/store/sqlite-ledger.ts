import type Database from 'better-sqlite3';
import { randomUUID } from 'node:crypto';
import { CODEC_GAP, readStoredHeader, type ChunkHeader } from '../../shared/chunk.ts';
import { advanceDigest } from '../../shared/digest.ts';
import { clipOverlap } from './clip.ts';
import { Chunks } from './sqlite-chunks.ts';
import { Forgetting } from './sqlite-forget.ts';
import type { Call, OtherCall, OtherOutcome } from './sqlite-group.ts';
import { LooseTasks } from './sqlite-loose.ts';
import { Notes } from './sqlite-notes.ts';
import { Rows, type RunState, type TaskState } from './sqlite-rows.ts';
import { Swaps, type Considered } from './sqlite-swaps.ts';
import { Totals } from './sqlite-totals.ts';
import { endStatus, taskStatus, type RunSpan } from './status.ts';
import type { Append, AppendOutcome, EndOutcome, EndRun, OpenedRun, OpenRun, RunStatus } from './store.ts';

/** A task whose head changed other than by an append. */
export interface ChangedHead {
  task: string;
  nextLine: number;
  revision: number;
}

/**
 * The store's rules for writing, inside one transaction at a time: `begin`, any number of calls, `commit` or
 * `rollback`. A call that throws has changed nothing, and the others of the transaction stand.
 */
export class Ledger {
  /** Whether another connection has committed since this was last set to false. */
  foreign = false;
  /** Which tasks have small chunks to be merged. */
  readonly loose = new LooseTasks();
  /** The parts that take steps of long work, each within one transaction. */
  readonly forgetting: Forgetting;
  readonly swaps: Swaps;
  readonly #totals: Totals;
  readonly #chunks: Chunks;
  readonly #notes: Notes;
  #dataVersion = -1;
  #stale = true;
  /** As they were when the transaction began. */
  #before: ReturnType<Totals['copy']> | undefined;
  /** By name: of a call that was taken back, the state is another one. */
  readonly #changed = new Set<string>();
  readonly #db: Database.Database;
  readonly #rows: Rows;
  readonly #sql;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#rows = new Rows(db);
    this.#totals = new Totals(db);
    this.#chunks = new Chunks(db, this.#totals);
    this.#notes = new Notes(db);
    this.forgetting = new Forgetting(db, { rows: this.#rows, totals: this.#totals, chunks: this.#chunks });
    this.swaps = new Swaps({ rows: this.#rows, chunks: this.#chunks });
    this.#sql = {
      begin: db.prepare('BEGIN IMMEDIATE'),
      commit: db.prepare('COMMIT'),
      rollback: db.prepare('ROLLBACK'),
      // Changes when another connection has committed, never by this one.
      dataVersion: db.prepare<[], number>('PRAGMA data_version').pluck(),
      silent: db.prepare<[number, string | null], { task: string; run: string }>(
        `SELECT task.task, run.run FROM run JOIN task ON task.id = run.task
           WHERE run.status = 'running' AND run.last_seen < ? AND task.task IS NOT ? ORDER BY run.id`,
      ),
      spans: db.prepare<[number, number], RunSpan>(
        `SELECT status, started_at AS startedAt, ended_at AS endedAt FROM run
           WHERE task = ? AND (ended_at IS NULL OR ended_at > ?)`,
      ),
      span: db.prepare<[number | null], RunSpan>(
        'SELECT status, started_at AS startedAt, ended_at AS endedAt FROM run WHERE id = ?',
      ),
    };
    this.look();
  }

  get epoch(): string {
    return this.#totals.epoch;
  }

  get generation(): number {
    return this.#totals.generation;
  }

  get nextPosition(): number {
    return this.#totals.nextPosition;
  }

  get change(): number {
    return this.#totals.change;
  }

  /** Looks whether another connection has committed; if so, what is known is read anew. */
  look(): void {
    const version = this.#sql.dataVersion.get() as number;
    if (version !== this.#dataVersion) this.foreign = this.#stale = true;
    if (!this.#stale) return;
    this.#rows.forget();
    this.#totals.load();
    this.#dataVersion = version;
    this.#stale = false;
  }

  begin(): void {
    this.#sql.begin.run();
    // Within the transaction: from here on no other connection can commit.
    this.look();
    this.#before = this.#totals.copy();
  }

  /** Durable when it returns. Answers the tasks whose head changed other than by an append. */
  commit(): ChangedHead[] {
    this.#rows.flush();
    this.#totals.save();
    const changed = [...this.#changed].flatMap((name): ChangedHead[] => {
      const task = this.#rows.task(name);
      return task === undefined ? [] : [{ task: name, nextLine: task.nextLine, revision: task.revision }];
    });
    this.#sql.commit.run();
    this.#changed.clear();
    this.#rows.shrink();
    return changed;
  }

  rollback(): void {
    this.#stale = true;
    this.#rows.forget();
    // They are told with the next answer, and what was told once counts for ever.
    if (this.#before) this.#totals.restore(this.#before);
    this.#changed.clear();
    if (this.#db.inTransaction) this.#sql.rollback.run();
  }

  append(append: Append): AppendOutcome {
    const run = this.#rows.run(append.task, append.run);
    if (run?.fence !== append.fence) return { outcome: 'fenced' };
    const { nextSeq } = run;
    if (run.endedAt !== null) return { outcome: 'ended', nextSeq };
    const header = readStoredHeader(append.bytes);
    if (header.run !== append.run) throw new Error(`a chunk of run ${header.run} was appended to run ${append.run}`);
    if (header.firstSeq > nextSeq) return { outcome: 'expected', nextSeq };
    if (header.firstSeq + header.count <= nextSeq) return { outcome: 'duplicate', nextSeq };
    if (header.firstSeq === nextSeq) return this.#keep(run, header, append.bytes, append.now);
    const clipped = clipOverlap(header, append.bytes, nextSeq);
    const outcome = this.#keep(run, readStoredHeader(clipped), clipped, append.now);
    return { ...outcome, clipped };
  }

  #keep(run: RunState, header: ChunkHeader, bytes: Buffer, now: number): AppendOutcome & { outcome: 'stored' } {
    const { task } = run;
    const position = this.#totals.nextPosition;
    const firstLine = task.nextLine;
    const { count } = header;
    // Lines came, so whoever was thought lost is there.
    if (run.status === 'lost') this.#isolated(() => this.#changeStatus(run, 'running', now));
    const before = task.lines;
    // First what can fail; the states change only after it.
    const level = this.#chunks.append({ task, firstLine, run: run.id, position, bytes, header, at: now });
    this.#totals.nextPosition += count;
    run.digest = advanceDigest(run.digest, header);
    run.nextSeq += count;
    run.reportedSeq = Math.max(run.reportedSeq, run.nextSeq);
    run.lastSeen = Math.max(run.lastSeen, now);
    task.nextLine += count;
    task.endPosition = position + count;
    task.updatedAt = Math.max(task.updatedAt, now);
    if (header.codec === CODEC_GAP) {
      run.missing += count;
    } else {
      run.lines += count;
      run.textBytes += header.textBytes;
      task.minTime = before === 0 ? header.minTime : Math.min(task.minTime ?? Infinity, header.minTime);
      task.maxTime = before === 0 ? header.maxTime : Math.max(task.maxTime ?? 0, header.maxTime);
    }
    if (level === 0) {
      if (task.loose++ === 0) task.looseFrom = firstLine;
      this.loose.grew(task);
    }
    this.#rows.touch(run);
    this.#rows.touch(task);
    return { outcome: 'stored', nextSeq: run.nextSeq, firstLine, position, count };
  }

  /** Any call but an append. Several statements, so under a savepoint. */
  other(call: Exclude<Call, { append: Append }>): OtherOutcome {
    return this.#isolated(() => {
      switch (call.type) {
        case 'open':
          return this.#open(call.open);
        case 'end':
          return this.#end(call.end);
        case 'seen':
          this.#seen(call.seen);
          return undefined;
        case 'markLost':
          return this.#markLost(call);
        case 'annotate':
          this.#annotate(call);
          return undefined;
        case 'pin':
          return this.#pin(call);
      }
    });
  }

  #isolated<T>(work: () => T): T {
    this.#rows.flush();
    const totals = this.#totals.copy();
    this.#db.exec('SAVEPOINT call');
    try {
      const result = work();
      this.#rows.flush();
      this.#db.exec('RELEASE call');
      return result;
    } catch (error) {
      this.#rows.forget();
      this.#totals.restore(totals);
      // Some errors have already ended the whole transaction.
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK TO call; RELEASE call');
      throw error;
    }
  }

  #open(open: OpenRun): OpenedRun {
    const task = this.#rows.task(open.task) ?? this.#rows.createTask(open.task, open.now);
    let run = this.#rows.run(open.task, open.run);
    if (!run) {
      run = this.#rows.createRun(task, open);
      task.runs++;
      task.openRuns++;
      task.newestRun = run.id;
      this.#rows.rename(task, { name: open.taskName ?? task.name, pipeline: open.pipelineId ?? task.pipeline });
      this.#changeStatus(run, 'running', open.now);
    } else if (run.status === 'lost') {
      this.#changeStatus(run, 'running', open.now);
    }
    run.fence++;
    run.lastSeen = Math.max(run.lastSeen, open.now);
    run.reportedSeq = Math.max(run.reportedSeq, open.ackedSeq);
    this.#rows.touch(run);
    if (open.epoch === this.#totals.epoch && open.ackedSeq > run.nextSeq) {
      this.#totals.epoch = randomUUID();
      this.#totals.generation++;
    }
    const { fence, nextSeq, digest, endedAt } = run;
    return { epoch: this.#totals.epoch, fence, nextSeq, digest, ended: endedAt !== null };
  }

  #end(end: EndRun): EndOutcome {
    const run = this.#rows.run(end.task, end.run);
    if (run?.fence !== end.fence) return { outcome: 'fenced' };
    if (run.endedAt === null) {
      if (run.nextSeq < end.nextSeq) return { outcome: 'missing', nextSeq: run.nextSeq };
      run.endedAt = end.endedAt;
      run.exitCode = end.exitCode;
      run.signal = end.signal;
      run.reason = end.reason;
      run.verified =
        run.nextSeq === end.nextSeq &&
        run.digest === end.digest &&
        run.lines === end.lines &&
        run.textBytes === end.bytes;
      run.lastSeen = Math.max(run.lastSeen, end.now);
      run.task.openRuns--;
      this.#changeStatus(run, endStatus(end), end.now);
      if (run.task.openRuns === 0) this.loose.ended(run.task);
    }
    const { nextSeq, digest } = run;
    return run.verified ? { outcome: 'verified', nextSeq } : { outcome: 'unverified', nextSeq, digest };
  }

  #seen(seen: { task: string; run: string; fence: number; nextSeq?: number; now: number }): void {
    const run = this.#rows.run(seen.task, seen.run);
    if (run?.fence !== seen.fence || run.endedAt !== null) return;
    run.lastSeen = Math.max(run.lastSeen, seen.now);
    run.reportedSeq = Math.max(run.reportedSeq, seen.nextSeq ?? 0);
    this.#rows.touch(run);
    if (run.status === 'lost') this.#changeStatus(run, 'running', seen.now);
  }

  #markLost({ before, now, except }: OtherCall & { type: 'markLost' }): { task: string; run: string }[] {
    const silent = this.#sql.silent.all(before, except ?? null);
    for (const { task, run } of silent) this.#changeStatus(this.#rows.run(task, run) as RunState, 'lost', now);
    return silent;
  }

  #changeStatus(run: RunState, status: RunStatus, now: number): void {
    const { task } = run;
    run.status = status;
    this.#changeTask(task, now);
    this.#rows.touch(run);
    // The rule reads rows.
    this.#rows.flush();
    const newest = this.#sql.span.get(task.newestRun) as RunSpan;
    task.status = taskStatus([...this.#sql.spans.all(task.id, newest.startedAt), newest]);
    this.#rows.touch(task);
  }

  /** Whatever is shown of a task beside its lines has changed. */
  #changeTask(task: TaskState, now: number): void {
    task.revision++;
    task.updatedAt = Math.max(task.updatedAt, now);
    this.#totals.change++;
    this.#rows.touch(task);
    this.#changed.add(task.task);
  }

  /** Notes that a task's loose chunks were looked at; if enough came meanwhile, it is next again. */
  considered(considered: Considered): void {
    const task = this.swaps.considered(considered);
    if (task && task.loose > 0) this.loose.grew(task);
  }

  #annotate({ task: name, note, now }: OtherCall & { type: 'annotate' }): void {
    const task = this.#rows.task(name) ?? this.#rows.createTask(name, now);
    this.#notes.write(task.id, note);
    this.#changeTask(task, now);
  }

  #pin({ task: name, pinned }: OtherCall & { type: 'pin' }): boolean {
    const task = this.#rows.task(name);
    if (!task) return false;
    task.pinned = pinned;
    this.#rows.touch(task);
    return true;
  }
}
