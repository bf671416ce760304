import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import Database from 'better-sqlite3';
import { encodeLines } from '../shared/columns.ts';
import { newUlid } from '../shared/ulid.ts';
import { FakeRelay, linesOf } from './fake-relay.ts';
import { flushTask, type FlushedRun, type FlushOptions } from './flush.ts';
import { lineText, lineTexts, testFolder, testRelay, Writer } from './delivery.fixture.ts';
import type { SpoolBatch } from './spool-contract.ts';
import { SpoolFile } from './spool-file.ts';
import { listSpools, spoolPath } from './spool-folder.ts';

/** What a dead agent left: chunks of ten lines. */
function leave(
  spoolDir: string,
  chunks: number,
  rest: Partial<SpoolBatch> & { task?: string; url?: string } = {},
): string {
  const { task = 't1', url = 'ws://127.0.0.1:9/ws/tasks', ...batch } = rest;
  const run = newUlid(Date.now());
  const meta = { task, run, url, workerId: 'w1', labels: {}, agentVersion: '0.0.0', startedAt: 1 };
  const spool = SpoolFile.create(spoolPath(spoolDir, run, task), meta);
  const records = Array.from({ length: chunks }, (_, i) => {
    const lines = Array.from({ length: 10 }, (_line, j) => ({
      time: 1,
      kind: 4,
      text: Buffer.from(lineText(10 * i + j)),
    }));
    return encodeLines(run, 10 * i, lines);
  });
  spool.write({ limitBytes: Infinity, ...batch, records });
  spool.close();
  return run;
}

const END = { exitCode: 5, signal: null, reason: 'exited' as const, endedAt: 9 };

function options(
  t: TestContext,
  relay: FakeRelay,
  more: Partial<FlushOptions> & { spoolDir: string },
): FlushOptions & { runs: FlushedRun[] } {
  const runs: FlushedRun[] = [];
  return {
    runs,
    websocketUrls: [relay.url],
    reconnectMinMs: 5,
    reconnectMaxMs: 50,
    connectTimeoutMs: 1000,
    drainTimeoutMs: 5000,
    onWarning: (text) => t.diagnostic(text),
    onRun: (run) => runs.push(run),
    now: () => 1_700_000_000_000,
    ...more,
  };
}

test('a spool that its agent did not live to make holds nothing, and is removed', async (t) => {
  const relay = await testRelay(t);
  const spoolDir = testFolder(t);
  const empty = spoolPath(spoolDir, newUlid(Date.now()), 't1');
  const inWalMode = spoolPath(spoolDir, newUlid(Date.now()), 't1');
  writeFileSync(empty, '');
  const db = new Database(inWalMode);
  db.pragma('journal_mode = WAL');
  db.close();
  leave(spoolDir, 1, { end: END });
  const given = options(t, relay, { spoolDir });
  assert.deepEqual(await flushTask(given, 't1'), { delivered: 1, remaining: 0, alive: 0, expired: 0 });
  assert.deepEqual(readdirSync(spoolDir), []);
});

test('what an agent left with its end is delivered as it was', async (t) => {
  const relay = await testRelay(t);
  const spoolDir = testFolder(t);
  leave(spoolDir, 3, { end: END });
  const given = options(t, relay, { spoolDir });
  assert.deepEqual(await flushTask(given, 't1'), { delivered: 1, remaining: 0, alive: 0, expired: 0 });
  assert.deepEqual(linesOf(relay.run.records), lineTexts(0, 29));
  assert.deepEqual([relay.run.end?.exitCode, relay.run.end?.reason], [5, 'exited']);
  assert.deepEqual([given.runs[0].lines, given.runs[0].missingLines], [30, 0]);
  assert.deepEqual(readdirSync(spoolDir), []);
});

test('an agent that died before its end gets one: a gap, and agent-died', async (t) => {
  const relay = await testRelay(t);
  const spoolDir = testFolder(t);
  leave(spoolDir, 2);
  assert.deepEqual(await flushTask(options(t, relay, { spoolDir }), 't1'), {
    delivered: 1,
    remaining: 0,
    alive: 0,
    expired: 0,
  });
  assert.deepEqual(linesOf(relay.run.records), [...lineTexts(0, 19), '[agent-died 20-20]']);
  assert.deepEqual([relay.run.end?.exitCode, relay.run.end?.reason, relay.run.end?.lines], [null, 'agent-died', 20]);
  assert.deepEqual(readdirSync(spoolDir), []);
});

