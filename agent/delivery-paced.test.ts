import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineTexts, testFolder, testRelay, Writer } from './delivery.fixture.ts';
import { linesOf, type FakeRelay } from './fake-relay.ts';
import { Pacer } from './pacer.ts';

/** A pacer whose clock stands until it is set, and that is asked again soon. */
function testPacer(perSecond: number) {
  let now = 0;
  class TestPacer extends Pacer {
    override take(lines: number): number {
      return Math.min(1, super.take(lines));
    }
  }
  return { pacer: new TestPacer(perSecond, () => now), passed: (ms: number) => (now += ms) };
}

function received(relay: FakeRelay, seq: number): Promise<void> {
  return relay.until(() => relay.runs.size > 0 && relay.run.chain.seq === seq);
}

test('records that are paced wait for their second, nothing else waits for them, and all arrive', async (t) => {
  const relay = await testRelay(t);
  const { pacer, passed } = testPacer(10);
  const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url], pacer });
  for (let i = 0; i < 5; i++) writer.put(5);
  await received(relay, 10);
  assert.equal(writer.outbox.full, false);
  passed(500);
  await received(relay, 15);
  const ended = writer.end();
  passed(1000);
  assert.deepEqual(await ended, { outcome: 'verified', unsentLines: 0, missingLines: 0 });
  assert.deepEqual(linesOf(relay.run.records), lineTexts(0, 24));
  assert.deepEqual(relay.problems, []);
});

test('what is sent again after a cut is paced too', async (t) => {
  const relay = await testRelay(t);
  const { pacer, passed } = testPacer(10);
  relay.faults.noAcks = true;
  const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url], pacer });
  writer.put(5);
  writer.put(5);
  writer.put(5);
  await received(relay, 10);
  await relay.stop();
  relay.faults.noAcks = false;
  await relay.start();
  await relay.until(() => relay.hellos.length === 2);
  passed(5000);
  const ended = writer.end();
  await received(relay, 15);
  assert.equal((await ended).outcome, 'verified');
  assert.deepEqual(linesOf(relay.run.records), lineTexts(0, 14));
});

test('a run whose rest is held back ends in time, and leaves it in the spool', async (t) => {
  const relay = await testRelay(t);
  const { pacer } = testPacer(10);
  const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url], pacer, drainTimeoutMs: 20 });
  writer.put(10);
  writer.put(10);
  await received(relay, 10);
  const { outcome, unsentLines } = await writer.end();
  assert.deepEqual([outcome, unsentLines], ['spooled', 10]);
});
