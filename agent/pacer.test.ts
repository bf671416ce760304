import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pacer, pacedLines, pacerOf } from './pacer.ts';

/** Sends the records one after the other, each as soon as it may be; says when. */
function sent(perSecond: number, records: number[]): { at: number[]; pacer: Pacer } {
  let now = 0;
  const pacer = new Pacer(perSecond, () => now);
  const at = records.map((lines) => {
    for (let wait = pacer.take(lines); wait > 0; wait = pacer.take(lines)) now += wait;
    return now;
  });
  return { at, pacer };
}

describe('records leave', () => {
  const rows: [what: string, perSecond: number, records: number[], at: number[]][] = [
    ['at once while a second has room', 100, [40, 60], [0, 0]],
    ['when their lines have been saved', 100, [100, 50, 50, 100], [0, 500, 1000, 2000]],
    ['also if they are larger than a second', 10, [100, 10, 1], [0, 10_000, 10_100]],
    ['at once if they are gaps', 10, [10, 0, 0], [0, 0, 0]],
  ];
  for (const [what, perSecond, records, at] of rows) {
    test(what, () => assert.deepEqual(sent(perSecond, records).at, at));
  }
});

test('what was held back is counted, once', () => {
  const { pacer } = sent(100, [100, 50, 50, 0]);
  assert.deepEqual([pacer.heldLines, pacer.heldMs], [100, 1000]);
  assert.deepEqual([sent(100, [50, 50]).pacer.heldLines, sent(100, [50, 50]).pacer.heldMs], [0, 0]);
});

test('there is one only if lines are to be delayed', () => {
  assert.equal(pacerOf({ rateLimitPolicy: 'delay' }), undefined);
  assert.equal(pacerOf({ rateLimitPolicy: 'drop', rateLimitPerSecond: 5 }), undefined);
  assert.equal(pacerOf({ rateLimitPolicy: 'delay', rateLimitPerSecond: 5 })?.perSecond, 5);
});

test('records are no larger than a second, but no smaller than a hundred lines', () => {
  assert.deepEqual([1, 100, 5000].map(pacedLines), [100, 100, 5000]);
});
