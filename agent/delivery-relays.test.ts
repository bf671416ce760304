import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineTexts, testFolder, testRelay, Writer } from './delivery.fixture.ts';
import { linesOf } from './fake-relay.ts';

test('a relay that is not there is passed over; the one that took the log is kept to', async (t) => {
  const relay = await testRelay(t);
  const websocketUrls = ['ws://127.0.0.1:1/ws/tasks', relay.url];
  const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls });
  writer.put(2);
  await relay.until(() => relay.runs.size === 1 && relay.run.chain.seq === 2);
  relay.close(1001, 'again');
  writer.put(1);
  const { outcome } = await writer.end();
  assert.equal(outcome, 'verified');
  assert.equal(linesOf(relay.run.records).length, 3);
});

test('another relay, with a store of its own, gets everything that the spool holds; verified by one is done', async (t) => {
  const [first, second] = [await testRelay(t), await testRelay(t)];
  second.epoch = 'another';
  const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [first.url, second.url] });
  writer.put(3);
  await writer.until(() => writer.outbox.idle);
  await first.stop();
  writer.put(2);
  const { outcome } = await writer.end();
  assert.equal(outcome, 'verified');
  assert.equal(linesOf(first.run.records).length, 3);
  assert.deepEqual(linesOf(second.run.records), lineTexts(0, writer.lines - 1));
  assert.equal(second.run.id, writer.run);
});

test('back at the first one, it gets what the other one got meanwhile', async (t) => {
  const [first, second] = [await testRelay(t), await testRelay(t)];
  second.epoch = 'another';
  const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [first.url, second.url] });
  writer.put(3);
  await writer.until(() => writer.outbox.idle);
  first.turn({ refusal: { status: 503, body: '' } });
  writer.put(2);
  await second.until(() => second.runs.size === 1 && second.run.chain.seq === 5);
  first.release();
  second.turn({ refusal: { status: 503, body: '' } });
  writer.put(1);
  assert.equal((await writer.end()).outcome, 'verified');
  assert.deepEqual(linesOf(first.run.records), lineTexts(0, writer.lines - 1));
});

test('one that refuses for good leaves the log to the other; if all do, it is over', async (t) => {
  const [first, second] = [await testRelay(t), await testRelay(t)];
  const SAID = '{"error":{"message":"No such token."}}';
  first.faults.refusal = { status: 401, body: SAID };
  const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [first.url, second.url] });
  writer.put(2);
  assert.equal((await writer.end()).outcome, 'verified');
  second.faults.refusal = { status: 401, body: SAID };
  const another = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [first.url, second.url] });
  another.put(2);
  const { outcome, problem } = await another.end();
  assert.equal(outcome, 'spooled');
  assert.match(problem ?? '', new RegExp(`${first.url}.*; .*${second.url}`));
});

test('a relay that is about to restart says when to come back, and is not left for another one', async (t) => {
  const [first, second] = [await testRelay(t), await testRelay(t)];
  const websocketUrls = [first.url, second.url];
  const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls, reconnectMinMs: 1e6, reconnectMaxMs: 1e6 });
  writer.put(1);
  await writer.until(() => writer.outbox.idle);
  first.say('{"type":"drain","retryAfterMs":20}');
  first.close(4102, 'The relay is stopping.');
  writer.put(1);
  assert.equal((await writer.end()).outcome, 'verified');
  assert.deepEqual([first.hellos.length, second.hellos.length], [2, 0]);
});
