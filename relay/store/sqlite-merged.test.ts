import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestRun } from './conformance-run.ts';
import { MergedChunks, type MergedRow } from './sqlite-merged.ts';
import { openForReading } from './sqlite-schema.ts';
import { openSqliteStore } from './sqlite.ts';

test('merged chunks are read once as long as there is room, and again where there is none', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-merged-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'store.db');
  const store = await openSqliteStore({ path });
  const runs = await Promise.all(['t', 'u', 'v'].map((task) => TestRun.open(store, task)));
  for (let i = 0; i < 30; i++) await runs[i % 3].lines(`${i} ${'x'.repeat(100)}`);
  await store.settle();
  await store.close();
  const db = openForReading(path);
  t.after(() => db.close());
  const rows = db
    .prepare<[], MergedRow>(
      `SELECT position, first_line AS firstLine, count, task.task FROM chunk JOIN task ON task.id = chunk.task`,
    )
    .all();
  assert.equal(rows.length, 3);

  const decoded = (chunks: MergedChunks, from: number): number => {
    chunks.begin(from);
    return rows.filter((row) => {
      const chunk = chunks.get(row);
      const bytes = chunks.decode(chunk);
      assert.equal(chunk.lines?.count, 10);
      return bytes > 0;
    }).length;
  };
  const roomy = new MergedChunks(db);
  assert.deepEqual([decoded(roomy, 0), decoded(roomy, 1), decoded(roomy, 2)], [3, 0, 0]);
  // Room for two: these stay, or by turns each would be let go for the next one.
  const tight = new MergedChunks(db, { maxBytes: 5000 });
  assert.deepEqual([decoded(tight, 0), decoded(tight, 1), decoded(tight, 2)], [3, 1, 1]);
});
