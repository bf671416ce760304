import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { GapEvent } from './cursor.ts';
import { PageGaps } from './page-gaps.ts';

const gap = (fromLine: number, toLine: number, reason: GapEvent['reason'] = 'dropped'): GapEvent => ({
  ...{ type: 'gap', fromLine, toLine, reason },
});

function kept(gaps: PageGaps): string[] {
  return gaps.list.map(({ fromLine, toLine, reason }) => `${fromLine}-${toLine} ${reason}`);
}

describe('gaps are kept in order, each once, and neighbours of one reason are one', () => {
  const rows: [what: string, given: GapEvent[], kept: string[]][] = [
    ['apart', [gap(1, 2), gap(5, 6)], ['1-2 dropped', '5-6 dropped']],
    ['touching', [gap(1, 2), gap(3, 6)], ['1-6 dropped']],
    ['touching, of another reason', [gap(1, 2), gap(3, 6, 'rejected')], ['1-2 dropped', '3-6 rejected']],
    ['backward', [gap(5, 6), gap(1, 2)], ['1-2 dropped', '5-6 dropped']],
    ['twice', [gap(1, 4), gap(1, 4)], ['1-4 dropped']],
    ['inside of one that is known', [gap(1, 4), gap(2, 3, 'corrupt')], ['1-4 dropped']],
  ];
  for (const [what, given, expected] of rows) {
    test(what, () => {
      const gaps = new PageGaps();
      for (const one of given) gaps.add(one);
      assert.deepEqual(kept(gaps), expected);
    });
  }
});

test('of very many the first are kept, and the others counted', () => {
  const [gaps, more] = [new PageGaps(), new PageGaps()];
  for (let n = 0; n < 1005; n++) gaps.add(gap(n * 2 + 1, n * 2 + 1));
  assert.deepEqual([gaps.list.length, gaps.leftOut], [1000, 5]);
  more.addAll(gaps);
  assert.deepEqual([more.list.length, more.leftOut], [1000, 5]);
  more.clear();
  assert.deepEqual([more.list.length, more.leftOut], [0, 0]);
});
