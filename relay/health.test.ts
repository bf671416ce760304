import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { diskCheck, EventLoopCheck, Health, storeCheck, WriteWatch } from './health.ts';

const writes = new WriteWatch(() => 0);

test('healthy if all checks are, with what each says and took', async () => {
  const health = new Health({
    store: () => storeCheck({ nextPosition: () => Promise.resolve(3) }, writes),
    disk: () => diskCheck({ room: true, freeBytes: 1024 * 1024 * 500 }),
  });
  const { status, checks, timestamp } = await health.report();
  assert.equal(status, 'healthy');
  assert.match(timestamp, /^\d{4}-.*\.\d{3}Z$/);
  assert.equal(checks.disk.message, '500 MiB are free');
  assert.ok(checks.store.healthy && checks.store.latency >= 0);
});

test('one unhealthy check makes the relay unhealthy and says why', async () => {
  const health = new Health({
    store: () => storeCheck({ nextPosition: () => Promise.reject(new Error('disk I/O error')) }, writes),
    disk: () => diskCheck({ room: false, freeBytes: 0, problem: '1 MiB are free, 256 MiB are kept in reserve' }),
  });
  const { status, checks } = await health.report();
  assert.equal(status, 'unhealthy');
  assert.equal(checks.store.message, 'disk I/O error');
  assert.equal(checks.disk.message, '1 MiB are free, 256 MiB are kept in reserve');
});

test('a check that does not answer is unhealthy', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const asked = new Health({ store: () => new Promise(() => undefined) }).report();
  t.mock.timers.tick(2000);
  assert.deepEqual((await asked).checks.store.message, 'no answer within 2000 ms');
});

test('questions of one moment share one look', async () => {
  let looks = 0;
  const health = new Health({ store: () => ({ healthy: true, message: String(++looks) }) });
  await Promise.all([health.report(), health.report(), health.report()]);
  assert.equal(looks, 1);
});

test('the event loop is healthy while it turns', () => {
  const check = new EventLoopCheck();
  check.start();
  assert.equal(check.find().healthy, true);
  check.stop();
});

test('how late the event loop is, is said in tenths of a millisecond', async () => {
  const check = new EventLoopCheck();
  check.start();
  for (const delay of [3, 7, 11, 13, 17, 19, 23]) {
    await setTimeout(25);
    const until = performance.now() + 20 + delay;
    while (performance.now() < until);
    await setTimeout(25);
    assert.match(check.find().message, /^p99 \d+(\.\d)? ms late$/);
  }
  check.stop();
});

test('a store that reads and does not write is unhealthy, until it writes again', async () => {
  const reads = { nextPosition: () => Promise.resolve(3) };
  let waitingMs = 0;
  const watch = new WriteWatch(() => waitingMs);
  const findings = [await storeCheck(reads, watch)];
  waitingMs = 6000;
  findings.push(await storeCheck(reads, watch));
  waitingMs = 0;
  watch.failed(new Error('database is locked'));
  findings.push(await storeCheck(reads, watch));
  watch.worked();
  findings.push(await storeCheck(reads, watch));
  assert.deepEqual(
    findings.map(({ healthy, message }) => [healthy, message]),
    [
      [true, 'reads and writes'],
      [false, 'a write has been waiting for 6 s'],
      [false, 'the last write failed: database is locked'],
      [true, 'reads and writes'],
    ],
  );
});

test('a relay that stops says so at once, also to who has asked just before', async () => {
  const health = new Health({ store: () => ({ healthy: true, message: '' }) });
  assert.equal((await health.report()).status, 'healthy');
  health.drain();
  const { status, checks } = await health.report();
  assert.equal(status, 'unhealthy');
  assert.equal(checks.accepting.message, 'the relay is stopping');
});
