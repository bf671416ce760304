import Database from 'better-sqlite3';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { storeFile } from '../data-folder.ts';
import { T0, TestRun } from '../reading.fixture.ts';
import { openSqliteStore } from '../store/sqlite.ts';

/** A data folder with a store that nobody has open; gone after the test. */
export async function madeStore(
  t: TestContext,
  fill: (store: Awaited<ReturnType<typeof openSqliteStore>>) => Promise<void> = fillPlainly,
): Promise<{ folder: string; path: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'keruta-tools-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = storeFile(folder);
  const store = await openSqliteStore({ path });
  try {
    await fill(store);
  } finally {
    await store.close();
  }
  return { folder, path };
}

/**
 * Two tasks: `a` has the lines 1 to 3, a gap over 4 and 5, and the lines 6 to 8 of one run, and 9 and 10 of another;
 * `b` has 1 to 500, large enough to be compressed. Positions: `a` 0 to 9, `b` 10 to 509. No two of its chunks can be
 * merged: they are parted by a gap, large, or the only one.
 */
async function fillPlainly(store: Awaited<ReturnType<typeof openSqliteStore>>): Promise<void> {
  const first = await new TestRun({ store }, 'a').open();
  await first.write('one', { text: 'two', level: 'WARN' }, { text: 'three', time: T0 + 1000 });
  await first.gap(2);
  await first.write('six', 'seven', 'eight');
  await (await new TestRun({ store }, 'a').open()).write('nine', `ten ${LARGE}`);
  const other = await new TestRun({ store }, 'b').open();
  await other.write(...Array.from({ length: 500 }, (_, i) => `line ${i + 1} of b`));
}

/** Changes the file behind the store's back. */
export function alter(path: string, change: string | ((db: Database.Database) => void)): void {
  const db = new Database(path);
  try {
    if (typeof change === 'string') db.exec(change);
    else change(db);
  } finally {
    db.close();
  }
}

/** Of a chunk that is merged no more. */
export const LARGE = 'x'.repeat(150_000);
