import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

/**
 * A run's spool is `<run>-<hash of the task>.spool`, so that the spools of one task are found without opening them all.
 * Beside it stand SQLite's `-wal` and `-shm`, and the lock, while they are in use.
 */
const NAME = /^[0-9A-HJKMNP-TV-Z]{26}-([0-9a-f]{8})\.spool$/;

export function spoolPath(folder: string, run: string, task: string): string {
  return join(folder, `${run}-${taskHash(task)}.spool`);
}

/** The run whose spool it is. */
export function runOf(spool: string): string {
  return basename(spool).slice(0, basename(spool).indexOf('-'));
}

export function lockPath(spool: string): string {
  return `${spool}.lock`;
}

/** The spools of a folder, or of one task in it, the oldest run first. A folder that is not there holds none. */
export function listSpools(folder: string, task?: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return spoolsAmong(folder, names, task);
}

/** The same, of the names in a folder. */
export function spoolsAmong(folder: string, names: readonly string[], task?: string): string[] {
  const hash = task === undefined ? undefined : taskHash(task);
  return names
    .filter((name) => {
      const match = NAME.exec(name);
      return match !== null && (hash === undefined || match[1] === hash);
    })
    .sort()
    .map((name) => join(folder, name));
}

function taskHash(task: string): string {
  return createHash('sha256').update(task).digest('hex').slice(0, 8);
}