test('only the task that is asked for, the oldest run first', async (t) => {
  const relay = await testRelay(t);
  const spoolDir = testFolder(t);
  const runs = [leave(spoolDir, 1)];
  const other = leave(spoolDir, 1, { task: 't2' });
  runs.push(leave(spoolDir, 2));
  await flushTask(options(t, relay, { spoolDir }), 't1');
  assert.deepEqual([...relay.runs.keys()].sort(), runs.sort());
  assert.deepEqual(
    readdirSync(spoolDir)
      .filter((name) => name.endsWith('.spool'))
      .map((name) => name.slice(0, 26)),
    [other],
  );
});

test('a living agent is left alone', async (t) => {
  const relay = await testRelay(t);
  const spoolDir = testFolder(t);
  const writer = new Writer(t, { spoolDir, websocketUrls: [relay.url] });
  writer.put(1);
  await writer.until(() => writer.outbox.idle);
  const given = options(t, relay, { spoolDir });
  assert.deepEqual(await flushTask(given, 't1'), { delivered: 0, remaining: 0, alive: 1, expired: 0 });
  assert.match(given.runs[0].problem ?? '', new RegExp(`in use by process ${process.pid}`));
  assert.equal((await writer.end()).outcome, 'verified');
});

test('without a URL each run goes where its agent sent it, of several relays to one that is there', async (t) => {
  const relay = await testRelay(t);
  const spoolDir = testFolder(t);
  leave(spoolDir, 1, { url: `ws://127.0.0.1:1/ws/tasks,${relay.url}` });
  await flushTask(options(t, relay, { spoolDir, websocketUrls: undefined }), 't1');
  assert.deepEqual(linesOf(relay.run.records).length, 11);
});

test('what can not be delivered stays, and is said', async (t) => {
  const relay = await testRelay(t);
  await relay.stop();
  const spoolDir = testFolder(t);
  leave(spoolDir, 1);
  const given = options(t, relay, { spoolDir, connectTimeoutMs: 30 });
  assert.deepEqual(await flushTask(given, 't1'), { delivered: 0, remaining: 1, alive: 0, expired: 0 });
  assert.equal(given.runs[0].unsentLines, 10);
  assert.match(given.runs[0].problem ?? '', /ECONNREFUSED/);
  await relay.start();
  assert.deepEqual(await flushTask(options(t, relay, { spoolDir }), 't1'), {
    delivered: 1,
    remaining: 0,
    alive: 0,
    expired: 0,
  });
  assert.deepEqual(linesOf(relay.run.records), [...lineTexts(0, 9), '[agent-died 10-10]']);
});

test('what waits for earlier runs waits for no more than one that is left unanswered, and not for cuts', async (t) => {
  const relay = await testRelay(t);
  const spoolDir = testFolder(t);
  const [first] = [leave(spoolDir, 1), leave(spoolDir, 1)].sort();
  relay.faults.onFrame = (_frame, isBinary, socket) => {
    if (isBinary) socket.terminate();
    return isBinary;
  };
  let steps = 0;
  const given = options(t, relay, { spoolDir, drainTimeoutMs: 300, onProgress: () => steps++ });
  assert.deepEqual(await flushTask(given, 't1'), { delivered: 0, remaining: 1, alive: 0, expired: 0 });
  assert.ok(relay.hellos.length > 1);
  assert.deepEqual(
    relay.hellos.filter(({ run }) => run !== first),
    [],
  );
  assert.equal(steps, 0);
});

test('a copied spool: the second copy goes on as a new run', async (t) => {
  const relay = await testRelay(t);
  const [first, second] = [testFolder(t), testFolder(t)];
  const run = leave(first, 2);
  const path = spoolPath(first, run, 't1');
  copyFileSync(path, spoolPath(second, run, 't1'));
  const copy = SpoolFile.open(spoolPath(second, run, 't1'));
  const lines = [{ time: 1, kind: 4, text: Buffer.from('line 20') }];
  copy.write({ records: [encodeLines(run, 20, lines)], limitBytes: Infinity });
  copy.close();
  await flushTask(options(t, relay, { spoolDir: first }), 't1');
  assert.deepEqual(await flushTask(options(t, relay, { spoolDir: second }), 't1'), {
    delivered: 1,
    remaining: 0,
    alive: 0,
    expired: 0,
  });
  assert.equal(relay.runs.size, 2);
  assert.deepEqual(linesOf(relay.run.records), [...lineTexts(0, 20), '[agent-died 21-21]']);
  assert.equal(relay.hellos.at(-1)?.labels.continues, run);
});

