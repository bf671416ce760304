import type Database from 'better-sqlite3';
import { readStoredHeader } from '../../shared/chunk.ts';
import type { EndReason } from '../../shared/wire.ts';
import { packPage, type Page, type PageRow } from './sqlite-page.ts';
import type { Read, RunRecord, RunStatus, TaskHead, TaskQuery, TaskRecord, TaskStatus } from './store.ts';
import { wantsBody } from './wants.ts';

/** Chunks that one read returns at most. */
const MAX_READ_CHUNKS = 4096;

const CHUNK_COLUMNS = `chunk.position, chunk.first_line AS firstLine, chunk.count, chunk.header,
  task.task AS task, run.run AS run`;
const CHUNK_TABLES = 'chunk JOIN task ON task.id = chunk.task JOIN run ON run.id = chunk.run';
const HEAD_COLUMNS = `task.next_line AS nextLine, task.trimmed_line AS trimmedLine, task.revision, task.status,
  task.open_runs AS openRuns, task.runs`;
const TASK_COLUMNS = `${HEAD_COLUMNS}, task.task, task.name, task.pipeline AS pipelineId, task.created_at AS createdAt,
  task.updated_at AS updatedAt, task.lines, task.missing, task.text_bytes AS textBytes,
  task.stored_bytes AS storedBytes, task.min_time AS minTime, task.max_time AS maxTime, task.counts,
  run.exit_code AS exitCode, run.signal, run_info.labels`;
const TASK_TABLES = 'task JOIN run ON run.id = task.newest_run JOIN run_info ON run_info.run = task.newest_run';

type ChunkRow = Omit<PageRow, 'body'>;
type TaskRow = Omit<TaskRecord, 'counts' | 'labels' | 'name' | 'pipelineId'> & {
  counts: string;
  labels: string;
  name: string | null;
  pipelineId: string | null;
};
interface RunRow extends Omit<RunRecord, 'labels' | 'verified' | 'pipelineId' | 'taskName' | 'command'> {
  status: RunStatus;
  reason: EndReason | null;
  labels: string;
  verified: number | null;
  pipelineId: string | null;
  taskName: string | null;
  command: string | null;
}

