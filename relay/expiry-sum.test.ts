import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExpirySum } from './expiry-sum.ts';

const expired = (lines: number) => ({ tasks: 1, lines, chunks: 1, bytes: 10 * lines });

test('what is forgotten a little at a time is told as a sum, which begins anew', () => {
  const sum = new ExpirySum();
  assert.equal(sum.add(expired(60)), undefined);
  assert.deepEqual(sum.add(expired(60)), { lines: 120, chunks: 2, bytes: 1200 });
  assert.equal(sum.add(expired(60)), undefined);
  assert.deepEqual(sum.add(expired(5000)), { lines: 5060, chunks: 2, bytes: 50_600 });
});

test('that a line was told of does not bring the next one', () => {
  const sum = new ExpirySum();
  sum.add(expired(100));
  let told = 0;
  // Each sweep forgets what the last line has pushed out.
  for (let sweep = 0; sweep < 90; sweep++) if (sum.add(expired(1)) !== undefined) told++;
  assert.equal(told, 0);
});
