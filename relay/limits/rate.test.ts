import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Rate } from './rate.ts';

function clocked(options: { allowed: number; periodMs: number; burstMs?: number }): {
  rate: Rate;
  at: (ms: number) => void;
} {
  let now = 0;
  const rate = new Rate({ ...options, now: () => now });
  return { rate, at: (ms) => (now = ms) };
}

test('a whole allowance may be used at once, and then as much as comes back', () => {
  const { rate, at } = clocked({ allowed: 3, periodMs: 60_000 });
  for (let i = 0; i < 3; i++) {
    assert.equal(rate.waitMs('a'), 0, `${i}`);
    rate.take('a');
  }
  assert.equal(rate.waitMs('a'), 20_000);
  at(19_999);
  assert.equal(rate.waitMs('a'), 1);
  at(20_000);
  assert.equal(rate.waitMs('a'), 0);
  rate.take('a');
  assert.equal(rate.waitMs('a'), 20_000);
});

test('keys do not count for each other', () => {
  const { rate } = clocked({ allowed: 1, periodMs: 1000 });
  rate.take('a');
  assert.equal(rate.waitMs('a'), 1000);
  assert.equal(rate.waitMs('b'), 0);
});

test('what is taken beyond the allowance is owed', () => {
  const { rate, at } = clocked({ allowed: 100, periodMs: 1000, burstMs: 2000 });
  rate.take('a', 1200);
  assert.equal(rate.waitMs('a'), 10_010);
  at(10_010);
  assert.equal(rate.waitMs('a'), 0);
});

test('a key whose allowance is whole again is forgotten', () => {
  const { rate, at } = clocked({ allowed: 10, periodMs: 1000 });
  for (let i = 0; i < 1000; i++) rate.take(`key ${i}`);
  assert.equal(rate.size, 1000);
  at(100);
  rate.take('another');
  assert.equal(rate.size, 1);
});

test('more keys than can be kept in mind push out the oldest', () => {
  const { rate } = clocked({ allowed: 1, periodMs: 60_000 });
  for (let i = 0; i < 100_001; i++) rate.take(`key ${i}`);
  assert.equal(rate.size, 100_000);
  assert.equal(rate.waitMs('key 0'), 0);
  assert.equal(rate.waitMs('key 100000'), 60_000);
});

test('whoever waits as told gets as much as is allowed and no more, whatever the sizes', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 50 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), sizes, (allowed, counts) => {
      const { rate, at } = clocked({ allowed, periodMs: 1000, burstMs: 2000 });
      let now = 0;
      let taken = 0;
      for (const count of counts) {
        const wait = rate.waitMs('a');
        now += wait;
        at(now);
        assert.equal(rate.waitMs('a'), 0);
        // What came before this one fits: the time that has passed, and a burst.
        assert.ok(taken <= (allowed * (now + 2000)) / 1000 + 1e-6, `${taken} by ${now} ms`);
        rate.take('a', count);
        taken += count;
      }
    }),
  );
});
