import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Followed } from './followed.ts';

test('a reader is as far behind as was stored since somebody follows its task', () => {
  const followed = new Followed();
  followed.stored('t', 50);
  const [slow, fast, elsewhere] = [{ nextLine: 10 }, { nextLine: 90 }, { nextLine: 1 }];
  const leaves = [followed.join('t', slow), followed.join('t', fast), followed.join('other', elsewhere)];
  assert.deepEqual(followed.lag(), { most: 0, all: 0 });
  followed.stored('t', 100);
  assert.deepEqual(followed.lag(), { most: 90, all: 100 });
  fast.nextLine = 100;
  assert.deepEqual(followed.lag(), { most: 90, all: 90 });
  leaves[0]();
  leaves[0]();
  assert.deepEqual([followed.lag(), followed.readers], [{ most: 0, all: 0 }, 2]);
});

test('a reader that does not know yet where to begin is not behind', () => {
  const followed = new Followed();
  followed.join('t', { nextLine: undefined });
  followed.stored('t', 100);
  assert.deepEqual(followed.lag(), { most: 0, all: 0 });
});
