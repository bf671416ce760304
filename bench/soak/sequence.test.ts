import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Sequences } from './sequence.ts';

describe('what a reader got of numbered lines', () => {
  const rows: [name: string, numbers: number[], found: { lost: number; again: number }][] = [
    ['all of them', [0, 1, 2, 3], { lost: 0, again: 0 }],
    ['not the first two', [2, 3], { lost: 2, again: 0 }],
    ['not the last one', [0, 1, 2], { lost: 1, again: 0 }],
    ['none from the middle', [0, 3], { lost: 2, again: 0 }],
    ['one twice', [0, 1, 1, 2, 3], { lost: 0, again: 1 }],
    ['two in the wrong order', [0, 2, 1, 3], { lost: 1, again: 1 }],
    ['nothing', [], { lost: 4, again: 0 }],
  ];
  for (const [name, numbers, found] of rows) {
    test(name, () => {
      const sequences = new Sequences({ fromStartOf: 7 });
      for (const number of numbers) sequences.heard({ script: 7, number });
      sequences.ended(7, 4);
      assert.deepEqual({ lost: sequences.lost, again: sequences.again }, found);
    });
  }

  test('who comes later counts from the first line of each script', () => {
    const sequences = new Sequences();
    for (const [script, number] of [
      [1, 100],
      [2, 5],
      [1, 101],
      [2, 7],
    ])
      sequences.heard({ script, number });
    assert.deepEqual([sequences.lost, sequences.again, sequences.lines], [1, 0, 4]);
  });
});
