import { rmSync } from 'node:fs';
import { takeLock, type Lock } from '../shared/lock.ts';
import { lockPath } from './spool-folder.ts';

/** Another process owns the spool. */
export class SpoolLocked extends Error {
  readonly code = 'LOCKED';
}

/** Takes the lock of a spool, which dies with the process. Throws SpoolLocked if another has it. */
export function takeSpoolLock(spool: string): Lock {
  const path = lockPath(spool);
  try {
    return takeLock(path, { what: `the spool ${spool}` });
  } catch (error) {
    const { message, cause } = error as Error & { cause?: { code?: unknown } };
    if (!String(cause?.code).startsWith('SQLITE_BUSY')) throw error;
    throw new SpoolLocked(message, { cause: error });
  }
}

/** Lets go of a spool that is no more. A run has one agent, so nobody else waits for its lock. */
export function removeSpoolLock(spool: string, lock: Lock): void {
  lock.release();
  rmSync(lockPath(spool), { force: true });
}
