import Database from 'better-sqlite3';
import { randomUUID } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';

/**
 * The store's file. Positions and line numbers are given once and never change; a chunk's body stands last in its row
 * so that reading headers skips the overflow pages. What an append changes is kept in small rows: what a run said of
 * itself (labels can be long) lies apart in run_info, and what is said of a task in task_note.
 *
 * A chunk as it was appended holds consecutive lines of one run at consecutive positions. One that was merged may
 * hold those of several runs, at positions with others' between them: whose and where stands in `merged`
 * (pieces.ts). Its row has the run, seq and position of its first line.
 */
const SCHEMA = `
  CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch TEXT NOT NULL,
    generation INTEGER NOT NULL,      -- counts epochs, so that an older answer never overwrites a newer one
    next_position INTEGER NOT NULL,
    change INTEGER NOT NULL,          -- counts what changes a task's revision
    chunks INTEGER NOT NULL,
    bytes INTEGER NOT NULL            -- of chunks that have lines: headers and bodies
  );
  CREATE TABLE task (
    id INTEGER PRIMARY KEY,
    task TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    revision INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    open_runs INTEGER NOT NULL,
    newest_run INTEGER,
    next_line INTEGER NOT NULL,
    trimmed_line INTEGER NOT NULL,
    trimmed_position INTEGER NOT NULL, -- of that line; -1 if none is trimmed
    end_position INTEGER NOT NULL,    -- behind the last line; 0 without lines
    lines INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    text_bytes INTEGER NOT NULL,
    stored_bytes INTEGER NOT NULL,
    min_time INTEGER,
    max_time INTEGER,
    counts TEXT NOT NULL,             -- JSON, lines per source-and-level pair
    name TEXT,
    pipeline TEXT,
    pinned INTEGER NOT NULL,
    loose INTEGER NOT NULL,           -- small chunks that nobody has looked at yet whether they can be merged,
    loose_from INTEGER NOT NULL       -- and the line of the first of them
  );
  CREATE INDEX task_pipeline ON task (pipeline) WHERE pipeline IS NOT NULL;
  CREATE TABLE task_note (
    task INTEGER PRIMARY KEY,
    message TEXT,
    progress REAL,
    error_code TEXT
  );
  CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    task INTEGER NOT NULL,
    run TEXT NOT NULL,
    fence INTEGER NOT NULL,
    status TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    next_seq INTEGER NOT NULL,
    reported_seq INTEGER NOT NULL,
    digest TEXT NOT NULL,
    lines INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    text_bytes INTEGER NOT NULL,
    ended_at INTEGER,
    exit_code INTEGER,
    signal TEXT,
    reason TEXT,
    verified INTEGER,
    UNIQUE (task, run)
  );
  CREATE INDEX run_ended ON run (task, ended_at);
  CREATE INDEX run_running ON run (task) WHERE status = 'running';
  CREATE TABLE run_info (
    run INTEGER PRIMARY KEY,
    opened_at INTEGER NOT NULL,
    pipeline TEXT,
    worker TEXT NOT NULL,
    name TEXT,
    agent_version TEXT NOT NULL,
    labels TEXT NOT NULL,             -- JSON
    command TEXT
  );
  CREATE TABLE chunk (
    position INTEGER PRIMARY KEY,
    task INTEGER NOT NULL,
    first_line INTEGER NOT NULL,
    run INTEGER NOT NULL,
    count INTEGER NOT NULL,
    min_time INTEGER,                 -- NULL: a gap
    max_time INTEGER,
    at INTEGER NOT NULL,              -- when it was taken in, ms; of a merged one, the last of its lines
    level INTEGER NOT NULL,           -- how often its lines were merged (merge-plan.ts)
    runs INTEGER NOT NULL,            -- 0: as appended; else how many runs it holds, and merged says more
    header BLOB NOT NULL,
    body BLOB
  );
  -- The times, so that what a trim leaves is dated without touching a row.
  CREATE INDEX chunk_line ON chunk (task, first_line, min_time, max_time);
  CREATE TABLE merged (
    position INTEGER PRIMARY KEY,     -- of the chunk
    last_position INTEGER NOT NULL,
    pieces BLOB NOT NULL
  );
  CREATE INDEX merged_last ON merged (last_position);
`;

