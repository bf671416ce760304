import { accessSync, constants } from 'node:fs';
import { homedir, hostname, tmpdir } from 'node:os';
import type { Surroundings } from './option.ts';

/** What defaults may depend on, of this process. */
export function surroundings(): Surroundings {
  return {
    env: process.env,
    hostname: hostname(),
    home: home(),
    temporary: tmpdir(),
    uid: process.getuid?.() ?? -1,
  };
}

/** In containers the home is often `/`, missing, or somebody else's. */
function home(): string | undefined {
  try {
    const folder = homedir();
    if (!folder.startsWith('/') || folder === '/') return undefined;
    accessSync(folder, constants.W_OK | constants.X_OK);
    return folder;
  } catch {
    // No entry for this user, no such folder, or no right to write to it: all the same, there is no home.
    return undefined;
  }
}
