import assert from 'node:assert/strict';
import { test } from 'node:test';
import { returnAfterMs } from './drain.ts';

const spreads: { count: number; from: number; to: number }[] = [
  { count: 1, from: 100, to: 300 },
  { count: 200, from: 100, to: 1100 },
  { count: 1000, from: 100, to: 5100 },
  { count: 100_000, from: 100, to: 5100 },
];

for (const { count, from, to } of spreads) {
  test(`${count} come back between ${from} and ${to} ms`, () => {
    assert.equal(
      returnAfterMs(count, () => 0),
      from,
    );
    assert.equal(
      returnAfterMs(count, () => 1 - Number.EPSILON),
      to,
    );
  });
}

test('200 of them come back spread out', () => {
  const tenths = new Set(Array.from({ length: 200 }, () => Math.floor(returnAfterMs(200) / 100)));
  assert.ok(tenths.size >= 8, `${tenths.size} different tenths of a second`);
});
