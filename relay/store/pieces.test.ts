import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChunkError } from '../../shared/chunk.ts';
import { clipPieces, decodePieces, encodePieces, joinPieces, placeOf, runsOfPieces, type Piece } from './pieces.ts';

/** Two runs by turns, as a store meets them. */
const TURNS: Piece[] = [
  { run: 7, seq: 100, position: 1000, count: 3 },
  { run: 9, seq: 0, position: 1004, count: 1 },
  { run: 7, seq: 103, position: 1005, count: 2 },
  { run: 9, seq: 1, position: 2 ** 40, count: 5 },
];

describe('pieces', () => {
  const samples: [string, Piece[]][] = [
    ['one', [{ run: 1, seq: 2 ** 47, position: 2 ** 49, count: 65_535 }]],
    ['two runs by turns', TURNS],
    [
      'a thousand',
      Array.from({ length: 1000 }, (_, index) => ({ run: 3, seq: index, position: index * 1000, count: 1 })),
    ],
  ];
  for (const [what, pieces] of samples) {
    test(`come out as they went in: ${what}`, () => assert.deepEqual(decodePieces(encodePieces(pieces)), pieces));
  }

  test('take little room where single lines of many tasks come by turns', () => {
    const pieces = Array.from({ length: 5000 }, (_, index) => ({
      run: 3,
      seq: index,
      position: index * 1000 + ((index * 7919) % 37),
      count: 1,
    }));
    assert.ok(encodePieces(pieces).length < 2.2 * pieces.length);
  });

  for (const [what, pieces] of samples) {
    test(`that were damaged are refused: ${what}`, () => {
      const bytes = encodePieces(pieces);
      for (let cut = 0; cut < bytes.length; cut++)
        assert.throws(() => decodePieces(bytes.subarray(0, cut)), ChunkError);
      for (let at = 0; at < bytes.length; at++) {
        const damaged = Buffer.from(bytes);
        damaged[at] ^= 0xff;
        assert.throws(() => decodePieces(damaged), ChunkError);
      }
    });
  }

  test('that go on where the one before ends become one', () => {
    const [first] = TURNS;
    const next = { run: 7, seq: 103, position: 1003, count: 1 };
    assert.deepEqual(joinPieces([[first], [next], TURNS.slice(1)]), [{ ...first, count: 4 }, ...TURNS.slice(1)]);
    assert.deepEqual(joinPieces([TURNS]), TURNS);
  });

  const clips: [lines: number, rest: Piece[]][] = [
    [0, TURNS],
    [1, [{ run: 7, seq: 101, position: 1001, count: 2 }, ...TURNS.slice(1)]],
    [3, TURNS.slice(1)],
    [4, TURNS.slice(2)],
    [10, [{ run: 9, seq: 5, position: 2 ** 40 + 4, count: 1 }]],
  ];
  for (const [lines, rest] of clips) {
    test(`without the first ${lines} lines keep the seqs and positions of the others`, () =>
      assert.deepEqual(clipPieces(TURNS, lines), rest));
  }

  test('say whose the lines are', () => {
    assert.deepEqual(runsOfPieces([TURNS[0], TURNS[2], TURNS[1]]), [
      { run: 7, count: 5 },
      { run: 9, count: 1 },
    ]);
  });

  test('give a chunk its place', () => {
    assert.deepEqual(placeOf(TURNS.slice(0, 1)), { position: 1000, run: 7, lastPosition: 1002, runs: 0 });
    const { pieces, ...place } = placeOf(TURNS);
    assert.deepEqual(place, { position: 1000, run: 7, lastPosition: 2 ** 40 + 4, runs: 2 });
    assert.deepEqual(decodePieces(Buffer.from(pieces ?? [])), TURNS);
  });
});
