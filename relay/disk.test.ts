import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { DiskGuard } from './disk.ts';

const MIB = 1024 * 1024;

test('there is room down to the reserve, none below it, and room again above', async () => {
  let free = 300 * MIB;
  const guard = new DiskGuard({ folder: '/data', minFreeBytes: 256 * MIB, freeBytes: () => Promise.resolve(free) });
  const changes: boolean[] = [];
  guard.onChange = () => changes.push(guard.state.room);
  for (const now of [300, 256, 255, 100, 400]) {
    free = now * MIB;
    await guard.check();
  }
  assert.deepEqual(changes, [false, true]);
});

test('says how much is free and how much is kept', async () => {
  const guard = new DiskGuard({ folder: '/data', minFreeBytes: 256 * MIB, freeBytes: () => Promise.resolve(12 * MIB) });
  await guard.check();
  assert.equal(guard.state.problem, '12 MiB are free, 256 MiB are kept in reserve');
});

test('a store without room closes the gate at once, whatever the numbers say, until the next look', async () => {
  const guard = new DiskGuard({ folder: '/data', minFreeBytes: 0, freeBytes: () => Promise.resolve(1) });
  await guard.check();
  guard.full();
  assert.equal(guard.state.room, false);
  await guard.check();
  assert.equal(guard.state.room, true);
});

test('a device that can not be asked has no room', async () => {
  const guard = new DiskGuard({ folder: '/nowhere/at/all', minFreeBytes: 0 });
  await guard.check();
  assert.equal(guard.state.room, false);
  assert.match(guard.state.problem ?? '', /ENOENT/);
});

test('a device that does not answer has no room, until it does', async () => {
  let now = 0;
  const answer = Promise.withResolvers<number>();
  const guard = new DiskGuard({ folder: '/data', minFreeBytes: 1, freeBytes: () => answer.promise, clock: () => now });
  const looking = guard.check();
  now = 9000;
  void guard.check();
  assert.equal(guard.state.room, true);
  now = 10_000;
  void guard.check();
  assert.equal(guard.state.problem, 'the data folder has not answered for 10 s');
  answer.resolve(500 * MIB);
  await looking;
  assert.deepEqual(guard.state, { room: true, freeBytes: 500 * MIB });
});

test('looks at the real device', async () => {
  const guard = new DiskGuard({ folder: tmpdir(), minFreeBytes: 1 });
  await guard.start();
  guard.stop();
  assert.ok(guard.state.room && guard.state.freeBytes > 1);
});
