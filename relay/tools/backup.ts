import Database from 'better-sqlite3';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, open, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { openSnapshot } from './store-file.ts';

export interface BackupOptions {
  /** The store's file, which a relay may be writing to. */
  source: string;
  /** The file to be made. */
  target: string;
  /** Takes back what was begun. */
  signal?: AbortSignal;
  onProgress?: (donePages: number, totalPages: number) => void;
}

/**
 * Copies a store as it is at this moment; a relay goes on writing meanwhile. The copy appears under its name when it is
 * whole and on the disk. It bears a new epoch: it lacks what comes after it, so its numbers are its own, and agents that
 * find it in the store's place send what it lacks again. Rejects with an Error that says what stands in the way.
 */
export async function backupStore({ source, target, signal, onProgress }: BackupOptions): Promise<{ bytes: number }> {
  await refuseToOverwrite(target);
  const partial = `${resolve(target)}.${randomUUID()}.partial`;
  const db = openSnapshot(source);
  try {
    // Logs are nobody else's business; SQLite would let everybody read its new file.
    await (await open(partial, 'wx', 0o600)).close();
    try {
      // Within the snapshot: without it the copy would begin anew whenever the relay commits.
      await db.backup(partial, {
        progress: ({ totalPages, remainingPages }) => {
          signal?.throwIfAborted();
          onProgress?.(totalPages - remainingPages, totalPages);
          return PAGES_AT_ONCE;
        },
      });
    } finally {
      db.close();
    }
    renumber(partial);
    await sync(partial);
    await publish(partial, target);
  } catch (error) {
    for (const name of [partial, `${partial}-wal`, `${partial}-shm`, `${partial}-journal`])
      await rm(name, { force: true });
    throw error;
  }
  await sync(dirname(target));
  return { bytes: (await stat(target)).size };
}

async function refuseToOverwrite(target: string): Promise<void> {
  if (target === '') throw new Error('the name of the file to be made is empty');
  const folder = dirname(target);
  if (!existsSync(folder)) throw new Error(`the folder ${folder} does not exist; make it, or name another one`);
  const there = await stat(target).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  });
  if (there?.isDirectory()) throw new Error(`${target} is a folder; name the file to be made in it`);
  if (there !== undefined) throw taken(target);
}

function taken(target: string): Error {
  return new Error(`${target} exists already and is left as it is; name another file`);
}

/** Gives the copy its own epoch, and makes it one file without a write-ahead log. */
function renumber(path: string): void {
  const db = new Database(path, { fileMustExist: true });
  try {
    db.pragma('journal_mode = DELETE');
    db.prepare('UPDATE store SET epoch = ?, generation = generation + 1').run(randomUUID());
  } finally {
    db.close();
  }
}

/** A name that somebody else has taken meanwhile stays theirs. */
async function publish(partial: string, target: string): Promise<void> {
  try {
    await link(partial, target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw taken(target);
    // Some file systems have no second names.
    await rename(partial, target);
    return;
  }
  await unlink(partial);
}

/** Waits until a file's content, or a folder's names, are on the disk. */
async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** 4 MiB, between which progress is shown and a signal is heard. */
const PAGES_AT_ONCE = 1024;
