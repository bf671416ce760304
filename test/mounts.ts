import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Context } from './programs.ts';

/** Why small file systems can't be had here, or false. They are the only honest full disks. */
export const NO_MOUNTS: string | false = canMount() ? false : 'a full disk needs root and tmpfs: not tested here';

/** A file system of its own, as `mount -o OPTIONS` makes it; resized with `remount`. */
export function mountSmall(context: Context, options: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-small-'));
  context.after(() => {
    // Lazily: what a failing test left may still be at work in it.
    run('umount', '-l', folder);
    rmdirSync(folder);
  });
  run('mount', '-t', 'tmpfs', '-o', options, 'tmpfs', folder);
  return folder;
}

export function remount(folder: string, options: string): void {
  run('mount', '-o', `remount,${options}`, folder);
}

function canMount(): boolean {
  const cleanups: (() => void)[] = [];
  try {
    mountSmall({ after: (clean) => cleanups.push(clean) }, 'size=64k');
    return true;
  } catch {
    return false;
  } finally {
    for (const clean of cleanups) {
      try {
        clean();
      } catch {
        // It was not mounted.
      }
    }
  }
}

function run(file: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(file, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${error?.message ?? stderr}`);
}