/** Stands in the file as user_version; a program reads its own format only. */
const STORE_FORMAT = 4;
/** Stands in the file as application_id: "krut". */
const APPLICATION_ID = 0x6b727574;
/** How long one handle waits for another's commit before it says so. */
const BUSY_TIMEOUT_MS = 10_000;
/** Overflow pages are half empty at the end of each body: larger pages would waste more than they save. */
export const PAGE_BYTES = 4096;
const CACHE_KIB = 32 * 1024;
/** The write-ahead log is cut back to this after it had to grow. */
const JOURNAL_LIMIT_BYTES = 64 * 1024 * 1024;

/**
 * Opens the file for writing and creates what is missing. `maxBytes` bounds its size. Throws an Error that says what is
 * wrong with the file: no store, another format.
 */
export function openForWriting(path: string, maxBytes?: number): Database.Database {
  makeFile(path);
  const db = new Database(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    checkFormat(db, path);
    // Both take effect only while the file is empty, hence before anything that writes.
    db.pragma(`page_size = ${PAGE_BYTES}`);
    db.pragma('auto_vacuum = INCREMENTAL');
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma(`cache_size = -${CACHE_KIB}`);
    db.pragma(`journal_size_limit = ${JOURNAL_LIMIT_BYTES}`);
    // The writer checkpoints by itself: SQLite's own checkpoint after a commit swallows errors of fsync.
    db.pragma('wal_autocheckpoint = 0');
    if (maxBytes !== undefined) db.pragma(`max_page_count = ${Math.floor(maxBytes / PAGE_BYTES)}`);
    db.transaction(create).immediate(db, path);
    // What a process left behind that ended on a failed fsync may be in memory only, and another fsync of the same pages
    // would not say so. Copied into the file it is written anew.
    db.pragma('wal_checkpoint(PASSIVE)');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Opens the file, which has to be a store, for reading. */
export function openForReading(path: string): Database.Database {
  const db = new Database(path, { timeout: BUSY_TIMEOUT_MS, fileMustExist: true });
  try {
    checkFormat(db, path);
    db.pragma('query_only = ON');
    db.pragma('wal_autocheckpoint = 0');
    db.pragma(`cache_size = -${CACHE_KIB}`);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Makes the file, if there is none, for its owner alone: SQLite would let everybody read it, and gives -wal and -shm its
 * mode. One that is there is not opened: closing it would cost this process the locks that it has on it.
 */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch {
    // It is there; or it can't be made, which SQLite will say.
  }
}

function create(db: Database.Database, path: string): void {
  // Another handle may have created it since it was looked at.
  if (checkFormat(db, path) === 'store') return;
  db.exec(SCHEMA);
  db.prepare('INSERT INTO store VALUES (1, ?, 1, 0, 0, 0, 0)').run(randomUUID());
  db.pragma(`application_id = ${APPLICATION_ID}`);
  db.pragma(`user_version = ${STORE_FORMAT}`);
}

function checkFormat(db: Database.Database, path: string): 'empty' | 'store' {
  let application, format;
  try {
    application = db.pragma('application_id', { simple: true });
    format = db.pragma('user_version', { simple: true });
  } catch (error) {
    if (!(error instanceof Database.SqliteError) || error.code !== 'SQLITE_NOTADB') throw error;
    throw new Error(`${path} is not a keruta store: ${error.message}`, { cause: error });
  }
  if (application === 0 && format === 0 && db.prepare('SELECT 1 FROM sqlite_schema').get() === undefined)
    return 'empty';
  if (application !== APPLICATION_ID) throw new Error(`${path} is an SQLite file, but not a keruta store`);
  if (format !== STORE_FORMAT) {
    const advice =
      Number(format) < STORE_FORMAT
        ? 'it was made by an earlier development version, of which nothing was released. Move it away: a new store is made then'
        : 'it was made by a newer version. Run that one, or move the store away';
    throw new Error(`${path} has store format ${String(format)}; this program reads format ${STORE_FORMAT}: ${advice}`);
  }
  return 'store';
}
