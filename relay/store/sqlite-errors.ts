import Database from 'better-sqlite3';
import type { Failure } from './sqlite-group.ts';

/** What an error of the engine means to a caller. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof Database.SqliteError)) {
    return { reason: 'other', message: error instanceof Error ? error.message : String(error) };
  }
  const message = `${error.message} (${error.code})`;
  if (error.code === 'SQLITE_FULL') return { reason: 'full', message };
  return { reason: error.code.startsWith('SQLITE_IOERR') ? 'io' : 'other', message };
}
