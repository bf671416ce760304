import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { encodeLines } from '../shared/columns.ts';
import { Backlog, type BacklogOptions } from './delivery-backlog.ts';
import { lineText, lineTexts, testFolder, testRelay, Writer } from './delivery.fixture.ts';
import { linesOf } from './fake-relay.ts';
import type { QueuedRecord } from './delivery-queue.ts';
import type { SpoolEnd } from './spool-contract.ts';
import { SpoolFile } from './spool-file.ts';
import { listSpools } from './spool-folder.ts';
import { advance, EMPTY_CHAIN } from './spool-record.ts';
import { Spool } from './spool.ts';

const RUN = '01J00000000000000000000000';
const END: SpoolEnd = { exitCode: 0, signal: null, reason: 'exited', endedAt: 9 };
/** Longer than any test: it is begun by what the test does. */
const LATE = { spoolAfterMs: 3_600_000 };

function begun(t: TestContext, folder: string, more: Partial<BacklogOptions> = LATE): Backlog {
  const backlog = new Backlog({
    spool: new Spool(),
    path: join(folder, 'x.spool'),
    meta: { task: 't', run: RUN, url: '', workerId: 'w', labels: {}, agentVersion: '1', startedAt: 1 },
    spoolLimitBytes: 1 << 30,
    memoryLimitBytes: 16 << 20,
    overflow: 'drop-oldest',
    onWarning: (text) => assert.fail(text),
    now: () => 7,
    ...more,
  });
  backlog.start();
  t.after(() => backlog.close('keep'));
  return backlog;
}

function put(backlog: Backlog, count: number, width = 0): void {
  const { nextSeq } = backlog;
  const text = (i: number) => Buffer.from(lineText(nextSeq + i, width));
  const lines = Array.from({ length: count }, (_, i) => ({ time: 1, kind: 4, text: text(i) }));
  backlog.put(encodeLines(RUN, nextSeq, lines));
}

/** As an uplink takes it. */
function send(backlog: Backlog, records: number): QueuedRecord[] {
  return Array.from({ length: records }, () => backlog.next() ?? assert.fail('nothing to be sent'));
}

function acknowledge(backlog: Backlog, records: QueuedRecord[]): void {
  backlog.epoch = 'e1';
  backlog.setAcked(records.reduce(advance, backlog.acked));
}

function spooled(folder: string) {
  const file = SpoolFile.open(join(folder, 'x.spool'));
  const records = file.read(0, 1 << 24).map(({ bytes }) => bytes ?? assert.fail('evicted'));
  const { ackedSeq, epoch, end } = file;
  file.close();
  return { lines: linesOf(records), ackedSeq, epoch, end };
}

test('what is verified before the spool is begun leaves nothing behind', async (t) => {
  const folder = testFolder(t);
  const backlog = begun(t, folder);
  put(backlog, 3);
  acknowledge(backlog, send(backlog, 1));
  backlog.setEnd(END);
  assert.equal(backlog.endReadable, true);
  await backlog.close('destroy');
  assert.deepEqual(readdirSync(folder), []);
});

test('a spool that is begun late has all that was sent by then, what is acknowledged of it, and the end', async (t) => {
  const folder = testFolder(t);
  const backlog = begun(t, folder);
  for (let i = 0; i < 4; i++) put(backlog, 10);
  acknowledge(backlog, send(backlog, 3).slice(0, 2));
  backlog.setEnd(END);
  backlog.begin();
  // Nothing more is sent until the spool has it.
  assert.equal(backlog.next(), undefined);
  await backlog.close('keep');
  assert.deepEqual(spooled(folder), { lines: lineTexts(0, 39), ackedSeq: 20, epoch: 'e1', end: END });
});

test('what the relay forgets before the spool is begun is sent again', async (t) => {
  const folder = testFolder(t);
  const backlog = begun(t, folder);
  for (let i = 0; i < 3; i++) put(backlog, 10);
  const [first, ...others] = send(backlog, 3);
  const chain = advance(backlog.acked, first);
  acknowledge(backlog, [first, ...others]);
  await backlog.rewind(chain, 'e2');
  assert.deepEqual(linesOf(send(backlog, 2).map(({ bytes }) => bytes)), lineTexts(10, 29));
  await backlog.close('keep');
  assert.deepEqual(spooled(folder).lines, lineTexts(0, 29));
});

