import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, parseDuration } from './duration.ts';

const READ: [string, number | undefined][] = [
  ['250ms', 250],
  ['1s', 1000],
  ['5m', 300_000],
  ['1h', 3_600_000],
  ['30d', 2_592_000_000],
  ['30', 30_000],
  ['0', 0],
  ['0.5', 500],
  ['1.5s', 1500],
  [' 10 s ', 10_000],
  ['', undefined],
  ['s', undefined],
  ['-1s', undefined],
  ['+1s', undefined],
  ['1S', undefined],
  ['1M', undefined],
  ['1 minute', undefined],
  ['1h30m', undefined],
  ['1e3', undefined],
  ['.5s', undefined],
  ['1,5s', undefined],
  ['١s', undefined],
  ['99999999999999999999d', undefined],
];

for (const [text, ms] of READ) {
  test(`the duration ${JSON.stringify(text)} is ${ms === undefined ? 'refused' : `${ms} ms`}`, () => {
    assert.equal(parseDuration(text), ms);
  });
}

test('a duration that was written is read back', () => {
  fc.assert(fc.property(fc.nat(), (ms) => parseDuration(formatDuration(ms)) === ms));
  assert.deepEqual([0, 90_000, 3_600_000, 1001].map(formatDuration), ['0s', '90s', '1h', '1001ms']);
});
