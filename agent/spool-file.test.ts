import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test, type TestContext } from 'node:test';
import { encodeLines } from '../shared/columns.ts';
import { linesOf } from './fake-relay.ts';
import { lineText, lineTexts, testFolder } from './delivery.fixture.ts';
import type { SpoolMeta } from './spool-contract.ts';
import { SpoolFile } from './spool-file.ts';
import { advance, EMPTY_CHAIN, readRecord, type Chain } from './spool-record.ts';

const RUN = '01J00000000000000000000000';
const OTHER = '01J00000000000000000000001';
const META: SpoolMeta = {
  task: 't1',
  run: RUN,
  url: 'ws://relay/ws/tasks',
  workerId: 'w1',
  labels: { a: 'b' },
  agentVersion: '0.0.0',
  startedAt: 1,
};
const NO_LIMIT = Infinity;

function newSpool(t: TestContext): SpoolFile {
  const spool = SpoolFile.create(join(testFolder(t), 'x.spool'), META);
  t.after(() => spool.close());
  return spool;
}

function chunk(firstSeq: number, count: number, width = 0): Buffer {
  const lines = Array.from({ length: count }, (_, i) => ({
    time: 1,
    kind: 4,
    text: Buffer.from(lineText(firstSeq + i, width)),
  }));
  return encodeLines(RUN, firstSeq, lines);
}

/** `chunks` of ten lines each. */
function filled(t: TestContext, chunks: number, width = 0): SpoolFile {
  const spool = newSpool(t);
  const records = Array.from({ length: chunks }, (_, i) => chunk(10 * i, 10, width));
  spool.write({ records, limitBytes: NO_LIMIT });
  return spool;
}

function recordsOf(spool: SpoolFile): Buffer[] {
  return spool.read(0, NO_LIMIT).map(({ bytes }) => bytes ?? assert.fail('evicted'));
}

/** The chain over records as they are, computed the obvious way. */
function chainOf(records: Buffer[]): Chain {
  return records.reduce((chain, bytes) => advance(chain, readRecord(bytes)), EMPTY_CHAIN);
}

