import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import Database from 'better-sqlite3';
import { encodeGap } from '../shared/chunk.ts';
import { encodeLines } from '../shared/columns.ts';
import { newUlid } from '../shared/ulid.ts';
import { lineText, lineTexts, testFolder, testRelay } from './delivery.fixture.ts';
import { linesOf, type FakeRelay } from './fake-relay.ts';
import { flushTask, type FlushedRun } from './flush.ts';
import { SpoolFile } from './spool-file.ts';
import { spoolPath } from './spool-folder.ts';
import { advance, EMPTY_CHAIN, readRecord, type Chain } from './spool-record.ts';

const END = { exitCode: 0, signal: null, reason: 'exited' as const, endedAt: 9 };

interface Left {
  spoolDir: string;
  path: string;
  run: string;
  records: Buffer[];
  /** Up to so many of its records. */
  chainOf: (records: number) => Chain;
}

/** What a dead agent left: six records of ten lines, the fourth a gap. */
function leave(t: TestContext, ackedSeq = 0): Left {
  const spoolDir = testFolder(t);
  const run = newUlid(Date.now());
  const path = spoolPath(spoolDir, run, 't1');
  const meta = { task: 't1', run, url: '', workerId: 'w1', labels: {}, agentVersion: '0.0.0', startedAt: 1 };
  const records = [0, 10, 20, 30, 40, 50].map((seq) => {
    if (seq === 30) return encodeGap({ run, firstSeq: seq, count: 10, reason: 'dropped', time: 1 });
    const line = (_: unknown, i: number) => ({ time: 1, kind: 4, text: Buffer.from(lineText(seq + i)) });
    return encodeLines(run, seq, Array.from({ length: 10 }, line));
  });
  const spool = SpoolFile.create(path, meta);
  const acked = ackedSeq > 0 ? { seq: ackedSeq, epoch: 'epoch-1' } : undefined;
  spool.write({ limitBytes: Infinity, records, acked, end: END });
  spool.close();
  const chainOf = (count: number) => records.slice(0, count).map(readRecord).reduce(advance, EMPTY_CHAIN);
  return { spoolDir, path, run, records, chainOf };
}

function harm(path: string, statements: string[]): void {
  const db = new Database(path);
  for (const statement of statements) db.exec(statement);
  db.close();
}

async function flushed(t: TestContext, relay: FakeRelay, { spoolDir }: Left): Promise<FlushedRun & { said: string[] }> {
  const [runs, said]: [FlushedRun[], string[]] = [[], []];
  await flushTask(
    {
      ...{ spoolDir, websocketUrls: [relay.url], now: () => 7, onWarning: (text: string) => said.push(text) },
      ...{ reconnectMinMs: 5, reconnectMaxMs: 50, connectTimeoutMs: 1000, drainTimeoutMs: 5000 },
      onRun: (run) => runs.push(run),
    },
    't1',
  );
  for (const text of said) t.diagnostic(text);
  assert.equal(runs.length, 1);
  return { ...runs[0], said };
}

/** As a reader of the relay sees them, with the gap that was there before. */
function linesAround(...gaps: [number, number][]): string[] {
  const all: string[] = lineTexts(0, 59);
  for (const [from, to] of gaps) all.splice(from, to - from + 1, ...Array<string>(to - from + 1).fill(''));
  all.splice(30, 10, '[dropped 30-39]', ...Array<string>(9).fill(''));
  for (const [from, to] of gaps) all[from] = `[corrupt ${from}-${to}]`;
  return all.filter((line) => line !== '');
}

const NO_BYTES = 'UPDATE record SET bytes = NULL WHERE first_seq =';
const CUT = 'UPDATE record SET bytes = substr(bytes, 1, 50) WHERE first_seq =';
const FLIPPED =
  "UPDATE record SET bytes = CAST(substr(bytes, 1, 95) || 'xx' || substr(bytes, 98) AS BLOB) WHERE first_seq =";
const GONE = 'DELETE FROM record WHERE first_seq =';

const DAMAGES: [string, string[], [number, number][]][] = [
  ['a row is gone', [`${GONE} 20`], [[20, 29]]],
  ['the first row is gone', [`${GONE} 0`], [[0, 9]]],
  ['two rows beside each other are gone', [`${GONE} 10`, `${GONE} 20`], [[10, 29]]],
  ['bytes are NULL', [`${NO_BYTES} 20`], [[20, 29]]],
  ['bytes are cut below the header', [`${CUT} 20`], [[20, 29]]],
  ['bytes contradict their CRC', [`${FLIPPED} 40`], [[40, 49]]],
  ['bytes are text', [`UPDATE record SET bytes = 'abc' WHERE first_seq = 20`], [[20, 29]]],
  ['the last row is unreadable', [`${CUT} 50`], [[50, 59]]],
  ['the last two are', [`${NO_BYTES} 40`, `${CUT} 50`], [[40, 59]]],
  [
    'one is unreadable and does not say how many lines it had',
    [`${CUT} 20`, 'UPDATE record SET count = 11, lines = 11 WHERE first_seq = 20'],
    [[20, 29]],
  ],
  [
    'rows here and there',
    [`${GONE} 0`, `${CUT} 20`, `${FLIPPED} 50`],
    [
      [0, 9],
      [20, 29],
      [50, 59],
    ],
  ],
  [
    'all are unreadable but one',
    [0, 10, 30, 40, 50].map((seq) => `${CUT} ${seq}`),
    [
      [0, 19],
      [30, 59],
    ],
  ],
];

