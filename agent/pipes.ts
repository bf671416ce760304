import { spawn } from 'node:child_process';
import { closeSync, constants, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DescriptorReader, type BlockReader } from './blocks.ts';

export interface Pipes {
  stdout: Pipe;
  stderr: Pipe;
}

const LAUNCHERS_PIPES = [3, 4];

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
export async function makePipes(): Promise<Pipes | undefined> {
  return launchersPipes() ?? namedPipes();
}

/**
 * Those that our launcher has left at 3 and 4 (scripts/launchers.ts): starting mkfifo takes longer than all else here.
 * They are opened anew, as what one end of a pipe was opened as does not change. Undefined if there are none, or what
 * is there can't be opened so.
 */
function launchersPipes(): Pipes | undefined {
  const launched = process.env.KERUTA_PIPES === String(process.pid);
  // The script's own agents have none.
  delete process.env.KERUTA_PIPES;
  if (!launched) return undefined;
  const opened: Pipe[] = [];
  try {
    for (const fd of LAUNCHERS_PIPES) {
      if (!fstatSync(fd).isFIFO()) return undefined;
      opened.push(openPipe(`/proc/self/fd/${fd}`));
    }
    const [stdout, stderr] = opened.splice(0);
    return { stdout, stderr };
  } catch {
    return undefined;
  } finally {
    for (const { writeFd, reader } of opened) {
      closeSync(writeFd);
      reader.destroy();
    }
    for (const fd of LAUNCHERS_PIPES) closeIfOpen(fd);
  }
}

async function namedPipes(): Promise<Pipes | undefined> {
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
export function closeWriters(pipes: Pipes): void {
  closeSync(pipes.stdout.writeFd);
  closeSync(pipes.stderr.writeFd);
}

function closeIfOpen(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // It was not.
  }
}

function run(file: string, args: string[]): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: 'ignore' });
    child.once('error', reject);
    child.once('exit', resolve);
  });
}
