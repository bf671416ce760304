import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from './backoff.ts';

test('ceilings double from the least to the most, and begin anew after a success', () => {
  const backoff = new Backoff({ minMs: 100, maxMs: 1000 }, () => 0.9999);
  const waits = (): number[] => Array.from({ length: 6 }, () => backoff.next());
  assert.deepEqual(waits(), [99, 199, 399, 799, 999, 999]);
  backoff.reset();
  assert.deepEqual(waits(), [99, 199, 399, 799, 999, 999]);
});

test('any wait below the ceiling is as likely', () => {
  const random = [0, 0.5, 0.25];
  const backoff = new Backoff({ minMs: 100, maxMs: 1000 }, () => random.shift() ?? 1);
  assert.deepEqual([backoff.next(), backoff.next(), backoff.next()], [0, 100, 100]);
});

test('thousands of attempts stay at the ceiling', () => {
  const backoff = new Backoff({ minMs: 100, maxMs: 30_000 }, () => 0.5);
  for (let i = 0; i < 5000; i++) backoff.next();
  assert.equal(backoff.next(), 15_000);
});
