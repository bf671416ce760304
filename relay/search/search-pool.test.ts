import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { until } from '../reading.fixture.ts';
import { StoreError } from '../store/store.ts';
import type { Scan } from './scan.ts';
import { SearchPool } from './search-pool.ts';

function openPool(t: TestContext, options?: ConstructorParameters<typeof SearchPool>[1]): SearchPool {
  const pool = new SearchPool(
    { module: new URL('search-reads.fixture.ts', import.meta.url).href, data: undefined },
    options,
  );
  t.after(() => pool.close());
  return pool;
}

function scanOf(task: string, through = 10): Scan {
  return { task, from: 1, through, spec: { text: ['x'] }, key: 'x', counts: true };
}

function flag(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

test('a thread that dies, or can not read, fails what it was asked, and the next is answered', async (t) => {
  const pool = openPool(t, { threads: 1 });
  for (const [task, message] of [
    ['dies', 'the search broke off: it ended with code 3'],
    ['fails', 'the search broke off: the disk is gone'],
  ]) {
    const failed = await pool.scan(scanOf(task), flag()).catch((error: unknown) => error);
    assert.ok(failed instanceof StoreError && failed.retry, String(failed));
    assert.equal(failed.message, message);
    assert.deepEqual(await pool.scan(scanOf('is empty'), flag()), { events: [], nextLine: 11 });
  }
});

test('a thread that can not start fails what it was asked', async (t) => {
  const pool = new SearchPool({ module: 'file:///nowhere/at/all.js', data: undefined });
  t.after(() => pool.close());
  await assert.rejects(pool.scan(scanOf('t'), flag()), /the search broke off: Cannot find module/);
});

test('what is stopped ends in the middle, and frees its thread', async (t) => {
  const pool = openPool(t, { threads: 1 });
  const stop = flag();
  // It would take until the end of days: a line a turn of the event loop, and each costs little.
  const endless = pool.scan(scanOf('lasts', Number.MAX_SAFE_INTEGER), stop);
  const other = pool.scan(scanOf('is empty'), flag());
  Atomics.store(stop, 0, 1);
  await assert.rejects(endless, /stopped/);
  assert.deepEqual(await other, { events: [], nextLine: 11 });
});

test('what waits is taken in order, whoever asked', async (t) => {
  const pool = openPool(t, { threads: 1 });
  const done: string[] = [];
  const ask = (name: string): Promise<unknown> => pool.scan(scanOf('lasts', 3), flag()).then(() => done.push(name));
  await Promise.all(['a 1', 'a 2', 'b 1', 'a 3', 'b 2'].map(ask));
  assert.deepEqual(done, ['a 1', 'a 2', 'b 1', 'a 3', 'b 2']);
});

test('starts no more threads than it may, ends them when nothing is searched, and starts others then', async (t) => {
  const pool = openPool(t, { threads: 2, idleMs: 0 });
  for (let round = 0; round < 2; round++) {
    const scans = Array.from({ length: 10 }, () => pool.scan(scanOf('lasts', 100), flag()));
    assert.equal(pool.size, 2);
    await Promise.all(scans);
    // What is left to wait for is a timer that keeps nobody alive.
    await until(() => pool.size === 0);
  }
});

test('nothing is searched after the end, and what was asked before is answered', async (t) => {
  const pool = openPool(t, { threads: 1 });
  const asked = pool.scan(scanOf('lasts', 100), flag());
  const waiting = [1, 2, 3].map(() => pool.scan(scanOf('is empty'), flag()));
  const settled = Promise.allSettled(waiting);
  await pool.close();
  assert.equal((await asked).nextLine, 101);
  assert.deepEqual(
    (await settled).map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected'],
  );
  await assert.rejects(pool.scan(scanOf('is empty'), flag()), /closed/);
});
