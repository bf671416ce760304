import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Tally } from './tally.ts';

const LINES = 5;

function tallyOf(parts: readonly Buffer[]): { lost: number; duplicated: number } {
  const tally = new Tally(LINES);
  for (const part of parts) tally.push(part);
  return { lost: tally.lost, duplicated: tally.duplicated };
}

describe('lines that were sent, in what arrived', () => {
  const rows: [name: string, arrived: string, found: { lost: number; duplicated: number }][] = [
    ['all', 'a #00000000\nb #00000001\nc #00000002\nd #00000003\ne #00000004\n', { lost: 0, duplicated: 0 }],
    ['all, in JSON', ...wrapped()],
    ['one missing', '#00000000\n#00000001\n#00000003\n#00000004\n', { lost: 1, duplicated: 0 }],
    ['one twice', '#00000000#00000001#00000002#00000003#00000004#00000002', { lost: 0, duplicated: 1 }],
    ['signs that are no numbers', '## issue #7 of #0000x000 #00000001 #', { lost: 4, duplicated: 0 }],
    ['numbers that nobody sent', '#00000005 #99999999', { lost: 5, duplicated: 0 }],
    ['nothing', '', { lost: 5, duplicated: 0 }],
  ];
  for (const [name, arrived, found] of rows) {
    test(name, () => {
      const bytes = Buffer.from(arrived);
      assert.deepEqual(tallyOf([bytes]), found);
      for (let cut = 0; cut <= bytes.length; cut++) {
        assert.deepEqual(tallyOf([bytes.subarray(0, cut), bytes.subarray(cut)]), found, `cut at ${cut}`);
      }
      assert.deepEqual(tallyOf(Array.from(bytes, (byte) => Buffer.from([byte]))), found);
    });
  }
});

function wrapped(): [arrived: string, found: { lost: number; duplicated: number }] {
  const arrived = Array.from({ length: LINES }, (_, i) => `{"exec":"line #0000000${i}"}`).join('\n');
  return [arrived, { lost: 0, duplicated: 0 }];
}