for (const [what, statements, gaps] of DAMAGES) {
  test(`of a spool where ${what} all the rest is sent, with gaps`, async (t) => {
    const relay = await testRelay(t);
    const left = leave(t);
    harm(left.path, statements);
    const { state, lines, unreadableLines, said } = await flushed(t, relay, left);
    const lost = gaps.reduce((sum, [from, to]) => sum + to - from + 1, 0);
    const whole = linesAround(...gaps);
    assert.deepEqual(linesOf(relay.run.records), whole);
    const sent = whole.filter((line) => !line.startsWith('[')).length;
    assert.deepEqual({ state, lines, unreadableLines }, { state: 'delivered', lines: sent, unreadableLines: lost });
    assert.match(said.join(), /is damaged: \d+ of its lines can't be read; gaps stand for them/);
    assert.equal(relay.runs.size, 1);
    assert.equal(existsSync(left.path), false);
  });
}

test('of an unreadable last row that does not say how many lines it had one is missing', async (t) => {
  const relay = await testRelay(t);
  const left = leave(t);
  harm(left.path, [`${CUT} 50`, 'UPDATE record SET count = -1 WHERE first_seq = 50']);
  const { state, unreadableLines } = await flushed(t, relay, left);
  assert.deepEqual({ state, unreadableLines }, { state: 'delivered', unreadableLines: 1 });
  assert.deepEqual(linesOf(relay.run.records), [...linesAround().slice(0, 41), '[corrupt 50-50]']);
});

const HARMLESS: [string, string[]][] = [
  [
    'columns of a row',
    ['UPDATE record SET count = 7, lines = 3, crc = 1, size = 0, text_bytes = -1 WHERE first_seq = 20'],
  ],
  [
    'the key of a row, which is far behind now',
    ['UPDATE record SET first_seq = 9007199254740991 WHERE first_seq = 20'],
  ],
  ['the key of a row, which is before all others now', ['UPDATE record SET first_seq = -1 WHERE first_seq = 20']],
  ['the key of a row, which is within another now', ['UPDATE record SET first_seq = 5 WHERE first_seq = 20']],
  ['what is acknowledged', ["INSERT INTO meta VALUES ('acked', '1e9')"]],
];

for (const [what, statements] of HARMLESS) {
  test(`of a spool where only ${what} can not be right nothing is missing`, async (t) => {
    const relay = await testRelay(t);
    const left = leave(t);
    harm(left.path, statements);
    const { state, lines, unreadableLines } = await flushed(t, relay, left);
    assert.deepEqual({ state, lines, unreadableLines }, { state: 'delivered', lines: 50, unreadableLines: 0 });
    assert.deepEqual(linesOf(relay.run.records), linesAround());
  });
}

/** The relay has `records` of it, whatever the spool knows. */
function has(relay: FakeRelay, { run, records, chainOf }: Left, count: number): void {
  relay.runs.set(run, { id: run, records: records.slice(0, count), chain: chainOf(count) });
}

test('a record that the relay has is not missing, also if it can not be read any more', async (t) => {
  const relay = await testRelay(t);
  const left = leave(t);
  has(relay, left, 3);
  harm(left.path, [`${CUT} 10`, `${NO_BYTES} 20`, `${CUT} 50`]);
  const { state, unreadableLines } = await flushed(t, relay, left);
  assert.deepEqual({ state, unreadableLines }, { state: 'delivered', unreadableLines: 10 });
  assert.deepEqual(linesOf(relay.run.records), linesAround([50, 59]));
});

test('what is damaged before what the relay has is not sent again as a run of its own', async (t) => {
  const relay = await testRelay(t);
  const left = leave(t, 20);
  has(relay, left, 3);
  harm(left.path, [`${GONE} 0`, `${GONE} 20`]);
  const { state } = await flushed(t, relay, left);
  // All is there, and nobody can say any more what it was.
  assert.equal(state, 'remaining');
  assert.equal(relay.runs.size, 1);
  assert.deepEqual(linesOf(relay.run.records), linesAround());
});

test('a relay that has a part of what can not be read gets a gap for the rest', async (t) => {
  const relay = await testRelay(t);
  const left = leave(t);
  has(relay, left, 2);
  harm(left.path, [`${GONE} 0`, `${GONE} 10`, `${GONE} 20`]);
  await flushed(t, relay, left);
  assert.equal(relay.runs.size, 1);
  assert.deepEqual(linesOf(relay.run.records), linesAround([20, 29]));
});

test('acknowledged records that can not be read are missing where the relay forgot them', async (t) => {
  const relay = await testRelay(t);
  const left = leave(t, 30);
  harm(left.path, [`${FLIPPED} 10`]);
  const { state } = await flushed(t, relay, left);
  assert.equal(state, 'delivered');
  const lines = linesAround([10, 19]).map((line) => line.replace('[corrupt', '[acked-then-lost'));
  assert.deepEqual(linesOf(relay.run.records), lines);
});
