import { closeSync, openSync, readSync } from 'node:fs';
import { formatSize } from '../size.ts';
import { UsageError } from './usage-error.ts';
import type { FileValues } from './resolve.ts';

const DEFAULT_PATH = 'keruta.config.yaml';

/** Nobody configures so much; a log given by mistake is refused before it is read. */
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * The values of the configuration file: the one that `--config` names, else KERUTA_CONFIG, else keruta.config.yaml of
 * this folder if there is one. Throws a UsageError if it can't be read or says what no program of ours understands.
 */
export async function readConfigFile(
  flag: string | undefined,
  env: Record<string, string | undefined>,
): Promise<FileValues | undefined> {
  const variable = env.KERUTA_CONFIG === '' ? undefined : env.KERUTA_CONFIG;
  const path = flag ?? variable;
  const name = flag === undefined ? (variable === undefined ? '' : 'KERUTA_CONFIG: ') : '--config: ';
  const text = readText(path ?? DEFAULT_PATH, name, path === undefined);
  if (text === undefined) return undefined;
  // The parser takes longer to load than all else of an agent's start.
  const { parseConfig } = await import('./file-text.ts');
  return parseConfig(text, path ?? DEFAULT_PATH);
}

/** Undefined if there is no such file and it is `optional`. */
function readText(path: string, name: string, optional: boolean): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (optional && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(path, name, error);
  }
  try {
    const text = Buffer.alloc(MAX_FILE_BYTES + 1);
    let length = 0;
    // Piece by piece: a pipe has no size, and some files have no end.
    for (let bytes = -1; bytes !== 0; length += bytes) bytes = readSync(fd, text, length, text.length - length, null);
    if (length > MAX_FILE_BYTES) {
      throw new UsageError(`${name}${path} has more than ${formatSize(MAX_FILE_BYTES)}: that is no configuration file`);
    }
    return decoded(text.subarray(0, length), `${name}${path}`);
  } catch (error) {
    throw error instanceof UsageError ? error : unreadable(path, name, error);
  } finally {
    closeSync(fd);
  }
}

function decoded(bytes: Buffer, place: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`${place} is not UTF-8 text: that is no configuration file`);
  }
}

function unreadable(path: string, name: string, error: unknown): UsageError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'this user may not read it',
    EISDIR: 'it is a folder',
  };
  return new UsageError(`${name}can't read ${path}: ${reasons[code ?? ''] ?? message}`);
}
