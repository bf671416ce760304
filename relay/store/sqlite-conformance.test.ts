import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storeConformance } from './conformance.ts';
import { openSqliteStore, type SqliteStore } from './sqlite.ts';

storeConformance('SQLite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keruta-store-'));
  return {
    open: () => openSqliteStore({ path: join(folder, 'store.db') }),
    settle: (handle) => (handle as SqliteStore).settle(),
    dispose: () => rm(folder, { recursive: true }),
  };
});
