import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineOf } from './log-line.ts';

const time = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const lines: { what: string; entry: object; line: string }[] = [
  { what: 'a message', entry: { level: 30, msg: 'hello' }, line: '03:04:05.678 INFO  hello' },
  {
    what: 'details',
    entry: { level: 40, msg: 'lost an agent', task: 't1', run: 7, pid: 1, hostname: 'h' },
    line: '03:04:05.678 WARN  lost an agent task=t1 run=7',
  },
  {
    what: 'a detail that could be taken for several, or moves the cursor',
    entry: { level: 30, msg: 'm', path: 'a b=c', evil: '\u001b[2J' },
    line: '03:04:05.678 INFO  m path="a b=c" evil="\\u001b[2J"',
  },
  {
    what: 'a warning with an error',
    entry: { level: 40, msg: 'm', err: { message: 'no', stack: 'Error: no\n  at x' } },
    line: '03:04:05.678 WARN  m (no)',
  },
  {
    what: 'an error',
    entry: { level: 50, msg: 'm', err: { message: 'no', stack: 'Error: no\n  at x' } },
    line: '03:04:05.678 ERROR m (no)\nError: no\n  at x',
  },
];

for (const { what, entry, line } of lines) {
  test(`${what} is a line for people`, () => {
    assert.equal(lineOf(JSON.stringify({ time, ...entry })), `${line}\n`);
  });
}
