import type { RunStatus, TaskStatus } from '../store/store.ts';
import { fileBytes, openSnapshot } from './store-file.ts';

/** What a store holds. Sizes are bytes, times ms since 1970. */
export interface Stats {
  file: string;
  epoch: string;
  /** On the disk; of it, in the write-ahead log; and of it, free to be used again. */
  fileBytes: number;
  pendingBytes: number;
  freeBytes: number;
  tasks: number;
  tasksByStatus: Partial<Record<TaskStatus, number>>;
  runs: number;
  runsByStatus: Partial<Record<RunStatus, number>>;
  chunks: number;
  lines: number;
  /** Lines that gaps stand for, without trimmed ones. */
  missing: number;
  /** Of the lines' text, line ends included. */
  textBytes: number;
  /** Of the chunks that hold them. */
  storedBytes: number;
  /** Stored bytes to bytes of text; null without text. */
  ratio: number | null;
  /** Times of the earliest and latest line; null without lines. */
  oldest: number | null;
  newest: number | null;
  /** Those whose chunks take most. */
  biggest: { task: string; status: TaskStatus; lines: number; storedBytes: number }[];
}

/** Counts what is in a store's file. A relay may be using it. */
export function storeStats(path: string): Stats {
  const db = openSnapshot(path);
  try {
    const one = (sql: string): Row => db.prepare<[], Row>(sql).get() as Row;
    const byStatus = <Status extends string>(table: string): Partial<Record<Status, number>> =>
      Object.fromEntries(
        db
          .prepare<[], { status: Status; count: number }>(
            `SELECT status, count(*) AS count FROM ${table} GROUP BY status ORDER BY status`,
          )
          .all()
          .map(({ status, count }) => [status, count]),
      ) as Partial<Record<Status, number>>;
    const sums = one(
      `SELECT count(*) AS tasks, coalesce(sum(lines), 0) AS lines, coalesce(sum(missing), 0) AS missing,
         coalesce(sum(text_bytes), 0) AS textBytes, coalesce(sum(stored_bytes), 0) AS storedBytes,
         min(min_time) AS oldest, max(max_time) AS newest FROM task`,
    ) as Pick<Stats, 'tasks' | 'lines' | 'missing' | 'textBytes' | 'storedBytes' | 'oldest' | 'newest'>;
    const { epoch } = one('SELECT epoch FROM store') as Pick<Stats, 'epoch'>;
    const { chunks } = one('SELECT count(*) AS chunks FROM chunk') as Pick<Stats, 'chunks'>;
    const runsByStatus = byStatus<RunStatus>('run');
    const { bytes, pendingBytes } = fileBytes(path);
    return {
      file: path,
      epoch,
      fileBytes: bytes,
      pendingBytes,
      freeBytes:
        (db.pragma('freelist_count', { simple: true }) as number) *
        (db.pragma('page_size', { simple: true }) as number),
      tasks: sums.tasks,
      tasksByStatus: byStatus<TaskStatus>('task'),
      runs: Object.values(runsByStatus).reduce((sum, count) => sum + count, 0),
      runsByStatus,
      chunks,
      lines: sums.lines,
      missing: sums.missing,
      textBytes: sums.textBytes,
      storedBytes: sums.storedBytes,
      ratio: sums.textBytes === 0 ? null : sums.storedBytes / sums.textBytes,
      oldest: sums.oldest,
      newest: sums.newest,
      biggest: db
        .prepare<[number], Stats['biggest'][number]>(
          `SELECT task, status, lines, stored_bytes AS storedBytes FROM task WHERE stored_bytes > 0
             ORDER BY stored_bytes DESC, id LIMIT ?`,
        )
        .all(BIGGEST_TASKS),
    };
  } finally {
    db.close();
  }
}

type Row = Record<string, unknown>;

const BIGGEST_TASKS = 10;
