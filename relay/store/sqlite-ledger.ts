import type Database from 'better-sqlite3';
import { randomUUID } from 'node:crypto';
import { CHUNK_HEADER_BYTES, CODEC_GAP, readStoredHeader, type ChunkHeader } from '../../shared/chunk.ts';
import { advanceDigest } from '../../shared/digest.ts';
import { clipOverlap } from './clip.ts';
import type { Call, OtherOutcome } from './sqlite-group.ts';
import { Rows, type RunState, type TaskState } from './sqlite-rows.ts';
import { endStatus, taskStatus, type RunSpan } from './status.ts';
import type { Append, AppendOutcome, EndOutcome, EndRun, OpenedRun, OpenRun, RunStatus } from './store.ts';

/** The one row that counts for the whole store. */
interface StoreRow {
  epoch: string;
  generation: number;
  nextPosition: number;
  chunks: number;
}

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
  #store!: StoreRow;
  #storeDirty = false;
  #dataVersion = -1;
  #stale = true;
  readonly #changed = new Set<TaskState>();
  readonly #db: Database.Database;
  readonly #rows: Rows;
  readonly #sql;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#rows = new Rows(db);
    this.#sql = {
      begin: db.prepare('BEGIN IMMEDIATE'),
      commit: db.prepare('COMMIT'),
      rollback: db.prepare('ROLLBACK'),
      // Changes when another connection has committed, never by this one.
      dataVersion: db.prepare<[], number>('PRAGMA data_version').pluck(),
      store: db.prepare<[], StoreRow>('SELECT epoch, generation, next_position AS nextPosition, chunks FROM store'),
      saveStore: db.prepare('UPDATE store SET epoch = ?, generation = ?, next_position = ?, chunks = ?'),
      insert: db.prepare(
        `INSERT INTO chunk (position, task, first_line, run, count, min_time, max_time, header, body)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ),
      silent: db.prepare<[number], { task: string; run: string }>(
        `SELECT task.task, run.run FROM run JOIN task ON task.id = run.task
           WHERE run.status = 'running' AND run.last_seen < ? ORDER BY run.id`,
      ),
      spans: db.prepare<[number, number], RunSpan>(
        `SELECT status, started_at AS startedAt, ended_at AS endedAt FROM run
           WHERE task = ? AND (ended_at IS NULL OR ended_at > ?)`,
      ),
      span: db.prepare<[number | null], RunSpan>(
        'SELECT status, started_at AS startedAt, ended_at AS endedAt FROM run WHERE id = ?',
      ),
      trimmable: db.prepare<[number, number, number, number], { position: number; firstLine: number; header: Buffer }>(
        `SELECT position, first_line AS firstLine, header FROM chunk
           WHERE task = ? AND first_line <= ? AND first_line + count - 1 <= ? ORDER BY first_line LIMIT ?`,
      ),
      delete: db.prepare('DELETE FROM chunk WHERE position = ?'),
      times: db.prepare<[number], { minTime: number | null; maxTime: number | null }>(
        'SELECT min(min_time) AS minTime, max(max_time) AS maxTime FROM chunk WHERE task = ?',
      ),
    };
    this.look();
  }

  get epoch(): string {
    return this.#store.epoch;
  }

  get generation(): number {
    return this.#store.generation;
  }

  get nextPosition(): number {
    return this.#store.nextPosition;
  }

  /** Looks whether another connection has committed; if so, what is known is read anew. */
  look(): void {
    const version = this.#sql.dataVersion.get() as number;
    if (version !== this.#dataVersion) this.foreign = this.#stale = true;
    if (!this.#stale) return;
    this.#rows.forget();
    this.#store = this.#sql.store.get() as StoreRow;
    this.#dataVersion = version;
    this.#stale = false;
  }

  begin(): void {
    this.#sql.begin.run();
    // Within the transaction: from here on no other connection can commit.
    this.look();
  }

  /** Durable when it returns. Answers the tasks whose head changed other than by an append. */
  commit(): ChangedHead[] {
    this.#rows.flush();
    if (this.#storeDirty) {
      this.#sql.saveStore.run(this.#store.epoch, this.#store.generation, this.#store.nextPosition, this.#store.chunks);
    }
    this.#sql.commit.run();
    this.#storeDirty = false;
    const changed = [...this.#changed].map(({ task, nextLine, revision }) => ({ task, nextLine, revision }));
    this.#changed.clear();
    this.#rows.shrink();
    return changed;
  }

  rollback(): void {
    this.#stale = true;
    this.#rows.forget();
    this.#changed.clear();
    this.#storeDirty = false;
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
    const position = this.#store.nextPosition;
    const firstLine = task.nextLine;
    const { count } = header;
    const gap = header.codec === CODEC_GAP;
    // Lines came, so whoever was thought lost is there.
    if (run.status === 'lost') this.#isolated(() => this.#changeStatus(run, 'running', now));
    // First what can fail; the states change only after it.
    this.#sql.insert.run(
      position,
      task.id,
      firstLine,
      run.id,
      count,
      gap ? null : header.minTime,
      gap ? null : header.maxTime,
      bytes.subarray(0, CHUNK_HEADER_BYTES),
      gap ? null : bytes.subarray(CHUNK_HEADER_BYTES),
    );
    this.#store.nextPosition += count;
    this.#store.chunks++;
    this.#storeDirty = true;
    run.digest = advanceDigest(run.digest, header);
    run.nextSeq += count;
    run.reportedSeq = Math.max(run.reportedSeq, run.nextSeq);
    run.lastSeen = Math.max(run.lastSeen, now);
    task.nextLine += count;
    task.updatedAt = Math.max(task.updatedAt, now);
    if (gap) {
      run.missing += count;
      task.missing += count;
    } else {
      run.lines += count;
      run.textBytes += header.textBytes;
      task.minTime = task.lines === 0 ? header.minTime : Math.min(task.minTime ?? Infinity, header.minTime);
      task.maxTime = task.lines === 0 ? header.maxTime : Math.max(task.maxTime ?? 0, header.maxTime);
      countChunk(task, header, 1);
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
          return this.#markLost(call.before, call.now);
      }
    });
  }

  #isolated<T>(work: () => T): T {
    this.#rows.flush();
    const store = { ...this.#store };
    this.#db.exec('SAVEPOINT call');
    try {
      const result = work();
      this.#rows.flush();
      this.#db.exec('RELEASE call');
      return result;
    } catch (error) {
      this.#rows.forget();
      this.#store = store;
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
      task.name = open.taskName ?? task.name;
      task.pipeline = open.pipelineId ?? task.pipeline;
      this.#changeStatus(run, 'running', open.now);
    } else if (run.status === 'lost') {
      this.#changeStatus(run, 'running', open.now);
    }
    run.fence++;
    run.lastSeen = Math.max(run.lastSeen, open.now);
    run.reportedSeq = Math.max(run.reportedSeq, open.ackedSeq);
    this.#rows.touch(run);
    if (open.epoch === this.#store.epoch && open.ackedSeq > run.nextSeq) {
      this.#store.epoch = randomUUID();
      this.#store.generation++;
      this.#storeDirty = true;
    }
    const { fence, nextSeq, digest, endedAt } = run;
    return { epoch: this.#store.epoch, fence, nextSeq, digest, ended: endedAt !== null };
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

  #markLost(before: number, now: number): { task: string; run: string }[] {
    const silent = this.#sql.silent.all(before);
    for (const { task, run } of silent) this.#changeStatus(this.#rows.run(task, run) as RunState, 'lost', now);
    return silent;
  }

  #changeStatus(run: RunState, status: RunStatus, now: number): void {
    const { task } = run;
    run.status = status;
    task.revision++;
    task.updatedAt = Math.max(task.updatedAt, now);
    this.#rows.touch(run);
    this.#rows.touch(task);
    this.#changed.add(task);
    // The rule reads rows.
    this.#rows.flush();
    const newest = this.#sql.span.get(task.newestRun) as RunSpan;
    task.status = taskStatus([...this.#sql.spans.all(task.id, newest.startedAt), newest]);
    this.#rows.touch(task);
  }

  /**
   * Forgets up to `limit` chunks of the task that end at or below `throughLine`. `done` when none is left.
   */
  trim(name: string, throughLine: number, limit: number): { trimmedLine: number; done: boolean } {
    const task = this.#rows.task(name);
    if (!task) return { trimmedLine: 0, done: true };
    const chunks = this.#sql.trimmable.all(task.id, throughLine, throughLine, limit);
    for (const { position, firstLine, header: bytes } of chunks) {
      const header = readStoredHeader(bytes);
      this.#sql.delete.run(position);
      this.#store.chunks--;
      task.trimmedLine = firstLine + header.count - 1;
      if (header.codec === CODEC_GAP) task.missing -= header.count;
      else countChunk(task, header, -1);
    }
    const done = chunks.length < limit;
    // What is left is dated once, at the end: it takes a look at every chunk's times.
    if (done) Object.assign(task, this.#sql.times.get(task.id));
    this.#storeDirty = true;
    this.#rows.touch(task);
    return { trimmedLine: task.trimmedLine, done };
  }
}

function countChunk(task: TaskState, header: ChunkHeader, sign: 1 | -1): void {
  task.lines += sign * header.count;
  task.textBytes += sign * header.textBytes;
  task.storedBytes += sign * (CHUNK_HEADER_BYTES + header.bodyBytes);
  for (let pair = 0; pair < header.counts.length; pair++) task.counts[pair] += sign * header.counts[pair];
}