test('a run whose end can not be delivered at once has its spool, however soon it is given up', async (t) => {
  const folder = testFolder(t);
  const backlog = begun(t, folder);
  put(backlog, 2);
  backlog.setEnd(END);
  await backlog.close('keep');
  assert.equal(backlog.spooled, true);
  assert.deepEqual(spooled(folder), { lines: lineTexts(0, 1), ackedSeq: 0, epoch: undefined, end: END });
});

test('the chain of what is in memory only is known', async (t) => {
  const backlog = begun(t, testFolder(t));
  for (let i = 0; i < 3; i++) put(backlog, 10);
  const records = send(backlog, 3);
  acknowledge(backlog, records);
  assert.deepEqual(await backlog.chainAt(20), records.slice(0, 2).reduce(advance, EMPTY_CHAIN));
  assert.equal(await backlog.chainAt(15), undefined);
});

test('what waits for its spool is no trouble', async (t) => {
  const writer = new Writer(t, { spoolDir: testFolder(t), ...LATE });
  writer.put(5);
  assert.equal(writer.outbox.figures.spooled, true);
  await writer.outbox.dispose();
});

test('the end of a run without output is not in a spool that could never be made', async (t) => {
  const blocked = join(testFolder(t), 'file');
  writeFileSync(blocked, '');
  const writer = new Writer(t, { spoolDir: join(blocked, 'spool'), drainTimeoutMs: 0, ...LATE });
  const { outcome, problem } = await writer.end();
  assert.equal(outcome, 'lost');
  assert.match(problem ?? '', /can't be written/);
});

const REASONS: [string, Partial<BacklogOptions>, (backlog: Backlog) => void][] = [
  ['much waits for it', LATE, (backlog) => put(backlog, 600, 1000)],
  ['more lines wait than may', { ...LATE, bufferLines: 10 }, (backlog) => put(backlog, 11)],
  ['the moment is over', { spoolAfterMs: 1 }, (backlog) => put(backlog, 1)],
];

for (const [reason, options, act] of REASONS) {
  test(`a spool is begun when ${reason}`, async (t) => {
    const backlog = begun(t, testFolder(t), options);
    const written = new Promise<void>((resolve) => {
      backlog.onChange = () => backlog.spooled && backlog.nextSeq > 0 && resolve();
    });
    // Its worker does not keep the process alive.
    const alive = setInterval(() => undefined, 1 << 30);
    act(backlog);
    await written;
    clearInterval(alive);
  });
}

test('a spool is begun when no relay can be reached', async (t) => {
  const folder = testFolder(t);
  const writer = new Writer(t, { spoolDir: folder, ...LATE });
  writer.put(5);
  while (listSpools(folder).length === 0) await setTimeout(5);
  assert.equal(writer.outbox.figures.unsentLines, 5);
});

test('a short run is delivered without a spool, also where none could be written', async (t) => {
  const relay = await testRelay(t);
  const blocked = join(testFolder(t), 'file');
  writeFileSync(blocked, '');
  const writer = new Writer(t, { spoolDir: join(blocked, 'spool'), websocketUrls: [relay.url], ...LATE });
  writer.put(5);
  assert.deepEqual(await writer.end(), { outcome: 'verified', unsentLines: 0, missingLines: 0 });
  assert.deepEqual(writer.warnings, []);
});

test('a spool is made in one step with what is in it first', (t) => {
  const folder = testFolder(t);
  const path = join(folder, 'x.spool');
  const meta = { task: 't', run: RUN, url: '', workerId: 'w', labels: {}, agentVersion: '1', startedAt: 1 };
  const text = Buffer.from('one');
  const wrong = encodeLines(RUN, 5, [{ time: 1, kind: 4, text }]);
  assert.throws(() => SpoolFile.create(path, meta, { records: [wrong], limitBytes: 1 << 20 }), /does not follow 0/);
  assert.throws(() => SpoolFile.open(path), /is no spool of keruta-agent/);
});
