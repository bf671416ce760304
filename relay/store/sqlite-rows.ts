import type Database from 'better-sqlite3';
import { EMPTY_DIGEST } from '../../shared/digest.ts';
import { PAIRS } from '../../shared/line.ts';
import type { EndReason } from '../../shared/wire.ts';
import type { OpenRun, RunStatus, TaskStatus } from './store.ts';

/** What the writer knows of a task; the columns of its row. */
export interface TaskState {
  id: number;
  task: string;
  dirty: boolean;
  updatedAt: number;
  status: TaskStatus;
  revision: number;
  runs: number;
  openRuns: number;
  newestRun: number | null;
  nextLine: number;
  trimmedLine: number;
  /** The position of that line, -1 if there is none. */
  trimmedPosition: number;
  /** The position behind the last line, 0 without lines. */
  endPosition: number;
  lines: number;
  missing: number;
  textBytes: number;
  storedBytes: number;
  minTime: number | null;
  maxTime: number | null;
  counts: number[];
  name: string | null;
  pipeline: string | null;
  pinned: boolean;
  /** Small chunks that were not yet looked at for merging, and the line of the first of them. */
  loose: number;
  looseFrom: number;
}

/** What the writer knows of a run. */
export interface RunState {
  id: number;
  run: string;
  task: TaskState;
  dirty: boolean;
  fence: number;
  status: RunStatus;
  startedAt: number;
  lastSeen: number;
  nextSeq: number;
  reportedSeq: number;
  digest: string;
  lines: number;
  missing: number;
  textBytes: number;
  endedAt: number | null;
  exitCode: number | null;
  signal: string | null;
  reason: EndReason | null;
  verified: boolean | null;
  /** What its row says of what indexes are made of. */
  readonly indexed: { status: RunStatus; endedAt: number | null };
}

type Row<T> = { [Name in keyof T]: T[Name] extends boolean | null ? number | null : T[Name] };
type TaskRow = Omit<TaskState, 'dirty' | 'counts' | 'pinned'> & { counts: string; pinned: number };
type RunRow = Row<Omit<RunState, 'dirty' | 'task' | 'indexed'>>;

/** States kept between groups; above it they are all forgotten and read again. */
const MAX_STATES = 8192;

/**
 * The rows of tasks and runs as objects, read once and written back once a group. What they hold is the truth only
 * inside a write transaction, and only while no other connection has committed: `forget` when that may be so.
 */
export class Rows {
  readonly #tasks = new Map<string, TaskState>();
  readonly #runs = new Map<string, RunState>();
  readonly #dirty: (TaskState | RunState)[] = [];
  readonly #sql;

