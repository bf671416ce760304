import type Database from 'better-sqlite3';
import { ChunkError, readStoredHeader } from '../../shared/chunk.ts';
import type { EndReason } from '../../shared/wire.ts';
import { decodeStored, type StoredBytes } from './decode.ts';
import { decodePieces, runsOfPieces } from './pieces.ts';
import { GroupReads } from './sqlite-groups.ts';
import { headerOf, packPage, storedOf, type Page, type PageRow, type WalkedPage } from './sqlite-page.ts';
import { PipelineReads } from './sqlite-pipelines.ts';
import { PositionReads } from './sqlite-positions.ts';
import type { Read, Stored, RunRecord, RunStatus, TaskHead, TaskQuery, TaskRecord, TaskStatus, Walk } from './store.ts';
import { wantsBody } from './wants.ts';

/** Chunks that one read returns at most. */
const MAX_READ_CHUNKS = 4096;
/** What the bodies of one read may become when they are decompressed: readers hold them all for a moment. */
const MAX_READ_RAW_BYTES = 4 * 1024 * 1024;

const CHUNK_COLUMNS = `chunk.position, chunk.first_line AS firstLine, chunk.count, chunk.header,
  chunk.runs AS runCount, task.task AS task, run.run AS run`;
const CHUNK_TABLES = 'chunk JOIN task ON task.id = chunk.task JOIN run ON run.id = chunk.run';
const HEAD_COLUMNS = `task.next_line AS nextLine, task.trimmed_line AS trimmedLine, task.revision, task.status,
  task.open_runs AS openRuns, task.runs`;
const TASK_COLUMNS = `${HEAD_COLUMNS}, task.task, task.name, task.pipeline AS pipelineId, task.created_at AS createdAt,
  task.updated_at AS updatedAt, task.lines, task.missing, task.text_bytes AS textBytes,
  task.stored_bytes AS storedBytes, task.min_time AS minTime, task.max_time AS maxTime, task.counts,
  run.started_at AS startedAt, run.ended_at AS endedAt, run.exit_code AS exitCode, run.signal, run_info.labels, task.pinned, task_note.message, task_note.progress,
  task_note.error_code AS errorCode`;
// A task that is only announced has no run, and most have no note.
const TASK_TABLES = `task LEFT JOIN run ON run.id = task.newest_run LEFT JOIN run_info ON run_info.run = task.newest_run
  LEFT JOIN task_note ON task_note.task = task.id`;

const RUNS = `SELECT task.task, run.run, run.status, run_info.pipeline AS pipelineId, run_info.worker AS workerId,
  run_info.name AS taskName, run_info.labels, run_info.command, run_info.agent_version AS agentVersion,
  run.started_at AS startedAt, run_info.opened_at AS openedAt, run.last_seen AS lastSeen, run.ended_at AS endedAt,
  run.exit_code AS exitCode, run.signal, run.reason, run.next_seq AS nextSeq, run.reported_seq AS reportedSeq,
  run.digest, run.verified, run.lines, run.text_bytes AS textBytes, run.missing
  FROM task JOIN run ON run.task = task.id JOIN run_info ON run_info.run = run.id`;

