import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildClient } from '../scripts/build-client.ts';

const ROOT = join(import.meta.dirname, '..');

/**
 * Puts this package into a folder, as a program of a user finds it: the library built, and what gRPC's clients are made
 * from. `others` are packages that the user has beside it.
 */
export function installLibrary(folder: string, others: readonly string[]): void {
  const modules = join(folder, 'node_modules');
  const dist = join(modules, 'keruta/dist');
  mkdirSync(dist, { recursive: true });
  copyFileSync(join(ROOT, 'package.json'), join(modules, 'keruta/package.json'));
  copyFileSync(join(ROOT, 'relay/api/otto/grpc/ottoscaler.proto'), join(dist, 'ottoscaler.proto'));
  buildClient(dist);
  for (const name of others) {
    const path = join(modules, name);
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), path);
  }
}
