import { statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { takeLock, type Lock } from '../../shared/lock.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { openForWriting } from '../store/sqlite-schema.ts';
import { storeStats } from './stats.ts';
import { fileBytes, requireStore } from './store-file.ts';

/** What became of a store's file. */
export interface Compacted {
  /** Its bytes. */
  before: number;
  after: number;
  chunksBefore: number;
  chunksAfter: number;
  /** Room that a whole rewrite would have needed, where there was less and only free pages were given back. */
  lackedBytes?: number;
}

export interface CompactOptions {
  /** The store's file. */
  path: string;
  dataDir: string;
  /** The data folder's lock. */
  lock: string;
  /** Of the disk, instead of what it says itself. */
  freeBytes?: number;
}

/**
 * Makes a store as small as it can be: merges small chunks, gives back what is free, and where there is room for a
 * second copy writes the file anew, in order. Rejects with an Error if a relay has the data folder, or what else stands
 * in the way.
 */
export async function compactStore({ path, dataDir, lock, freeBytes }: CompactOptions): Promise<Compacted> {
  requireStore(path);
  const held = takeFolder(lock, dataDir);
  try {
    const before = fileBytes(path).bytes;
    const { chunksBefore, chunksAfter } = await mergeAll(path);
    const lackedBytes = shrink(path, freeBytes ?? freeBytesAt(path));
    const after = fileBytes(path).bytes;
    return { before, after, chunksBefore, chunksAfter, ...(lackedBytes !== undefined && { lackedBytes }) };
  } finally {
    held.release();
  }
}

async function mergeAll(path: string): Promise<{ chunksBefore: number; chunksAfter: number }> {
  const chunksBefore = storeStats(path).chunks;
  const store = await openSqliteStore({ path });
  try {
    await store.settle();
    return { chunksBefore, chunksAfter: (await store.size()).chunks };
  } finally {
    await store.close();
  }
}

function takeFolder(lock: string, dataDir: string): Lock {
  try {
    return takeLock(lock, { what: `the data folder ${dataDir}` });
  } catch (error) {
    throw new Error(`${(error as Error).message}; stop the relay first: it merges and frees by itself meanwhile`, {
      cause: error,
    });
  }
}

/** Gives free pages back and writes the file anew. Answers how much room that would take if there is less. */
function shrink(path: string, freeBytes: number): number | undefined {
  // SQLite makes its second copy there, not in what may be a small folder of temporary files.
  process.env.SQLITE_TMPDIR = dirname(path);
  const db = openForWriting(path);
  try {
    db.exec('PRAGMA incremental_vacuum');
    db.pragma('wal_checkpoint(TRUNCATE)');
    const needed = COPIES * statSync(path).size;
    if (needed > freeBytes) return needed;
    db.exec('VACUUM');
    db.pragma('wal_checkpoint(TRUNCATE)');
    return undefined;
  } finally {
    db.close();
  }
}

function freeBytesAt(path: string): number {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize;
}

/** The new file, and the write-ahead log through which it comes into the place of the old one. */
const COPIES = 2;
