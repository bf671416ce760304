import type Database from 'better-sqlite3';
import type { TaskNote } from './store.ts';

interface NoteRow {
  message: string | null;
  progress: number | null;
  errorCode: string | null;
}

/** What was said of tasks. */
export class Notes {
  readonly #sql;

  constructor(db: Database.Database) {
    this.#sql = {
      note: db.prepare<[number], NoteRow>(
        'SELECT message, progress, error_code AS errorCode FROM task_note WHERE task = ?',
      ),
      save: db.prepare('INSERT OR REPLACE INTO task_note (task, message, progress, error_code) VALUES (?, ?, ?, ?)'),
    };
  }

  /** Members that are absent stay as they are. */
  write(task: number, { message, progress, errorCode }: TaskNote): void {
    const before = this.#sql.note.get(task);
    this.#sql.save.run(
      task,
      message === undefined ? (before?.message ?? null) : message,
      progress === undefined ? (before?.progress ?? null) : progress,
      errorCode === undefined ? (before?.errorCode ?? null) : errorCode,
    );
  }
}
