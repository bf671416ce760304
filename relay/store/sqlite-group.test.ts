import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packGroup, packOutcomes, unpackGroup, unpackOutcomes, type Call, type Outcome } from './sqlite-group.ts';

test('a group comes out as it went in, appends and other calls in their order', () => {
  const append = (task: string, run: string, text: string): Call => ({
    append: { task, run, fence: 3, now: 1_700_000_000_000, bytes: Buffer.from(text) },
  });
  const calls: Call[] = [
    append('t', 'run-1', 'some bytes'),
    { type: 'markLost', before: 5, now: 6 },
    append('u', 'run-2', ''),
    { type: 'seen', seen: { task: 't', run: 'run-1', fence: 3, nextSeq: 9, now: 7 } },
    append('t', 'run-1', 'more'),
  ];
  const message = packGroup(calls, new ArrayBuffer(64));
  assert.deepEqual(message.keys, ['t', 'run-1', 'u', 'run-2']);
  assert.deepEqual(unpackGroup(structuredClone(message)), calls);
});

test('outcomes come out as they went in', () => {
  const outcomes: Outcome[] = [
    {
      type: 'append',
      outcome: { outcome: 'stored', nextSeq: 2 ** 47, firstLine: 2 ** 50, position: 0, count: 65_535 },
    },
    {
      type: 'append',
      outcome: { outcome: 'stored', nextSeq: 1, firstLine: 2, position: 3, count: 4, clipped: Buffer.from('clip') },
    },
    { type: 'append', outcome: { outcome: 'duplicate', nextSeq: 7 } },
    { type: 'other', outcome: [{ task: 't', run: 'r' }] },
    { type: 'append', outcome: { outcome: 'expected', nextSeq: 0 } },
    { type: 'error', error: { reason: 'full', message: 'no room' } },
    { type: 'append', outcome: { outcome: 'ended', nextSeq: 5 } },
    { type: 'other', outcome: undefined },
    { type: 'append', outcome: { outcome: 'fenced' } },
  ];
  assert.deepEqual(unpackOutcomes(structuredClone(packOutcomes(outcomes, new ArrayBuffer(0)))), outcomes);
});
