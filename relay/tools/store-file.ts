import type Database from 'better-sqlite3';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { openForReading } from '../store/sqlite-schema.ts';

/**
 * Opens a store's file to look at it, while a relay may be writing to it, and holds one state of it until it is closed.
 * Throws an Error that says what is wrong with the file and what to do.
 */
export function openSnapshot(path: string): Database.Database {
  requireStore(path);
  // SQLite takes some names for something else than a file's.
  const db = openForReading(resolve(path));
  try {
    db.exec('BEGIN');
    // The snapshot is taken with the first look.
    db.prepare('SELECT 1 FROM store').get();
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Throws an Error if there is no such file: SQLite's own does not say where it looked, or makes an empty one. */
export function requireStore(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() && stat.size > 0) return;
  const found = stat === undefined ? 'does not exist' : stat.isFile() ? 'is empty' : 'is no file';
  throw new Error(`there is no store: ${path} ${found}; name the relay's data folder with --data`);
}

/** What the file takes on the disk, and what of it is not yet in its place (the write-ahead log beside it). */
export function fileBytes(path: string): { bytes: number; pendingBytes: number } {
  const pendingBytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  return { bytes: statSync(path).size + pendingBytes, pendingBytes };
}
