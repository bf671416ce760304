import { closeSync, existsSync, openSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { SpoolMeta } from './spool-contract.ts';
import { APPLICATION_ID, FORMAT_VERSION, SCHEMA } from './spool-schema.ts';

/** Makes the database of a new spool, for the user alone, with what `fill` puts into it. Throws if there is one. */
export function createDatabase<T>(path: string, meta: SpoolMeta, fill: (db: Database.Database) => T): T {
  // SQLite gives -wal and -shm the mode of the file.
  closeSync(openSync(path, 'wx', 0o600));
  return opened(new Database(path), (db) => {
    // Nothing is lost if power fails while the file is empty.
    db.pragma('synchronous = OFF');
    db.pragma(`page_size = ${PAGE_BYTES}`);
    db.pragma('journal_mode = WAL');
    const filled = db.transaction(() => {
      db.exec(SCHEMA);
      db.pragma(`application_id = ${APPLICATION_ID}`);
      db.pragma(`user_version = ${FORMAT_VERSION}`);
      db.prepare('INSERT INTO meta VALUES (?, ?)').run('meta', JSON.stringify(meta));
      return fill(db);
    })();
    tuned(db);
    return filled;
  });
}

/** Opens the database of a spool. Throws an Error that says why it can't. */
export function openDatabase(path: string, options: { readonly?: boolean }): Database.Database {
  if (!existsSync(path)) throw new Error('there is no such file');
  return opened(new Database(path, { readonly: options.readonly === true, fileMustExist: true }), (db) => {
    if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID)
      throw new Error('is no spool of keruta-agent');
    const version = db.pragma('user_version', { simple: true }) as number;
    if (version !== FORMAT_VERSION) throw new Error(`has format ${version}, this program reads ${FORMAT_VERSION}`);
    return tuned(db);
  });
}

/** Whether whoever made the file died over it, or had no room: nothing was ever put into it. */
export function isUnborn(path: string): boolean {
  if (!existsSync(path)) return false;
  const db = new Database(path, { fileMustExist: true });
  try {
    return db.prepare('SELECT 1 FROM sqlite_schema').get() === undefined;
  } catch {
    // It is something else, and opening it will say what.
    return false;
  } finally {
    db.close();
  }
}

/** What `use` makes of an open database, which is closed if that fails. */
export function opened<T>(db: Database.Database, use: (db: Database.Database) => T): T {
  try {
    return use(db);
  } catch (error) {
    db.close();
    throw error;
  }
}

function tuned(db: Database.Database): Database.Database {
  db.pragma('synchronous = NORMAL');
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_BYTES / PAGE_BYTES}`);
  db.pragma(`journal_size_limit = ${CHECKPOINT_BYTES}`);
  db.pragma(`cache_size = ${-CACHE_KIB}`);
  db.pragma('busy_timeout = 5000');
  return db;
}

/** Of a new spool: a flood's chunks have some 30 KiB, and every page is written by itself. */
const PAGE_BYTES = 8192;
/** Of pages in memory: rows are appended, and read once at most. SQLite here would keep 16 MiB. */
const CACHE_KIB = 2048;
/** A checkpoint waits for the disk, so have few of them. */
const CHECKPOINT_BYTES = 16 * 1024 * 1024;
