import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takeLock } from '../../shared/lock.ts';
import { lockFile } from '../data-folder.ts';
import { TestRun } from '../reading.fixture.ts';
import { Reader } from '../reader.ts';
import { compileFilter } from '../filter.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { compactStore } from './compact.ts';
import { madeStore } from './store-file.fixture.ts';
import { verifyStore } from './verify.ts';

type OpenStore = Awaited<ReturnType<typeof openSqliteStore>>;

async function fillLoosely(store: OpenStore): Promise<void> {
  const [a, b] = [await new TestRun({ store }, 't').open(), await new TestRun({ store }, 't').open()];
  for (let n = 0; n < 60; n++) await (n % 3 === 0 ? a : b).write(`line ${n} ${'x'.repeat(2000)}`);
  await store.trim('t', 20);
}

async function linesOf(path: string): Promise<string[]> {
  const store = await openSqliteStore({ path });
  try {
    const record = await store.task('t');
    assert.ok(record);
    const { signal } = new AbortController();
    const lines: string[] = [];
    for await (const batch of new Reader({ store }).stream(record, { filter: compileFilter(), signal })) {
      for (const event of batch.events) {
        if (event.type !== 'lines') continue;
        const read = event.block.lines();
        assert.ok(read);
        for (let i = event.first; i < event.end; i++) {
          lines.push(
            `${event.block.firstLine + i} ${read.text.toString('utf8', read.starts[i], read.starts[i] + 7).trim()}`,
          );
        }
      }
    }
    return lines;
  } finally {
    await store.close();
  }
}

test('a store is smaller afterwards, has fewer chunks, and the same lines', async (t) => {
  const { folder, path } = await madeStore(t, fillLoosely);
  const compacted = await compactStore({ path, dataDir: folder, lock: lockFile(folder) });
  assert.ok(compacted.after < compacted.before, JSON.stringify(compacted));
  assert.ok(compacted.chunksAfter < compacted.chunksBefore, JSON.stringify(compacted));
  assert.equal(compacted.lackedBytes, undefined);
  assert.deepEqual(
    await linesOf(path),
    Array.from({ length: 40 }, (_, i) => `${i + 21} line ${i + 20}`),
  );
  assert.equal(verifyStore({ path, onFinding: (finding) => assert.fail(JSON.stringify(finding)) }).lines, 40);
});

test('without room for a second copy, free pages are given back, and how much room it takes is said', async (t) => {
  const { folder, path } = await madeStore(t, fillLoosely);
  const compacted = await compactStore({ path, dataDir: folder, lock: lockFile(folder), freeBytes: 1000 });
  assert.ok(compacted.after < compacted.before);
  assert.ok(compacted.lackedBytes !== undefined && compacted.lackedBytes > 1000);
  assert.equal(verifyStore({ path, onFinding: (finding) => assert.fail(JSON.stringify(finding)) }).lines, 40);
});

test('a folder that a relay has is left alone', async (t) => {
  const { folder, path } = await madeStore(t);
  const lock = takeLock(lockFile(folder), { what: 'it' });
  try {
    await assert.rejects(
      compactStore({ path, dataDir: folder, lock: lockFile(folder) }),
      new RegExp(
        `^Error: the data folder ${folder} is already in use by process ${process.pid} on .*; stop the relay first`,
      ),
    );
  } finally {
    lock.release();
  }
});

test('where there is no store, none is made', async (t) => {
  const { folder } = await madeStore(t);
  const path = `${folder}/other.db`;
  await assert.rejects(
    compactStore({ path, dataDir: folder, lock: lockFile(folder) }),
    /there is no store: .*other\.db/,
  );
});
