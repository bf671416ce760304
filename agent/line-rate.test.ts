import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LineRate } from './line-rate.ts';

/** How many of `lines` lines at each of the times go through. */
function admitted(perSecond: number, times: number[], lines: number): number[] {
  const rate = new LineRate(perSecond, 0);
  return times.map((time) => Array.from({ length: lines }, () => rate.admits(time)).filter(Boolean).length);
}

describe('lines go through', () => {
  const rows: [what: string, perSecond: number, times: number[], lines: number, expected: number[]][] = [
    ['as many at once as in a second', 100, [0], 1000, [100]],
    ['as many later as have been saved', 100, [0, 500, 1000, 5000], 1000, [100, 50, 50, 100]],
    ['again only when a tenth of a second is saved', 100, [0, 50, 99, 100, 150], 1000, [100, 0, 0, 10, 0]],
    ['one by one, if there are few', 1, [0, 500, 999, 1000, 1500, 2000], 10, [1, 0, 0, 1, 0, 1]],
    ['all of them below the rate', 100, [0, 1000, 2000, 3000], 100, [100, 100, 100, 100]],
    ['as before when the clock is set back', 100, [10_000, 0, 100], 1000, [100, 0, 10]],
    ['a second of them when it is set ahead', 100, [0, 2 ** 41], 1000, [100, 100]],
  ];
  for (const [what, perSecond, times, lines, expected] of rows) {
    test(what, () => assert.deepEqual(admitted(perSecond, times, lines), expected));
  }
});
