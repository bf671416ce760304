import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SpoolFile } from '../agent/spool-file.ts';

/** What stands in a spool folder, locks aside. */
export function spoolFiles(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => !/\.lock(\.owner)?$/.test(name));
}

/** Every byte in a spool folder, as it is on the disk. */
export function spoolBytes(folder: string): Buffer {
  return Buffer.concat(spoolFiles(folder).map((name) => readFileSync(join(folder, name))));
}

/** Lines that the only spool in a folder says were spooled, sent ones included. */
export function spooledLines(folder: string): number {
  const [name, ...more] = spoolFiles(folder).filter((file) => file.endsWith('.spool'));
  if (more.length > 0) throw new Error(`there are several spools in ${folder}`);
  const spool = SpoolFile.open(join(folder, name), { readonly: true });
  try {
    return spool.nextSeq;
  } finally {
    spool.close();
  }
}

/** How far a spool is: one past its last record, and whether it has its end. Undefined if it was never a whole one. */
export function spoolState(path: string): { nextSeq: number; ended: boolean } | undefined {
  let spool: SpoolFile;
  try {
    spool = SpoolFile.open(path, { readonly: true });
  } catch (error) {
    if (/never completely created|is no spool|has format 0|no such table/.test((error as Error).message))
      return undefined;
    throw error;
  }
  try {
    return { nextSeq: spool.nextSeq, ended: spool.end !== undefined };
  } finally {
    spool.close();
  }
}
