import Database from 'better-sqlite3';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** A lock that is held. It goes with the process, however that ends. */
export interface Lock {
  /** Lets go. Said again, it does nothing. */
  release: () => void;
}

/** Who holds a lock, as the file beside it says. For messages only: what counts is the lock. */
interface Owner {
  pid: number;
  host: string;
}

/** Databases close when they are garbage-collected; a lock must outlive whoever forgets about it. */
const held = new Set<Database.Database>();

/**
 * Takes the lock that the file `path` stands for, without waiting; creates the file in a folder that exists. It holds
 * between processes, threads and containers that share a volume of one machine, and dies with its process.
 *
 * `what` names the guarded thing in messages. Throws an Error that names the holder's pid if the lock is taken, or that
 * says why the file can't be used.
 *
 * The lock is SQLite's exclusive lock on an empty database: an operating system's file lock, for which Node has no call
 * of its own. Such a lock is lost when its process closes the file elsewhere, so nothing else may open `path`; the
 * owner stands in a file of its own, `path`.owner.
 */
export function takeLock(path: string, { what }: { what: string }): Lock {
  const ownerPath = `${path}.owner`;
  const db = lockFile(path, ownerPath, what);
  try {
    writeOwner(ownerPath, { pid: process.pid, host: hostname() });
  } catch (error) {
    db.close();
    throw new Error(`can't lock ${what}: ${(error as Error).message}`, { cause: error });
  }
  held.add(db);
  return {
    release: () => {
      if (!held.delete(db)) return;
      // While the lock is held: afterwards the file may be the next owner's.
      rmSync(ownerPath, { force: true });
      db.close();
    },
  };
}

function lockFile(path: string, ownerPath: string, what: string): Database.Database {
  let db: Database.Database | undefined;
  try {
    db = new Database(path, { timeout: 0 });
    // Nothing is ever written, hence no journal beside the file.
    db.pragma('journal_mode = MEMORY');
    db.exec('BEGIN EXCLUSIVE');
    return db;
  } catch (error) {
    db?.close();
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new Error(`${what} is already in use by ${holder(ownerPath)} (lock ${path})`, { cause: error });
    }
    throw new Error(`can't lock ${what} with ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * In one step, so that no one ever reads half of it. Only who holds the lock writes: what one leaves behind that is killed
 * here, the next one overwrites.
 */
function writeOwner(path: string, owner: Owner): void {
  const temporary = `${path}.new`;
  try {
    writeFileSync(temporary, JSON.stringify(owner));
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function holder(ownerPath: string): string {
  let owner: Owner;
  try {
    owner = JSON.parse(readFileSync(ownerPath, 'utf8')) as Owner;
  } catch {
    // It has only just taken the lock, or is just letting go; that it is taken is what matters.
    return 'another process';
  }
  return `process ${owner.pid} on ${owner.host}`;
}