/** Everything that only looks. Each call sees one state of the store and holds nothing afterwards. */
export class Reads {
  readonly #db: Database.Database;
  readonly #sql;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#sql = {
      store: db.prepare<[], { epoch: string; generation: number; nextPosition: number; chunks: number }>(
        'SELECT epoch, generation, next_position AS nextPosition, chunks FROM store',
      ),
      head: db.prepare<[string], TaskHead>(`SELECT ${HEAD_COLUMNS} FROM task WHERE task = ?`),
      place: db.prepare<[string], { id: number; nextLine: number; trimmedLine: number }>(
        'SELECT id, next_line AS nextLine, trimmed_line AS trimmedLine FROM task WHERE task = ?',
      ),
      // The chunk that holds a line is the last one that starts at or before it.
      byLine: db.prepare<[number, number, number], ChunkRow>(
        `SELECT ${CHUNK_COLUMNS} FROM ${CHUNK_TABLES} WHERE chunk.task = ? AND chunk.first_line >=
           (SELECT max(first_line) FROM chunk WHERE task = ? AND first_line <= ?)
           ORDER BY chunk.first_line LIMIT ${MAX_READ_CHUNKS}`,
      ),
      byPosition: db.prepare<[number], ChunkRow>(
        `SELECT ${CHUNK_COLUMNS} FROM ${CHUNK_TABLES} WHERE chunk.position >= ?
           ORDER BY chunk.position LIMIT ${MAX_READ_CHUNKS}`,
      ),
      holder: db.prepare<[number], { position: number; count: number }>(
        'SELECT position, count FROM chunk WHERE position <= ? ORDER BY position DESC LIMIT 1',
      ),
      body: db.prepare<[number], Buffer>('SELECT body FROM chunk WHERE position = ?').pluck(),
      task: db.prepare<[string], TaskRow>(`SELECT ${TASK_COLUMNS} FROM ${TASK_TABLES} WHERE task.task = ?`),
      runs: db.prepare<[string], RunRow>(
        `SELECT task.task, run.run, run.status, run_info.pipeline AS pipelineId, run_info.worker AS workerId,
           run_info.name AS taskName, run_info.labels, run_info.command, run_info.agent_version AS agentVersion,
           run.started_at AS startedAt, run_info.opened_at AS openedAt, run.last_seen AS lastSeen,
           run.ended_at AS endedAt, run.exit_code AS exitCode, run.signal, run.reason, run.next_seq AS nextSeq,
           run.reported_seq AS reportedSeq, run.digest, run.verified, run.lines, run.text_bytes AS textBytes,
           run.missing FROM task JOIN run ON run.task = task.id JOIN run_info ON run_info.run = run.id
           WHERE task.task = ? ORDER BY run.id`,
      ),
    };
  }

  store(): { epoch: string; generation: number; nextPosition: number; chunks: number } {
    const row = this.#sql.store.get();
    if (!row) throw new Error('the store has lost its first row');
    return row;
  }

  read(read: Read): Page {
    const { from } = read;
    return this.#db.transaction(() =>
      'task' in from ? this.#fromLine(from.task, from.line, read) : this.#fromPosition(from.position, read),
    )();
  }

  #fromLine(task: string, line: number, read: Read): Page {
    const place = this.#sql.place.get(task);
    const from = Math.max(1, line);
    if (!place || from >= place.nextLine) return packPage([]);
    const { id, trimmedLine } = place;
    const trimmed = from <= trimmedLine ? { task, firstLine: from, count: trimmedLine - from + 1 } : undefined;
    const rows = this.#sql.byLine.iterate(id, id, Math.max(from, trimmedLine + 1));
    return packPage(this.#withBodies(rows, read), trimmed);
  }

  #fromPosition(position: number, read: Read): Page {
    const holder = this.#sql.holder.get(position);
    const holds = holder !== undefined && holder.position + holder.count > position;
    return packPage(this.#withBodies(this.#sql.byPosition.iterate(holds ? holder.position : position), read));
  }

  /** Fetches the bodies that are wanted, until they are too many. */
  #withBodies(rows: Iterable<ChunkRow>, { maxBytes, wants }: Read): PageRow[] {
    const page: PageRow[] = [];
    let bytes = 0;
    for (const row of rows) {
      const header = readStoredHeader(row.header);
      if (!wantsBody(wants, header)) {
        page.push(row);
        continue;
      }
      bytes += header.bodyBytes;
      if (bytes > maxBytes && page.length > 0) break;
      page.push({ ...row, body: this.#sql.body.get(row.position) });
    }
    return page;
  }

  heads(tasks: readonly string[]): (TaskHead | undefined)[] {
    return this.#db.transaction(() => tasks.map((task) => this.#sql.head.get(task)))();
  }

  task(task: string): TaskRecord | undefined {
    const row = this.#sql.task.get(task);
    return row && taskRecord(row);
  }

  runs(task: string): RunRecord[] {
    return this.#sql.runs.all(task).map(({ pipelineId, taskName, command, ...row }) => ({
      ...row,
      ...given({ pipelineId, taskName, command }),
      labels: JSON.parse(row.labels) as Record<string, string>,
      verified: row.verified === null ? null : row.verified === 1,
    }));
  }

  tasks(query: TaskQuery): TaskRecord[] {
    const { conditions, values } = taskConditions(query);
    const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
    const sql = `SELECT ${TASK_COLUMNS} FROM ${TASK_TABLES} ${where} ORDER BY task.id DESC LIMIT ?`;
    return this.#db
      .prepare<unknown[], TaskRow>(sql)
      .all(...values, query.limit)
      .map(taskRecord);
  }
}

function taskConditions(query: TaskQuery): { conditions: string[]; values: (string | number)[] } {
  const conditions: string[] = [];
  const values: (string | number)[] = [];
  const add = (condition: string, ...bound: (string | number)[]): void => {
    conditions.push(condition);
    values.push(...bound);
  };
  if (query.before !== undefined) add('task.id < (SELECT id FROM task WHERE task = ?)', query.before);
  if (query.status !== undefined) add('task.status = ?', query.status satisfies TaskStatus);
  if (query.pipelineId !== undefined) add('task.pipeline = ?', query.pipelineId);
  if (query.since !== undefined) add('task.created_at >= ?', query.since);
  if (query.q !== undefined) {
    // SQLite's lower() folds ASCII only, as is promised.
    add('(instr(lower(task.task), lower(?)) > 0 OR instr(lower(task.name), lower(?)) > 0)', query.q, query.q);
  }
  for (const [key, value] of Object.entries(query.labels ?? {})) {
    add(
      'EXISTS (SELECT 1 FROM json_each(run_info.labels) AS label WHERE label.key = ? AND label.value = ?)',
      key,
      value,
    );
  }
  return { conditions, values };
}

function taskRecord({ name, pipelineId, ...row }: TaskRow): TaskRecord {
  return {
    ...row,
    ...given({ name, pipelineId }),
    labels: JSON.parse(row.labels) as Record<string, string>,
    counts: JSON.parse(row.counts) as number[],
  };
}

/** Without the members that are null. */
function given<Name extends string>(members: Record<Name, string | null>): Partial<Record<Name, string>> {
  const entries = Object.entries<string | null>(members).filter(([, value]) => value !== null);
  return Object.fromEntries(entries) as Partial<Record<Name, string>>;
}