describe('a spool file', () => {
  test('is for the user alone', (t) => {
    const spool = newSpool(t);
    const folder = join(spool.path, '..');
    for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
  });

  test('gives back what was written, also to who opens it later', (t) => {
    const spool = filled(t, 3);
    spool.write({ records: [], acked: { seq: 10, epoch: 'e1' }, limitBytes: NO_LIMIT });
    const end = { exitCode: 0, signal: null, reason: 'exited' as const, endedAt: 5 };
    spool.write({ records: [chunk(30, 1)], end, limitBytes: NO_LIMIT });
    const again = SpoolFile.open(spool.path, { readonly: true });
    t.after(() => again.close());
    assert.deepEqual(again.meta, META);
    assert.deepEqual(
      [again.nextSeq, again.ackedSeq, again.epoch, again.end, again.bytes],
      [31, 10, 'e1', end, spool.bytes],
    );
    assert.deepEqual(linesOf(recordsOf(again)), lineTexts(0, 30));
  });

  test('takes a whole batch or nothing of it', (t) => {
    const spool = filled(t, 1);
    const { bytes } = spool;
    assert.throws(
      () => spool.write({ records: [chunk(10, 10), chunk(30, 10)], limitBytes: NO_LIMIT }),
      /30 does not follow 20/,
    );
    assert.deepEqual([spool.nextSeq, spool.bytes], [10, bytes]);
    spool.write({ records: [chunk(10, 10)], limitBytes: NO_LIMIT });
    assert.deepEqual(linesOf(recordsOf(spool)), lineTexts(0, 19));
  });

  test('reads by bytes, one record at least', (t) => {
    const spool = filled(t, 4);
    assert.deepEqual(
      spool.read(10, 1).map(({ firstSeq }) => firstSeq),
      [10],
    );
    assert.deepEqual(spool.read(40, 1), []);
  });

  test('evicts the oldest acknowledged records at the limit, and still knows the chain', (t) => {
    const spool = filled(t, 10, 500);
    const chain = chainOf(recordsOf(spool));
    spool.write({ records: [], acked: { seq: 50, epoch: 'e' }, limitBytes: spool.bytes * 0.8 });
    const left = spool.read(0, NO_LIMIT);
    const evicted = left.filter(({ bytes }) => !bytes).length;
    assert.ok(evicted >= 2 && evicted <= 3, `${evicted}`);
    assert.ok(left.slice(evicted).every(({ bytes }) => bytes));
    spool.write({ records: [], limitBytes: 0 });
    assert.equal(spool.read(0, NO_LIMIT).filter(({ bytes }) => !bytes).length, 5);
    assert.deepEqual(spool.chainAt(100), chain);
    const again = SpoolFile.open(spool.path);
    t.after(() => again.close());
    assert.deepEqual([again.chainAt(100), again.bytes], [chain, spool.bytes]);
  });

  test('what is left of evicted records does not fill it, and the chain goes on from what is kept', (t) => {
    const spool = newSpool(t);
    let chain = EMPTY_CHAIN;
    for (let seq = 0; seq < 3000; seq++) {
      const record = chunk(seq, 1);
      chain = advance(chain, readRecord(record));
      spool.write({ records: [record], acked: { seq: seq + 1, epoch: 'e' }, limitBytes: 20_000 });
      assert.ok(spool.bytes <= 20_000, `${spool.bytes}`);
    }
    assert.deepEqual([spool.chainAt(3000), spool.chainAt(5)], [chain, 'forgotten']);
    const again = SpoolFile.open(spool.path);
    t.after(() => again.close());
    assert.deepEqual([again.chainAt(3000), again.bytes, again.missing()], [chain, spool.bytes, 0]);
  });

  test('knows the chain at the ends of records only', (t) => {
    const spool = filled(t, 3);
    assert.equal(typeof spool.chainAt(20), 'object');
    assert.equal(spool.chainAt(15), undefined);
    assert.equal(spool.chainAt(40), undefined);
  });

  test('drops the oldest unsent records for one gap, which grows', (t) => {
    const spool = filled(t, 10, 500);
    const dropped = spool.drop(20, spool.bytes - 1, 7);
    assert.deepEqual(dropped, { count: 10, lines: 10 });
    assert.deepEqual(spool.drop(20, spool.bytes * 0.7, 8), { count: 40, lines: 30 });
    assert.deepEqual(linesOf(recordsOf(spool)), [
      ...lineTexts(0, 19, 500),
      '[dropped 20-59]',
      ...lineTexts(60, 99, 500),
    ]);
    assert.deepEqual(spool.chainAt(100), chainOf(recordsOf(spool)));
    assert.deepEqual(
      [spool.missing(), spool.chainAt(100)],
      [40, { ...chainOf(recordsOf(spool)), lines: 60, missing: 40 }],
    );
  });

  test('drops nothing where there is nothing to drop', (t) => {
    const spool = filled(t, 2);
    assert.deepEqual(spool.drop(20, 0, 7), { count: 0, lines: 0 });
  });

  test('puts a gap of the same lines in the place of a rejected record', (t) => {
    const spool = filled(t, 3);
    assert.equal(spool.reject(10, 7), 10);
    assert.deepEqual(linesOf(recordsOf(spool)), [...lineTexts(0, 9), '[rejected 10-19]', ...lineTexts(20, 29)]);
    assert.throws(() => spool.reject(15, 7), /no record starts at 15/);
  });

  test('makes a gap of what a relay forgot and was evicted', (t) => {
    const spool = filled(t, 6);
    const at = spool.chainAt(10) as Chain;
    spool.write({ records: [], acked: { seq: 40, epoch: 'e1' }, limitBytes: 0 });
    assert.deepEqual(spool.rewind(at, 'e2', 7), { lines: 30, corrupt: 0 });
    const records = spool.read(10, NO_LIMIT).map(({ bytes }) => bytes ?? assert.fail('evicted'));
    assert.deepEqual(linesOf(records), ['[acked-then-lost 10-39]', ...lineTexts(40, 59)]);
    assert.deepEqual([spool.ackedSeq, spool.epoch], [10, 'e2']);
    const chain = records.reduce((sofar, bytes) => advance(sofar, readRecord(bytes)), at);
    assert.deepEqual(spool.chainAt(60), chain);
  });

  test('goes on as a new run from the records that follow', (t) => {
    const spool = filled(t, 3);
    spool.write({ records: [], acked: { seq: 10, epoch: 'e1' }, limitBytes: NO_LIMIT });
    spool.fork(10, OTHER);
    assert.deepEqual([spool.meta.run, spool.meta.labels, spool.nextSeq], [OTHER, { a: 'b', continues: RUN }, 20]);
    assert.deepEqual(linesOf(recordsOf(spool)), lineTexts(10, 29));
    assert.deepEqual(
      recordsOf(spool).map((bytes) => readRecord(bytes).run),
      [OTHER, OTHER],
    );
    assert.deepEqual(spool.chainAt(20), chainOf(recordsOf(spool)));
  });

  test('forgets all but a place to go on from', (t) => {
    const spool = filled(t, 3);
    const at = { ...EMPTY_CHAIN, seq: 70, digest: 'ab'.repeat(16) };
    spool.reset(at);
    assert.deepEqual([spool.nextSeq, spool.chainAt(70), spool.chainAt(60)], [70, at, 'forgotten']);
    spool.write({ records: [chunk(70, 1)], limitBytes: NO_LIMIT });
    assert.equal(spool.nextSeq, 71);
  });

  test('forgets records from a place on, and the end', (t) => {
    const spool = filled(t, 3);
    spool.write({
      records: [],
      end: { exitCode: 0, signal: null, reason: 'exited', endedAt: 1 },
      limitBytes: NO_LIMIT,
    });
    spool.truncate(20);
    assert.deepEqual([spool.nextSeq, spool.end], [20, undefined]);
  });

  test('is gone when it is destroyed', (t) => {
    const folder = testFolder(t);
    SpoolFile.create(join(folder, 'x.spool'), META).destroy();
    assert.deepEqual(readdirSync(folder), []);
  });

  test('says what a file is that is no spool', (t) => {
    const path = join(testFolder(t), 'x.spool');
    assert.throws(() => SpoolFile.open(path), /x\.spool: there is no such file/);
    writeFileSync(path, 'a text that is no database at all, and long enough to have been one');
    assert.throws(() => SpoolFile.open(path), /x\.spool: file is not a database/);
    writeFileSync(path, '');
    assert.throws(() => SpoolFile.open(path), /x\.spool: is no spool of keruta-agent/);
  });
});

test('what was written survives SIGKILL in the middle of writing', async (t) => {
  const path = join(testFolder(t), 'x.spool');
  const child = spawn(process.execPath, [new URL('./spool-writer.fixture.ts', import.meta.url).pathname, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  let told = 0;
  for await (const line of createInterface(child.stdout)) {
    told = Number(line);
    if (told >= 300) break;
  }
  child.kill('SIGKILL');
  if (child.signalCode === null) await once(child, 'exit');
  const spool = SpoolFile.open(path);
  t.after(() => spool.close());
  assert.ok(spool.nextSeq >= told, `${spool.nextSeq} of ${told}`);
  assert.deepEqual(linesOf(recordsOf(spool)), lineTexts(0, spool.nextSeq - 1, 200));
  assert.deepEqual(spool.chainAt(spool.nextSeq), chainOf(recordsOf(spool)));
});
