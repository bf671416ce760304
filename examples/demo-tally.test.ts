import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EndMessage, GapMessage, LogMessage } from '../shared/viewer-messages.ts';
import { problems, summary, type Outcome, type StoredTask } from './demo-report.ts';
import { Tally } from './demo-tally.ts';

const SECRET = 'dpl-0123456789';
const START = Date.parse('2026-01-02T03:04:05.000Z');
const MASKED = 'INFO  logging in with token ***';

function line(lineNumber: number, more: Partial<LogMessage> = {}): LogMessage {
  const timestamp = new Date(START + lineNumber * 1000).toISOString();
  const [source, level] = ['stdout', 'INFO'] as const;
  return {
    type: 'log',
    id: '',
    taskId: 'demo',
    timestamp,
    source,
    level,
    message: 'text',
    lineNumber,
    metadata: {},
    ...more,
  };
}

function gap(fromLine: number, toLine: number): GapMessage {
  return { type: 'gap', taskId: 'demo', fromLine, toLine, reason: 'dropped', cursor: '' };
}

function end(more: Partial<EndMessage> = {}): EndMessage {
  const said = { status: 'failed', exitCode: 3, signal: null, durationMs: 9000, lines: 4, missing: 0, runs: 1 };
  return { type: 'end', taskId: 'demo', ...said, verified: true, cursor: '', ...more };
}

/** Four lines, the second in two pieces, as the demo wants them; the messages are 5. */
const GOOD: (LogMessage | GapMessage | EndMessage)[] = [
  line(1),
  line(2, { more: true }),
  line(3, { rest: true }),
  line(4, { message: MASKED }),
  line(5),
  end(),
];
const TASK: StoredTask = { status: 'failed', exitCode: 3, lines: 5, missing: 0, bytes: 1000, storedBytes: 250 };

function outcome(events = GOOD, more: Partial<Omit<Outcome, 'tally'>> = {}): Outcome {
  const tally = new Tally({ secret: SECRET });
  for (const event of events) tally.take(event, START);
  return { tally, written: 4, exitCode: 3, task: TASK, ...more };
}

describe('what a demo is judged by', () => {
  test('is right when everything is there', () => assert.deepEqual(problems(outcome()), []));

  const wrong: [what: string, Outcome, sentence: RegExp][] = [
    ['another exit code', outcome(GOOD, { exitCode: 0 }), /^the agent's exit code is 0/],
    [
      'another exit code at the relay',
      outcome(GOOD, { task: { ...TASK, exitCode: 1 } }),
      /^the relay has the exit code 1/,
    ],
    ['a log that is not verified', outcome([...GOOD.slice(0, -1), end({ verified: false })]), /could not verify/],
    ['a script that counted more', outcome(GOOD, { written: 5 }), /wrote 5 lines, the reader got 4/],
    ['a script that did not count', outcome(GOOD, { written: NaN }), /wrote NaN lines/],
    ['a relay that has more', outcome(GOOD, { task: { ...TASK, lines: 6 } }), /has 6 lines, the reader got 5/],
    ['a gap', outcome([...GOOD.slice(0, 5), gap(6, 9), end()]), /^4 lines are missing/],
    [
      'a line that is left out',
      outcome([...GOOD.slice(0, 4), line(6), end()]),
      /line 6 came where line 5 was expected/,
    ],
    ['a line that comes twice', outcome([...GOOD.slice(0, 5), line(5), end()]), /line 5 came where line 6/],
    ['the secret', outcome([...GOOD, line(6, { message: `token=${SECRET}` })]), /can be read in 1 lines/],
    [
      'a token that is not masked',
      outcome(GOOD.map((event) => (event.type === 'log' ? line(event.lineNumber) : event))),
      /is not masked/,
    ],
  ];
  for (const [what, bad, sentence] of wrong) {
    test(`is wrong with ${what}`, () => {
      assert.ok(
        problems(bad).some((problem) => sentence.test(problem)),
        problems(bad).join('\n'),
      );
    });
  }
});

test('the summary says what there is', () => {
  const text = summary(outcome());
  for (const part of ['4, each once and in order', '5; 1 are later pieces', '(25.0 %)', 'as failed', MASKED]) {
    assert.ok(text.includes(part), `${part} in\n${text}`);
  }
  assert.match(text, /in the burst +no such lines/);
});

test('lines of a flood are timed apart from all others', () => {
  const tally = new Tally({ secret: SECRET });
  for (let i = 0; i < 100; i++) tally.take(line(i + 1), START + (i + 1) * 1000 + i);
  const timestamp = new Date(START + 500_000).toISOString();
  for (let i = 0; i < 1000; i++) tally.take(line(101 + i, { timestamp }), START + 500_000 + 700);
  assert.deepEqual(tally.latency(), {
    others: { lines: 100, median: 49, p99: 98 },
    flood: { lines: 1000, median: 700, p99: 700 },
  });
});
