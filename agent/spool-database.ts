import { closeSync, existsSync, openSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { SpoolMeta } from './spool-contract.ts';
import { APPLICATION_ID, FORMAT_VERSION, SCHEMA } from './spool-schema.ts';

/** Makes the database of a new spool, for the user alone. Throws if there is one. */
export function createDatabase(path: string, meta: SpoolMeta): Database.Database {
  // SQLite gives -wal and -shm the mode of the file.
  closeSync(openSync(path, 'wx', 0o600));
  return opened(new Database(path), (db) => {
    // Nothing is lost if power fails while the file is empty.
    db.pragma('synchronous = OFF');
    db.pragma('journal_mode = WAL');
    db.exec(SCHEMA);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.pragma(`user_version = ${FORMAT_VERSION}`);
    db.prepare('INSERT INTO meta VALUES (?, ?)').run('meta', JSON.stringify(meta));
    return tuned(db);
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
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  db.pragma(`journal_size_limit = ${CHECKPOINT_PAGES * 4096}`);
  db.pragma('busy_timeout = 5000');
  return db;
}

/** 16 MiB: a checkpoint waits for the disk, so have few of them. */
const CHECKPOINT_PAGES = 4096;
