import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MergePace } from './merge-pace.ts';

describe('work in the background', () => {
  const cases: [what: string, commits: [ms: number, at: number][], step: [ms: number, at: number], wait: number][] = [
    ['goes on at once if nobody appends', [], [10, 1000], 0],
    ['goes on at once while commits are quick', [[5, 990]], [10, 1000], 0],
    ['waits four times as long as it took while they are slow', [[30, 990]], [10, 1000], 40],
    [
      'goes on at once when they are quick again',
      [
        [30, 980],
        [5, 990],
      ],
      [10, 1000],
      0,
    ],
    ['goes on at once when no more came for a while', [[30, 500]], [10, 1000], 0],
  ];
  for (const [what, commits, [ms, at], wait] of cases) {
    test(what, () => {
      const pace = new MergePace();
      for (const commit of commits) pace.committed(...commit);
      pace.stepped(ms, at);
      assert.equal(pace.wait(at), wait);
      assert.equal(pace.wait(at + wait), 0);
    });
  }
});
