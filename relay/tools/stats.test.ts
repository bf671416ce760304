import assert from 'node:assert/strict';
import { test } from 'node:test';
import { T0, TestRun } from '../reading.fixture.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { statsText } from './stats-text.ts';
import { storeStats } from './stats.ts';
import { LARGE, madeStore } from './store-file.fixture.ts';

test('counts what is there, also while a relay writes', async (t) => {
  const { path } = await madeStore(t);
  const store = await openSqliteStore({ path });
  try {
    const run = await new TestRun({ store }, 'c').open();
    await run.write({ text: 'later', time: T0 + 5000 });
    await run.end(1);
    const stats = storeStats(path);
    const { tasks, runs, chunks, lines, missing, oldest, newest, epoch } = stats;
    assert.deepEqual(
      { tasks, runs, chunks, lines, missing, oldest, newest, epoch },
      { tasks: 3, runs: 4, chunks: 6, lines: 509, missing: 2, oldest: T0, newest: T0 + 5000, epoch: store.epoch() },
    );
    assert.deepEqual(stats.tasksByStatus, { failed: 1, running: 2 });
    assert.deepEqual(stats.runsByStatus, { failed: 1, running: 3 });
    assert.equal(stats.textBytes, `one two three six seven eight nine ten ${LARGE} later `.length + bytesOfB());
    assert.deepEqual(
      stats.biggest.map(({ task, lines: count }) => [task, count]),
      [
        ['b', 500],
        ['a', 8],
        ['c', 1],
      ],
    );
    assert.ok(stats.fileBytes > stats.storedBytes && stats.pendingBytes > 0);
    assert.equal(stats.ratio, stats.storedBytes / stats.textBytes);
  } finally {
    await store.close();
  }
});

test('an empty store has nothing, and says so', async (t) => {
  const { path } = await madeStore(t, () => Promise.resolve());
  const stats = storeStats(path);
  assert.deepEqual([stats.tasks, stats.lines, stats.ratio, stats.oldest, stats.biggest], [0, 0, null, null, []]);
  assert.match(statsText(stats), /^tasks {8}0$/m);
  assert.match(statsText(stats), /^oldest line {2}none$/m);
});

test('what is printed reads well', async (t) => {
  const { path } = await madeStore(t);
  const text = statsText(storeStats(path));
  assert.match(text, /^tasks {8}2 \(2 running\)$/m);
  assert.match(text, /^lines {8}508 in 5 chunks; 2 lines missing$/m);
  assert.match(text, /^oldest line {2}2026-01-02T03:04:05\.678Z$/m);
  assert.match(text, /^ +[\d.]+ K?i?B +500 lines {2}running {4}b$/m);
});

function bytesOfB(): number {
  return Array.from({ length: 500 }, (_, i) => `line ${i + 1} of b\n`.length).reduce((sum, one) => sum + one, 0);
}
