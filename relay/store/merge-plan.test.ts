import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  levelOf,
  MAX_AGE_SPAN_MS,
  MAX_GROUP_CHUNKS,
  MAX_POSITION_SPAN,
  MERGED_ENOUGH,
  planMerges,
  type Mergeable,
} from './merge-plan.ts';

const KIB = 1024;

/** Chunks of one line each that follow each other, as given. */
function chunks(...said: Partial<Mergeable>[]): Mergeable[] {
  let [firstLine, position] = [1, 0];
  return said.map((one) => {
    const chunk = { count: 1, textBytes: 100, rawBytes: 104, at: 0, level: 0, firstLine, position, ...one };
    const lastPosition = one.lastPosition ?? chunk.position + chunk.count - 1;
    firstLine = chunk.firstLine + chunk.count;
    position = lastPosition + 1;
    return { ...chunk, lastPosition };
  });
}

/** The groups, as the line numbers with which their chunks begin. */
function planned(all: Mergeable[], { level = 0, least = 2 } = {}): number[][] {
  return planMerges(all, { level, least }).map((group) => group.map(({ firstLine }) => firstLine));
}

const many = (count: number, said: Partial<Mergeable> = {}): Partial<Mergeable>[] =>
  new Array<Partial<Mergeable>>(count).fill(said);

describe('what is merged', () => {
  const plans: [what: string, Mergeable[], { level?: number; least?: number }, number[][]][] = [
    ['neighbours', chunks({}, {}, {}), {}, [[1, 2, 3]]],
    ['nothing of one chunk', chunks({}), {}, []],
    ['nothing of none', [], {}, []],
    ['nothing while there are too few', chunks({}, {}, {}), { least: 4 }, []],
    ['few that make half a full one', chunks(...many(3, { textBytes: 50 * KIB })), { least: 99 }, [[1, 2, 3]]],
    [
      'what stands on both sides of one that stays',
      chunks({}, {}, { level: MERGED_ENOUGH }, {}, {}),
      {},
      [
        [1, 2],
        [4, 5],
      ],
    ],
    [
      'what stands on both sides of lines that are not there',
      chunks({}, {}, { firstLine: 9 }, {}),
      {},
      [
        [1, 2],
        [9, 10],
      ],
    ],
    ['only what was merged no more often', chunks({ level: 1 }, { level: 1 }, {}, {}), {}, [[3, 4]]],
    [
      'on the next level also what was left below it',
      chunks({ level: 1 }, {}, { level: 1 }),
      { level: 1 },
      [[1, 2, 3]],
    ],
    [
      'no more text than a full chunk has',
      chunks(...many(5, { textBytes: 100 * KIB })),
      {},
      [
        [1, 2],
        [3, 4],
      ],
    ],
    [
      'no more lines than a chunk may have',
      chunks(...many(4, { count: 30_000 })),
      {},
      [
        [1, 30_001],
        [60_001, 90_001],
      ],
    ],
    ['no more metadata than can be read at once', chunks(...many(3, { rawBytes: 500 * KIB })), {}, [[1, 2]]],
    [
      'only what came at about the same time',
      chunks({ at: 0 }, { at: MAX_AGE_SPAN_MS }, { at: MAX_AGE_SPAN_MS + 1 }, { at: MAX_AGE_SPAN_MS + 2 }),
      {},
      [
        [1, 2],
        [3, 4],
      ],
    ],
    [
      'only what lies near enough by position',
      chunks({ position: 0 }, { position: 9 }, { position: MAX_POSITION_SPAN }, { position: MAX_POSITION_SPAN + 5 }),
      {},
      [
        [1, 2],
        [3, 4],
      ],
    ],
  ];
  for (const [what, all, how, expected] of plans) {
    test(`is ${what}`, () => assert.deepEqual(planned(all, how), expected));
  }

  test('is so little that one swap is short', () => {
    const groups = planned(chunks(...many(2 * MAX_GROUP_CHUNKS + 1)));
    assert.deepEqual(
      groups.map((group) => group.length),
      [MAX_GROUP_CHUNKS, MAX_GROUP_CHUNKS],
    );
  });
});

test('a chunk that is large when it comes is merged enough', () => {
  for (const [count, textBytes, level] of [
    [1, 2, 0],
    [2000, 127 * KIB, 0],
    [2280, 128 * KIB, MERGED_ENOUGH],
    [40_000, 80_000, MERGED_ENOUGH],
  ]) {
    assert.equal(levelOf({ count, textBytes, rawBytes: textBytes + 3 * count }), level);
  }
});
