import { join } from 'node:path';

/** What lies in a relay's data folder. */
export function storeFile(dataDir: string): string {
  return join(dataDir, 'keruta.db');
}

/** Whoever holds it, as `takeLock` does, is the only relay or tool that writes to the folder. */
export function lockFile(dataDir: string): string {
  return join(dataDir, 'relay.lock');
}
