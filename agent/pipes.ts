import { spawn } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DescriptorReader, type BlockReader } from './blocks.ts';

/** A pipe's two ends: a descriptor for the script, and a reader for us. */
export interface Pipe {
  writeFd: number;
  reader: BlockReader;
}

/**
 * Two real pipes for the script's stdout and stderr. What Node gives a child as a "pipe" is a socket, and a script
 * under it fails at `echo … > /dev/stderr` (ENXIO). Node has no pipe(2), so named pipes are made, opened and unlinked.
 * Resolves to undefined where that can't be done (no mkfifo, no writable temporary folder): then sockets must serve.
 */
export async function makePipes(): Promise<{ stdout: Pipe; stderr: Pipe } | undefined> {
  let folder: string | undefined;
  try {
    folder = mkdtempSync(join(tmpdir(), 'keruta-'));
    const paths = [join(folder, 'stdout'), join(folder, 'stderr')];
    if ((await run('mkfifo', ['-m', '600', ...paths])) !== 0) return undefined;
    const [stdout, stderr] = paths.map(openPipe);
    return { stdout, stderr };
  } catch {
    return undefined;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

function openPipe(path: string): Pipe {
  // The reader first and without waiting: a writer would wait for a reader.
  const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writeFd = openSync(path, constants.O_WRONLY);
  return { writeFd, reader: new DescriptorReader(readFd) };
}

/** The script has its own copies: ours would keep the pipes from ending. */
export function closeWriters(pipes: { stdout: Pipe; stderr: Pipe }): void {
  closeSync(pipes.stdout.writeFd);
  closeSync(pipes.stderr.writeFd);
}

function run(file: string, args: string[]): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: 'ignore' });
    child.once('error', reject);
    child.once('exit', resolve);
  });
}
