import type Database from 'better-sqlite3';
import type { PipelineQuery, PipelineRecord, TaskStatus } from './store.ts';

const STATUSES = ['pending', 'running', 'succeeded', 'failed', 'cancelled', 'lost'] as const satisfies TaskStatus[];

/** What the tasks of each found pipeline add up to; `found` has its name and the id of its first task. */
const SUMS = `SELECT task.pipeline AS pipelineId, count(*) AS tasks,
  ${STATUSES.map((status) => `sum(task.status = '${status}') AS ${status}`).join(', ')},
  sum(task.runs) AS runs, sum(task.open_runs) AS openRuns,
  total(CASE WHEN task.status <> 'pending' AND task.open_runs = 0 THEN 100 ELSE task_note.progress END) AS progress,
  (SELECT created_at FROM task AS oldest WHERE oldest.id = found.first) AS createdAt,
  max(task.updated_at) AS updatedAt, sum(task.lines) AS lines, sum(task.missing) AS missing,
  sum(task.text_bytes) AS textBytes
  FROM found JOIN task ON task.pipeline = found.pipeline LEFT JOIN task_note ON task_note.task = task.id
  GROUP BY task.pipeline ORDER BY found.first DESC`;

type PipelineRow = Omit<PipelineRecord, 'statuses'> & Record<TaskStatus, number>;

/** Questions about pipelines. A pipeline has no row of its own: the index of tasks by pipeline finds them. */
export class PipelineReads {
  readonly #db: Database.Database;
  readonly #one;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#one = db.prepare<[string], PipelineRow>(
      `WITH found AS (SELECT pipeline, min(id) AS first FROM task WHERE pipeline = ? GROUP BY pipeline) ${SUMS}`,
    );
  }

  one(pipelineId: string): PipelineRecord | undefined {
    const row = this.#one.get(pipelineId);
    return row && pipelineRecord(row);
  }

  list({ limit, before, q }: PipelineQuery): PipelineRecord[] {
    const values: (string | number)[] = [];
    let found = 'SELECT pipeline, min(id) AS first FROM task WHERE pipeline IS NOT NULL';
    if (q !== undefined) {
      // SQLite's lower() folds ASCII only, as is promised.
      found += ' AND instr(lower(pipeline), lower(?)) > 0';
      values.push(q);
    }
    found += ' GROUP BY pipeline';
    if (before !== undefined) {
      found += ' HAVING first < (SELECT min(id) FROM task WHERE pipeline = ?)';
      values.push(before);
    }
    return this.#db
      .prepare<unknown[], PipelineRow>(`WITH found AS (${found} ORDER BY first DESC LIMIT ?) ${SUMS}`)
      .all(...values, limit)
      .map(pipelineRecord);
  }
}

function pipelineRecord({ pending, running, succeeded, failed, cancelled, lost, ...row }: PipelineRow): PipelineRecord {
  return { ...row, statuses: { pending, running, succeeded, failed, cancelled, lost } };
}