  constructor(db: Database.Database) {
    this.#sql = {
      task: db.prepare<[string], TaskRow>(
        `SELECT id, task, updated_at AS updatedAt, status, revision, runs, open_runs AS openRuns,
           newest_run AS newestRun, next_line AS nextLine, trimmed_line AS trimmedLine,
           trimmed_position AS trimmedPosition, end_position AS endPosition, lines, missing,
           text_bytes AS textBytes, stored_bytes AS storedBytes, min_time AS minTime, max_time AS maxTime, counts,
           name, pipeline, pinned, loose, loose_from AS looseFrom FROM task WHERE task = ?`,
      ),
      run: db.prepare<[number, string], RunRow>(
        `SELECT id, run, fence, status, started_at AS startedAt, last_seen AS lastSeen, next_seq AS nextSeq,
           reported_seq AS reportedSeq, digest, lines, missing, text_bytes AS textBytes, ended_at AS endedAt,
           exit_code AS exitCode, signal, reason, verified FROM run WHERE task = ? AND run = ?`,
      ),
      newTask: db.prepare(
        `INSERT INTO task (task, created_at, updated_at, status, revision, runs, open_runs, next_line, trimmed_line,
           trimmed_position, end_position, lines, missing, text_bytes, stored_bytes, counts, pinned, loose, loose_from)
           VALUES (?, ?, ?, 'pending', 0, 0, 0, 1, 0, -1, 0, 0, 0, 0, 0, ?, 0, 0, 1)`,
      ),
      newRun: db.prepare(
        `INSERT INTO run (task, run, fence, status, started_at, last_seen, next_seq, reported_seq, digest, lines,
           missing, text_bytes) VALUES (?, ?, 0, 'running', ?, ?, 0, 0, '${EMPTY_DIGEST}', 0, 0, 0)`,
      ),
      newRunInfo: db.prepare(
        `INSERT INTO run_info (run, opened_at, pipeline, worker, name, agent_version, labels, command)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      ),
      saveTask: db.prepare(
        `UPDATE task SET updated_at = ?, status = ?, revision = ?, runs = ?, open_runs = ?, newest_run = ?,
           next_line = ?, trimmed_line = ?, trimmed_position = ?, end_position = ?, lines = ?, missing = ?, text_bytes = ?, stored_bytes = ?, min_time = ?,
           max_time = ?, counts = ?, pinned = ?, loose = ?, loose_from = ? WHERE id = ?`,
      ),
      // Not with the rest, which every append writes: the index of pipelines would be written with it.
      rename: db.prepare('UPDATE task SET name = ?, pipeline = ? WHERE id = ?'),
      saveRun: db.prepare(
        `UPDATE run SET fence = ?, last_seen = ?, next_seq = ?, reported_seq = ?, digest = ?, lines = ?, missing = ?,
           text_bytes = ? WHERE id = ?`,
      ),
      // Apart from what every append writes, as above: SQLite writes an index anew whenever its columns are set.
      saveStatus: db.prepare(
        'UPDATE run SET status = ?, ended_at = ?, exit_code = ?, signal = ?, reason = ?, verified = ? WHERE id = ?',
      ),
    };
  }

  task(task: string): TaskState | undefined {
    const known = this.#tasks.get(task);
    if (known) return known;
    const row = this.#sql.task.get(task);
    if (!row) return undefined;
    const [counts, pinned] = [JSON.parse(row.counts) as number[], row.pinned === 1];
    return this.#keepTask({ ...row, counts, pinned, dirty: false });
  }

  run(task: string, run: string): RunState | undefined {
    const known = this.#runs.get(run + task);
    if (known) return known;
    const owner = this.task(task);
    const row = owner && this.#sql.run.get(owner.id, run);
    if (!row) return undefined;
    const verified = row.verified === null ? null : row.verified === 1;
    const { status, endedAt } = row;
    return this.#keepRun({ ...row, verified, task: owner, dirty: false, indexed: { status, endedAt } });
  }

  createTask(task: string, now: number): TaskState {
    this.#sql.newTask.run(task, now, now, JSON.stringify(new Array(PAIRS).fill(0)));
    return this.task(task) as TaskState;
  }

  createRun(task: TaskState, open: OpenRun): RunState {
    const id = this.#sql.newRun.run(task.id, open.run, open.startedAt, open.now).lastInsertRowid;
    this.#sql.newRunInfo.run(
      id,
      open.now,
      open.pipelineId ?? null,
      open.workerId,
      open.taskName ?? null,
      open.agentVersion,
      JSON.stringify(open.labels),
      open.command ?? null,
    );
    return this.run(task.task, open.run) as RunState;
  }

  /** Writes what a task is called, at once. */
  rename(task: TaskState, { name, pipeline }: Pick<TaskState, 'name' | 'pipeline'>): void {
    if (name === task.name && pipeline === task.pipeline) return;
    this.#sql.rename.run(name, pipeline, task.id);
    task.name = name;
    task.pipeline = pipeline;
  }

  /** Says that a state has changed and is to be written. */
  touch(state: TaskState | RunState): void {
    if (state.dirty) return;
    state.dirty = true;
    this.#dirty.push(state);
  }

  /** Writes what has changed. */
  flush(): void {
    for (const state of this.#dirty) {
      if ('counts' in state) this.#saveTask(state);
      else this.#saveRun(state);
      state.dirty = false;
    }
    this.#dirty.length = 0;
  }

  /** Drops everything, also what was not written. */
  forget(): void {
    this.#tasks.clear();
    this.#runs.clear();
    this.#dirty.length = 0;
  }

  /** To be called between groups: bounds what is kept. */
  shrink(): void {
    if (this.#tasks.size > MAX_STATES || this.#runs.size > MAX_STATES) this.forget();
  }

  #saveTask(task: TaskState): void {
    this.#sql.saveTask.run(
      task.updatedAt,
      task.status,
      task.revision,
      task.runs,
      task.openRuns,
      task.newestRun,
      task.nextLine,
      task.trimmedLine,
      task.trimmedPosition,
      task.endPosition,
      task.lines,
      task.missing,
      task.textBytes,
      task.storedBytes,
      task.minTime,
      task.maxTime,
      JSON.stringify(task.counts),
      Number(task.pinned),
      task.loose,
      task.looseFrom,
      task.id,
    );
  }

  #saveRun(run: RunState): void {
    this.#sql.saveRun.run(
      run.fence,
      run.lastSeen,
      run.nextSeq,
      run.reportedSeq,
      run.digest,
      run.lines,
      run.missing,
      run.textBytes,
      run.id,
    );
    const { status, endedAt, indexed } = run;
    if (status === indexed.status && endedAt === indexed.endedAt) return;
    const verified = run.verified === null ? null : Number(run.verified);
    this.#sql.saveStatus.run(status, endedAt, run.exitCode, run.signal, run.reason, verified, run.id);
    Object.assign(indexed, { status, endedAt });
  }

  #keepTask(task: TaskState): TaskState {
    this.#tasks.set(task.task, task);
    return task;
  }

  #keepRun(run: RunState): RunState {
    this.#runs.set(run.run + run.task.task, run);
    return run;
  }
}
