import { existsSync, mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Makes a folder and those above it, for the user alone; nothing if it is there. Throws the system's error. Node's own
 * never ends where a folder is there in which none can be made, as /proc is, so the first of them is made by itself.
 */
export function makeFolder(folder: string): void {
  let first: string | undefined;
  for (let at = resolve(folder); !existsSync(at); at = dirname(at)) first = at;
  if (first !== undefined) {
    try {
      mkdirSync(first, { mode: MODE });
    } catch (error) {
      // Somebody else may have made it meanwhile. A link to nowhere is there, and is no folder.
      if (!existsSync(first)) throw error;
    }
  }
  mkdirSync(folder, { recursive: true, mode: MODE });
}

const MODE = 0o700;