interface StoreRow {
  epoch: string;
  generation: number;
  nextPosition: number;
  change: number;
  chunks: number;
}
type ChunkRow = Omit<PageRow, 'body' | 'runs'> & { runCount: number };
type TaskRow = Omit<TaskRecord, 'counts' | 'labels' | 'name' | 'pipelineId' | 'pinned'> & {
  counts: string;
  labels: string | null;
  pinned: number;
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
  readonly pipelines: PipelineReads;
  readonly #db: Database.Database;
  readonly #positions: PositionReads;
  readonly #groups: GroupReads;
  readonly #sql;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#positions = new PositionReads(db);
    this.#groups = new GroupReads(db, this.#positions);
    this.pipelines = new PipelineReads(db);
    this.#sql = {
      store: db.prepare<[], StoreRow>(
        'SELECT epoch, generation, next_position AS nextPosition, change, chunks FROM store',
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
      pieces: db.prepare<[number], Buffer>('SELECT pieces FROM merged WHERE position = ?').pluck(),
      runName: db.prepare<[number], string>('SELECT run FROM run WHERE id = ?').pluck(),
      later: db.prepare<[number, number], StoredBytes & { firstLine: number }>(
        `SELECT first_line AS firstLine, header, body FROM chunk WHERE task = ? AND max_time > ?
           ORDER BY first_line LIMIT 1`,
      ),
      freeBytes: db
        .prepare<[], number>('SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size')
        .pluck(),
      body: db.prepare<[number], Buffer>('SELECT body FROM chunk WHERE position = ?').pluck(),
      task: db.prepare<[string], TaskRow>(`SELECT ${TASK_COLUMNS} FROM ${TASK_TABLES} WHERE task.task = ?`),
      runs: db.prepare<[string], RunRow>(`${RUNS} WHERE task.task = ? ORDER BY run.id`),
      someRuns: db.prepare<[string, string], RunRow>(
        `${RUNS} WHERE task.task = ? AND run.run IN (SELECT value FROM json_each(?)) ORDER BY run.id`,
      ),
    };
  }

  store(): StoreRow {
    const row = this.#sql.store.get();
    if (!row) throw new Error('the store has lost its first row');
    return row;
  }

  /** As it is sent to another thread. */
  read(read: Read): Page {
    const { rows, trimmed } = this.#rows(read);
    return packPage(rows, trimmed);
  }

  /** As it is used in this one. */
  stored(read: Read): Stored[] {
    const { rows, trimmed } = this.#rows(read);
    const stored = rows.map(storedOf);
    return trimmed ? [{ kind: 'gap', ...trimmed, reason: 'trimmed' }, ...stored] : stored;
  }

  #rows(read: Read): { rows: PageRow[]; trimmed?: Page['trimmed'] } {
    const { from } = read;
    return this.#db.transaction(() =>
      'task' in from
        ? this.#fromLine(from.task, from.line, read)
        : {
            rows: this.#positions.read(from.position, {
              ...{ maxBytes: read.maxBytes, maxRawBytes: MAX_READ_RAW_BYTES, maxChunks: MAX_READ_CHUNKS },
              ...(read.wants && { wants: read.wants }),
            }),
          },
    )();
  }

  walk({ position, maxBytes, wants, group }: Walk): WalkedPage {
    const limits = { maxBytes, maxRawBytes: MAX_READ_RAW_BYTES, maxChunks: MAX_READ_CHUNKS, ...(wants && { wants }) };
    return this.#db.transaction(() => {
      const { rows, nextPosition } =
        group === undefined ? this.#positions.walk(position, limits) : this.#groups.walk(group, position, limits);
      return { ...packPage(rows), nextPosition };
    })();
  }

  #fromLine(task: string, line: number, read: Read): { rows: PageRow[]; trimmed?: Page['trimmed'] } {
    const place = this.#sql.place.get(task);
    const from = Math.max(1, line);
    if (!place || from >= place.nextLine) return { rows: [] };
    const { id, trimmedLine } = place;
    const trimmed = from <= trimmedLine ? { task, firstLine: from, count: trimmedLine - from + 1 } : undefined;
    const rows = this.#sql.byLine.iterate(id, id, Math.max(from, trimmedLine + 1));
    return { rows: this.#withBodies(rows, read), trimmed };
  }

  /** Fetches the bodies that are wanted, until they are too many, as they are or as they will be. */
  #withBodies(rows: Iterable<ChunkRow>, { maxBytes, wants }: Read): PageRow[] {
    const page: PageRow[] = [];
    let bytes = 0;
    let rawBytes = 0;
    for (const { runCount, ...row } of rows) {
      const header = headerOf(row);
      const wanted = header !== undefined && wantsBody(wants, header);
      bytes += wanted ? header.bodyBytes : 0;
      rawBytes += wanted ? header.rawBytes : 0;
      if (wanted && (bytes > maxBytes || rawBytes > MAX_READ_RAW_BYTES) && page.length > 0) break;
      const runs = runCount > 1 ? this.#runsOf(row.position) : undefined;
      // Without one, what the header promises can't be read; its lines are lost, as with any other damage.
      const body = wanted ? (this.#sql.body.get(row.position) ?? Buffer.alloc(0)) : undefined;
      page.push({ ...row, ...(runs && { runs }), ...(body && { body }) });
    }
    return page;
  }

  #runsOf(position: number): { run: string; count: number }[] | undefined {
    let pieces;
    try {
      pieces = decodePieces(this.#sql.pieces.get(position) ?? Buffer.alloc(0));
    } catch (error) {
      // Its lines are there, and count as those of its first run.
      if (error instanceof ChunkError) return undefined;
      throw error;
    }
    return runsOfPieces(pieces).map(({ run, count }) => ({ run: this.#sql.runName.get(run) ?? '', count }));
  }

  /** See the store's contract. */
  lastLineUntil(task: string, time: number): number {
    return this.#db.transaction(() => {
      const place = this.#sql.place.get(task);
      if (!place || place.trimmedLine >= place.nextLine - 1) return 0;
      const later = this.#sql.later.get(place.id, time);
      const line = later ? later.firstLine + linesUntil(later, time) - 1 : place.nextLine - 1;
      return line > place.trimmedLine ? line : 0;
    })();
  }

  size(): { chunks: number; freeBytes: number } {
    return { chunks: this.store().chunks, freeBytes: this.#sql.freeBytes.get() ?? 0 };
  }

  heads(tasks: readonly string[]): (TaskHead | undefined)[] {
    return this.#db.transaction(() => tasks.map((task) => this.#sql.head.get(task)))();
  }

  task(task: string): TaskRecord | undefined {
    const row = this.#sql.task.get(task);
    return row && taskRecord(row);
  }

  runs(task: string, only?: readonly string[]): RunRecord[] {
    const rows = only ? this.#sql.someRuns.all(task, JSON.stringify(only)) : this.#sql.runs.all(task);
    return rows.map(({ pipelineId, taskName, command, ...row }) => ({
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

/** How many lines of a chunk come before the first one that is later than `time`. None, if it can't be read. */
function linesUntil(stored: StoredBytes, time: number): number {
  try {
    const { times } = decodeStored(readStoredHeader(stored.header), stored);
    return times.findIndex((one) => one > time);
  } catch (error) {
    if (error instanceof ChunkError) return 0;
    throw error;
  }
}

function taskRecord({ name, pipelineId, ...row }: TaskRow): TaskRecord {
  return {
    ...row,
    ...given({ name, pipelineId }),
    pinned: row.pinned === 1,
    labels: JSON.parse(row.labels ?? '{}') as Record<string, string>,
    counts: JSON.parse(row.counts) as number[],
  };
}

/** Without the members that are null. */
function given<Name extends string>(members: Record<Name, string | null>): Partial<Record<Name, string>> {
  const entries = Object.entries<string | null>(members).filter(([, value]) => value !== null);
  return Object.fromEntries(entries) as Partial<Record<Name, string>>;
}
