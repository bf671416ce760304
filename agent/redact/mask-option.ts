import { closeSync, openSync, readSync } from 'node:fs';

/** Each secret is looked for in all the forms in which it may be printed, which takes some 70 KiB of memory. */
const MAX_SECRETS = 1000;

/** A list of secrets larger than this is something else. */
const MAX_MASK_FILE_BYTES = 1024 * 1024;

/**
 * The secrets that a `--mask` option names: the value itself, or with `@file` each line of the file that is not blank.
 * `@@…` is a value that begins with `@`. Throws an Error that says what is wrong, without the value.
 */
export function readMask(option: string): string[] {
  if (option === '') throw new Error('--mask: is empty; give a value, or @FILE with one a line');
  if (!option.startsWith('@')) return [option];
  if (option.startsWith('@@')) return [option.slice(1)];
  const path = option.slice(1);
  if (path === '') throw new Error('--mask @: names no file; give @FILE');
  const secrets = readText(path)
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
  if (secrets.length === 0) throw new Error(`--mask @${path}: has no secrets in it`);
  if (secrets.length > MAX_SECRETS)
    throw new Error(`--mask @${path}: has ${secrets.length} lines; ${MAX_SECRETS} secrets can be masked`);
  return secrets;
}

/** Reads piecewise, so that pipes (`@/dev/fd/3`) work and an endless file does not take all memory. */
function readText(path: string): string {
  try {
    const file = openSync(path, 'r');
    try {
      const text = Buffer.alloc(MAX_MASK_FILE_BYTES + 1);
      let length = 0;
      for (;;) {
        const bytes = readSync(file, text, length, text.length - length, null);
        if (bytes === 0) return text.toString('utf8', 0, length);
        length += bytes;
        if (length > MAX_MASK_FILE_BYTES) throw new Error(`has more than ${MAX_MASK_FILE_BYTES} bytes`);
      }
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new Error(`--mask @${path}: can't be read: ${(error as Error).message}`, { cause: error });
  }
}
