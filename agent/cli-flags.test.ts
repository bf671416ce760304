import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readLogsFlags, type RawLogsFlags } from './cli-flags.ts';

const READ: [string, RawLogsFlags, object][] = [
  ['nothing', {}, {}],
  [
    'levels by repetition and comma, in any case',
    { level: ['warn,ERROR', 'info'] },
    { level: ['WARN', 'ERROR', 'INFO'] },
  ],
  ['sources', { source: ['stdout'] }, { source: ['stdout'] }],
  ['a number of lines', { tail: '20' }, { tail: 20 }],
  ['the rest as it is', { follow: true, from: 'start', grep: 'x' }, { follow: true, from: 'start', grep: 'x' }],
];

for (const [what, raw, flags] of READ) {
  test(`flags of logs: ${what}`, () => {
    assert.deepEqual(readLogsFlags(raw), flags);
  });
}

const REFUSED: [RawLogsFlags, string][] = [
  [{ level: ['loud'] }, '--level: "loud" is none of DEBUG, INFO, WARN, ERROR; for example: DEBUG'],
  [{ source: ['stdin'] }, '--source: "stdin" is none of stdout, stderr, agent; for example: stdout'],
  [{ tail: '-1' }, '--tail: "-1" is not a whole number; for example: 100'],
  [{ tail: '1', from: 'start' }, '--from and --tail exclude each other'],
];

for (const [raw, message] of REFUSED) {
  test(`flags of logs: ${message}`, () => {
    assert.throws(() => readLogsFlags(raw), { name: 'UsageError', message });
  });
}
