import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Retention } from './retention.ts';
import type { Expired, ExpirePolicy } from './store/store.ts';

const NOTHING: Expired = { tasks: 0, chunks: 0, lines: 0, bytes: 0 };

function retention(expire: () => Promise<Expired>, policy: ExpirePolicy = { maxAgeMs: 1000 }) {
  const asked: [ExpirePolicy, number][] = [];
  const found: Expired[] = [];
  const errors: unknown[] = [];
  const kept = new Retention({
    policy,
    expire: (...said) => {
      asked.push(said);
      return expire();
    },
    onExpired: (expired) => void found.push(expired),
    onError: (error) => errors.push(error),
    now: () => 5000,
    clock: () => 0,
    onJump: (ms) => assert.fail(`jumped ${ms} ms`),
  });
  return { kept, asked, found, errors };
}

test('asks the store to forget by its rules and clock, and tells what went', async () => {
  const gone = { tasks: 1, chunks: 2, lines: 30, bytes: 400 };
  const { kept, asked, found } = retention(() => Promise.resolve(gone), { maxTaskLines: 9 });
  await kept.tick();
  assert.deepEqual([asked, found], [[[{ maxTaskLines: 9 }, 5000]], [gone]]);
});

test('starts with a sweep, and without rules with none', async () => {
  for (const [policy, sweeps] of [
    [{ maxBytes: 9 }, 1],
    [{}, 0],
    [{ maxAgeMs: undefined, maxTaskBytes: undefined }, 0],
  ] as [ExpirePolicy, number][]) {
    const { kept, asked } = retention(() => Promise.resolve(NOTHING), policy);
    kept.start();
    await kept.stop();
    assert.equal(asked.length, sweeps);
  }
});

test('has one sweep at a time, for which a stop waits', async () => {
  const gate = Promise.withResolvers<Expired>();
  const { kept, asked, found } = retention(() => gate.promise);
  const ticks = [kept.tick(), kept.tick()];
  const stopped = kept.stop().then(() => assert.deepEqual(found, [NOTHING]));
  gate.resolve(NOTHING);
  await Promise.all([...ticks, stopped]);
  assert.equal(asked.length, 1);
});

test('reports a store that fails, and asks it again later', async () => {
  const { kept, asked, errors } = retention(() => Promise.reject(new Error('busy')));
  await kept.tick();
  await kept.tick();
  assert.deepEqual([asked.length, errors.length], [2, 2]);
});

test('for an hour after the clock has jumped ahead, nothing is too old', async () => {
  const HOUR = 3_600_000;
  const policy = { maxAgeMs: 30 * 24 * HOUR, maxBytes: 9 };
  const time = { now: 1e12, clock: 0 };
  const asked: ExpirePolicy[] = [];
  const jumps: number[] = [];
  const kept = new Retention({
    policy,
    expire: (rules) => {
      asked.push(rules);
      return Promise.resolve(NOTHING);
    },
    onExpired: () => undefined,
    onError: (error) => assert.fail(String(error)),
    now: () => time.now,
    clock: () => time.clock,
    onJump: (ms) => jumps.push(ms),
  });
  const after = async (now: number, clock = now): Promise<number | undefined> => {
    time.now += now;
    time.clock += clock;
    await kept.tick();
    assert.equal(asked.at(-1)?.maxBytes, 9);
    return asked.at(-1)?.maxAgeMs;
  };
  assert.equal(await after(5000), policy.maxAgeMs, 'as ever');
  assert.equal(await after(400 * 24 * HOUR, 60_000), undefined, 'a year ahead');
  assert.equal(await after(HOUR / 2), undefined, 'half an hour later');
  assert.equal(await after(-400 * 24 * HOUR + 60_000, 60_000), policy.maxAgeMs, 'set right');
  assert.equal(await after(9 * HOUR, 60_000), undefined, 'it slept for a night');
  assert.equal(await after(HOUR), policy.maxAgeMs, 'and nobody has set it back');
  assert.deepEqual(
    jumps.map((ms) => Math.round(ms / HOUR)),
    [400 * 24, 9],
  );
});