for (const { what, acked } of [
  { what: 'which has nothing more to say', acked: { seq: 10, epoch: 'epoch-1' } },
  // Its disk was full: what came then was sent from memory, and its acknowledgement could not be noted.
  { what: 'which could not note that', acked: undefined },
]) {
  test(`a relay that has more than a spool ${what}: the run is ended behind it, and nothing is sent twice`, async (t) => {
    const relay = await testRelay(t);
    const spoolDir = testFolder(t);
    const run = leave(spoolDir, 1, { acked });
    relay.runs.set(run, {
      id: run,
      records: [],
      chain: { seq: 15, digest: 'cd'.repeat(16), lines: 0, bytes: 0, missing: 0 },
    });
    assert.deepEqual(await flushTask(options(t, relay, { spoolDir }), 't1'), {
      delivered: 1,
      remaining: 0,
      alive: 0,
      expired: 0,
    });
    assert.equal(relay.runs.size, 1);
    assert.deepEqual(linesOf(relay.run.records), ['[agent-died 15-15]']);
  });
}

test('a run that the relay does not verify stays, and is not sent again', async (t) => {
  const relay = await testRelay(t);
  relay.faults.unverified = true;
  const spoolDir = testFolder(t);
  leave(spoolDir, 1, { end: END });
  const given = options(t, relay, { spoolDir });
  assert.deepEqual(await flushTask(given, 't1'), { delivered: 0, remaining: 1, alive: 0, expired: 0 });
  assert.deepEqual(await flushTask(given, 't1'), { delivered: 0, remaining: 1, alive: 0, expired: 0 });
  assert.match(given.runs[1].problem ?? '', /other records than were sent/);
  assert.equal(relay.hellos.length, 1);
});

test('a file that is no spool stays, and is said', async (t) => {
  const relay = await testRelay(t);
  const spoolDir = testFolder(t);
  writeFileSync(spoolPath(spoolDir, newUlid(1), 't1'), 'nonsense');
  const given = options(t, relay, { spoolDir });
  assert.deepEqual(await flushTask(given, 't1'), { delivered: 0, remaining: 1, alive: 0, expired: 0 });
  assert.match(given.runs[0].problem ?? '', /not a database|no spool/);
});

test('a folder that is not there holds nothing', async (t) => {
  const relay = await testRelay(t);
  const spoolDir = join(testFolder(t), 'none');
  assert.deepEqual(await flushTask(options(t, relay, { spoolDir }), 't1'), {
    delivered: 0,
    remaining: 0,
    alive: 0,
    expired: 0,
  });
});

test('what nobody wrote to for longer than allowed is removed instead of sent, and said', async (t) => {
  const relay = await testRelay(t);
  const spoolDir = testFolder(t);
  const now = 1_700_000_000_000;
  const written = (path: string, age: number) => {
    for (const file of [path, `${path}-wal`])
      if (existsSync(file)) utimesSync(file, (now - age) / 1000, (now - age) / 1000);
  };
  const old = leave(spoolDir, 2);
  const young = leave(spoolDir, 1);
  written(spoolPath(spoolDir, old, 't1'), 61_000);
  written(spoolPath(spoolDir, young, 't1'), 59_000);
  const sentences: string[] = [];
  const flushing = options(t, relay, { spoolDir, spoolMaxAgeMs: 60_000, onExpired: (text) => sentences.push(text) });
  assert.deepEqual(await flushTask(flushing, 't1'), { delivered: 1, remaining: 0, alive: 0, expired: 1 });
  assert.deepEqual([...relay.runs.keys()], [young]);
  assert.deepEqual(listSpools(spoolDir), []);
  assert.deepEqual(sentences, [
    `t1 (run ${old}): removed, 20 lines unsent: nothing was written to its spool for more than 1m (spool.maxAge)`,
  ]);
});

test('the spool of an agent that is at work is never too old', async (t) => {
  const relay = await testRelay(t);
  const spoolDir = testFolder(t);
  const writer = new Writer(t, { spoolDir, websocketUrls: [relay.url] });
  writer.put(1);
  await writer.until(() => writer.outbox.idle);
  const flushing = options(t, relay, { spoolDir, spoolMaxAgeMs: 1000, now: () => Date.now() + 1e9 });
  assert.deepEqual(await flushTask(flushing, 't1'), { delivered: 0, remaining: 0, alive: 1, expired: 0 });
});
