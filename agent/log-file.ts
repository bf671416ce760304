import { close, constants, fstat, open } from 'node:fs';
import { promisify } from 'node:util';
import { inTime } from './in-time.ts';
import { Tee } from './tee.ts';

/** A disk that takes longer is not waited for, neither to open the file nor to write to it. */
const PATIENCE_MS = 5000;
const IS_PIPE = 'it is a pipe';

/**
 * The file of --log-file: gets what stdout and stderr get, secrets masked, behind what is there already; readable for
 * its owner only. What goes wrong with it is said once through `warn`, and does not concern the script: a pipe, which
 * somebody would have to read, is no file, and a disk that hangs ends it. It stays open until the process ends.
 */
export async function openLogFile(
  path: string,
  warn: (text: string) => void,
  patienceMs = PATIENCE_MS,
): Promise<Tee | undefined> {
  // What the system says of a pipe that nobody reads.
  const reason = ({ code, message }: NodeJS.ErrnoException): string => (code === 'ENXIO' ? IS_PIPE : (code ?? message));
  try {
    const onError = (error: Error): void =>
      warn(`can't write to the log file ${path} any more (${reason(error)}); the rest is not in it`);
    return new Tee(await openInTime(path, patienceMs), onError, patienceMs);
  } catch (error) {
    warn(`the log file ${path} can't be opened (${reason(error as Error)}); there will be none`);
    return undefined;
  }
}

async function openInTime(path: string, patienceMs: number): Promise<number> {
  const opening = openFile(path);
  return inTime(opening, patienceMs, () => {
    opening.then(shut, () => undefined);
    throw new Error('it takes too long');
  });
}

async function openFile(path: string): Promise<number> {
  // Without O_NONBLOCK a pipe waits for its reader.
  const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;
  const fd = await promisify(open)(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o600);
  if (!(await promisify(fstat)(fd)).isFIFO()) return fd;
  shut(fd);
  throw new Error(IS_PIPE);
}

function shut(fd: number): void {
  close(fd, () => undefined);
}
