import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { readHeader } from '../../shared/chunk.ts';
import { TestRun } from '../reading.fixture.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { backupStore } from './backup.ts';
import { madeStore } from './store-file.fixture.ts';
import { findingText } from './verify-text.ts';
import { verifyStore } from './verify.ts';

function problems(path: string): string[] {
  const found: string[] = [];
  verifyStore({ path, onFinding: (finding) => found.push(findingText(finding)) });
  return found;
}

test('a backup that is made during a flood is one state of it, to which the rest is added exactly once', async (t) => {
  const { folder, path } = await madeStore(t);
  const target = join(folder, 'copy.db');
  const store = await openSqliteStore({ path });
  const run = new TestRun({ store }, 'flood');
  const chunks: Buffer[] = [];
  const epoch = store.epoch();
  try {
    await run.open();
    const write = async (): Promise<void> => {
      const chunk = run.encode(Array.from({ length: 50 }, (_, i) => `line ${run.seq + i} ${'x'.repeat(i)}`));
      chunks.push(chunk);
      await run.append(chunk);
    };
    for (let n = 0; n < 50; n++) await write();
    const before = run.seq;
    const done = { backup: false };
    const backup = backupStore({ source: path, target }).finally(() => (done.backup = true));
    while (!done.backup) await write();
    await backup;
    for (let n = 0; n < 5; n++) await write();
    assert.ok(run.seq > before);
  } finally {
    await store.close();
  }
  assert.deepEqual(problems(target), []);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('copy')),
    ['copy.db'],
  );

  const copy = await openSqliteStore({ path: target });
  try {
    assert.notEqual(copy.epoch(), epoch);
    const { task, run: name, seq: ackedSeq } = run;
    const now = Date.now();
    const hello = {
      task,
      run: name,
      workerId: 'test',
      labels: {},
      agentVersion: '0',
      startedAt: 1,
      epoch,
      ackedSeq,
      now,
    };
    const opened = await copy.open(hello);
    assert.equal(opened.epoch, copy.epoch());
    assert.ok(opened.nextSeq >= 50 * 50 && opened.nextSeq < ackedSeq);
    // As an agent does, which keeps what was acknowledged: it sends from the seq on that it is told.
    for (const bytes of chunks.filter((chunk) => readHeader(chunk).firstSeq >= opened.nextSeq)) {
      const { outcome } = await copy.append({ task, run: name, fence: opened.fence, bytes, now });
      assert.equal(outcome, 'stored');
    }
    const [record] = await copy.runs(task);
    assert.deepEqual([record.nextSeq, record.digest, record.lines], [ackedSeq, run.digest, run.lines]);
  } finally {
    await copy.close();
  }
  assert.deepEqual(problems(target), []);
});

test('nobody but its owner may read a backup, whatever its name looks like to SQLite', async (t) => {
  const { folder, path } = await madeStore(t);
  for (const name of [' with a space', ':memory:', 'file:uri?mode=memory']) {
    const target = join(folder, name);
    await backupStore({ source: path, target });
    assert.equal(statSync(target).mode & 0o777, 0o600);
    assert.deepEqual(problems(target), []);
  }
});

test('two backups of one store have epochs of their own', async (t) => {
  const { folder, path } = await madeStore(t);
  const epochs = new Set<string>();
  for (const file of [path, join(folder, '1.db'), join(folder, '2.db')]) {
    if (file !== path) await backupStore({ source: path, target: file });
    const store = await openSqliteStore({ path: file });
    epochs.add(store.epoch());
    await store.close();
  }
  assert.equal(epochs.size, 3);
});

test('a backup that is stopped leaves nothing', async (t) => {
  const { folder, path } = await madeStore(t, async (store) => {
    const run = await new TestRun({ store }, 't').open();
    // More than is copied at once.
    for (let n = 0; n < 20; n++) await run.write(randomText(500_000, n));
  });
  const abort = new AbortController();
  const names = readdirSync(folder);
  const onProgress = (): void => abort.abort(new Error('stopped'));
  await assert.rejects(
    backupStore({ source: path, target: join(folder, 'b.db'), signal: abort.signal, onProgress }),
    /^Error: stopped$/,
  );
  assert.deepEqual(readdirSync(folder), names);
});

describe('what stands in the way is said, and nothing is touched', () => {
  const rows: [what: string, prepare: (folder: string) => { source?: string; target: string }, message: RegExp][] = [
    [
      'a file with that name',
      (folder) => {
        writeFileSync(join(folder, 'there'), 'mine');
        return { target: join(folder, 'there') };
      },
      /there exists already and is left as it is; name another file$/,
    ],
    ['the store itself', (folder) => ({ target: join(folder, 'keruta.db') }), /exists already/],
    [
      'a folder with that name',
      (folder) => {
        mkdirSync(join(folder, 'sub'));
        return { target: join(folder, 'sub') };
      },
      /sub is a folder; name the file to be made in it$/,
    ],
    [
      'no such folder',
      (folder) => ({ target: join(folder, 'no', 'b.db') }),
      /the folder .*no does not exist; make it, or name another/,
    ],
    ['no name', () => ({ target: '' }), /the name of the file to be made is empty$/],
    [
      'no store',
      (folder) => ({ source: join(folder, 'none.db'), target: join(folder, 'b.db') }),
      /^Error: there is no store: .*none\.db does not exist; name the relay's data folder with --data$/,
    ],
    [
      'a folder instead of a store',
      (folder) => ({ source: dirname(folder), target: join(folder, 'b.db') }),
      /there is no store: .* is no file/,
    ],
    [
      'something else than a store',
      (folder) => {
        writeFileSync(join(folder, 'text.db'), 'not a database at all, but long enough to look like one\n'.repeat(40));
        return { source: join(folder, 'text.db'), target: join(folder, 'b.db') };
      },
      /text\.db is not a keruta store/,
    ],
  ];
  for (const [what, prepare, message] of rows) {
    test(what, async (t) => {
      const { folder, path } = await madeStore(t);
      const { source = path, target } = prepare(folder);
      const names = readdirSync(folder);
      await assert.rejects(backupStore({ source, target }), message);
      assert.deepEqual(readdirSync(folder), names);
      if (what === 'a file with that name') assert.equal(readFileSync(target, 'utf8'), 'mine');
    });
  }
});

/** Text that compression can't make small. */
function randomText(bytes: number, seed: number): string {
  let state = seed + 1;
  return Array.from({ length: bytes }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return String.fromCharCode(33 + ((state >> 8) % 94));
  }).join('');
}
