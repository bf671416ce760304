import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { SpoolFile } from './spool-file.ts';
import { spoolPath } from './spool-folder.ts';
import { linesOf, type FakeRelay } from './fake-relay.ts';
import { lineText, lineTexts, testFolder, testRelay, Writer } from './delivery.fixture.ts';

describe('a run with a relay that works', () => {
  test('is delivered and verified, and its spool is gone', async (t) => {
    const relay = await testRelay(t);
    const spoolDir = testFolder(t);
    const writer = new Writer(t, { spoolDir, websocketUrls: [relay.url] });
    writer.put(3);
    writer.put(2);
    const delivery = await writer.end();
    assert.deepEqual(delivery, { outcome: 'verified', unsentLines: 0, missingLines: 0 });
    assert.deepEqual(linesOf(relay.run.records), lineTexts(0, 4));
    assert.equal(relay.run.end?.exitCode, 3);
    assert.deepEqual(relay.problems, []);
    assert.deepEqual(writer.warnings, []);
    assert.deepEqual(readdirSync(spoolDir), []);
  });

  test('introduces itself, with its token only in the header', async (t) => {
    const relay = await testRelay(t);
    const spoolDir = testFolder(t);
    const websocketUrls = [`${relay.url}/?a=1`];
    const writer = new Writer(t, { spoolDir, websocketUrls, task: 'a/b ü', authToken: 'tok' });
    await relay.until(() => relay.hellos.length > 0);
    writer.put(1);
    await relay.until(() => relay.run.chain.seq === 1);
    assert.equal(relay.requests[0].url, '/ws/tasks/a%2Fb%20%C3%BC?a=1');
    assert.equal(relay.requests[0].headers.authorization, 'Bearer tok');
    assert.equal(relay.requests[0].headers['x-api-key'], undefined);
    assert.equal(relay.requests[0].headers['sec-websocket-extensions'], undefined);
    const { type, run, ackedSeq, labels, workerId } = relay.hellos[0];
    assert.deepEqual([type, run, ackedSeq, labels, workerId], ['hello', writer.run, 0, { team: 'x' }, 'w1']);
    const { meta } = SpoolFile.open(spoolPath(spoolDir, writer.run, 'a/b ü'), { readonly: true });
    assert.equal(meta.url, relay.url + '/');
    assert.doesNotMatch(JSON.stringify(meta), /tok|key/);
  });

  test('a record leaves only when the spool has it', async (t) => {
    const relay = await testRelay(t);
    const spoolDir = testFolder(t);
    const writer = new Writer(t, { spoolDir, websocketUrls: [relay.url] });
    const spooled: number[] = [];
    relay.faults.onFrame = (_frame, isBinary) => {
      if (!isBinary) return false;
      const file = SpoolFile.open(spoolPath(spoolDir, writer.run, 't1'), { readonly: true });
      spooled.push(file.nextSeq - relay.run.chain.seq);
      file.close();
      return false;
    };
    for (let i = 0; i < 20; i++) writer.put(1);
    assert.equal((await writer.end()).outcome, 'verified');
    assert.equal(spooled.length, 20);
    assert.ok(spooled.every((ahead) => ahead >= 1));
  });

  test('is idle when everything is acknowledged, and says so', async (t) => {
    const relay = await testRelay(t);
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    assert.equal(writer.outbox.idle, false);
    await writer.until(() => writer.outbox.idle);
    relay.faults.noAcks = true;
    writer.put(1);
    assert.equal(writer.outbox.idle, false);
    await relay.until(() => relay.run.chain.seq === 1);
    assert.equal(writer.outbox.idle, false);
    relay.release();
    await writer.until(() => writer.outbox.idle);
  });

  test('has no more under way than the window', async (t) => {
    const relay = await testRelay(t);
    relay.windowBytes = 20_000;
    relay.faults.noAcks = true;
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    for (let i = 0; i < 20; i++) writer.put(10, 600);
    const ended = writer.end();
    await relay.until(() => relay.mostUnacked > 10_000);
    relay.release();
    assert.equal((await ended).outcome, 'verified');
    assert.ok(relay.mostUnacked <= 20_000, `${relay.mostUnacked}`);
  });

  test('one chunk flies even if it is larger than the window', async (t) => {
    const relay = await testRelay(t);
    relay.windowBytes = 100;
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    writer.put(10, 600);
    writer.put(10, 600);
    assert.equal((await writer.end()).outcome, 'verified');
  });

  test('a wish of the relay to cancel is passed on', async (t) => {
    const relay = await testRelay(t);
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    await writer.until(() => writer.outbox.idle);
    relay.say(JSON.stringify({ type: 'cancel', reason: 'user' }));
    relay.say(JSON.stringify({ type: 'ack', nextSeq: 0 }));
    writer.put(1);
    await writer.end();
    assert.deepEqual(writer.cancels, ['user']);
  });
});

describe('a run with trouble on the way', () => {
  test('every line arrives once and in order through many cuts', async (t) => {
    const relay = await testRelay(t);
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    let frames = 0;
    relay.faults.onFrame = (_frame, isBinary, socket) => {
      if (!isBinary || ++frames % 7 !== 0) return false;
      socket.terminate();
      // Half of the cut frames have been stored.
      return frames % 2 === 0;
    };
    for (let i = 0; i < 100; i++) {
      writer.put(20, 100);
      if (i % 10 === 0) await relay.until(() => relay.runs.size > 0 && relay.run.chain.seq > writer.lines - 200);
    }
    relay.faults = {};
    assert.equal((await writer.end()).outcome, 'verified');
    assert.deepEqual(linesOf(relay.run.records), lineTexts(0, 1999, 100));
    assert.ok(relay.hellos.length > 5);
    assert.deepEqual(relay.problems, []);
  });

  test('a relay that comes late gets everything', async (t) => {
    const relay = await testRelay(t);
    await relay.stop();
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    for (let i = 0; i < 10; i++) writer.put(10);
    const ended = writer.end();
    await relay.start();
    assert.equal((await ended).outcome, 'verified');
    assert.deepEqual(linesOf(relay.run.records), lineTexts(0, 99));
  });

  test('a relay that was put back to an older copy gets what it forgot', async (t) => {
    const relay = await testRelay(t);
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    writer.put(5);
    await relay.until(() => relay.runs.size > 0 && relay.run.chain.seq === 5);
    const copy = relay.backup();
    for (let i = 0; i < 5; i++) writer.put(5);
    await writer.until(() => writer.outbox.idle);
    relay.runs = copy;
    relay.epoch = 'epoch-2';
    relay.cut();
    writer.put(5);
    assert.equal((await writer.end()).outcome, 'verified');
    assert.deepEqual(linesOf(relay.run.records), lineTexts(0, 34));
    assert.deepEqual([relay.hellos[1].epoch, relay.hellos[1].ackedSeq], ['epoch-1', 30]);
  });

  test('what a relay forgot and the spool has evicted becomes a gap', async (t) => {
    const relay = await testRelay(t);
    const options = { spoolDir: testFolder(t), websocketUrls: [relay.url], spoolLimitBytes: 30_000 };
    const writer = new Writer(t, options);
    for (let i = 0; i < 20; i++) {
      writer.put(10, 500);
      await relay.until(() => relay.runs.size > 0 && relay.run.chain.seq === writer.lines);
      await writer.until(() => writer.outbox.idle);
    }
    relay.runs.clear();
    relay.cut();
    assert.equal((await writer.end()).outcome, 'verified');
    const lines = linesOf(relay.run.records);
    const last = /^\[acked-then-lost 0-(\d+)\]$/.exec(lines[0])?.[1];
    assert.ok(last !== undefined && Number(last) > 50 && Number(last) < 180, lines[0]);
    assert.deepEqual(lines.slice(1), lineTexts(Number(last) + 1, 199, 500));
    assert.deepEqual(relay.problems, []);
  });

  test('a refusal is followed from where it says', async (t) => {
    const relay = await testRelay(t);
    const refused: number[] = [];
    relay.faults.refuse = (seq) =>
      seq % 30 === 0 && !refused.includes(seq) && refused.push(seq) > 0 ? 'expected' : undefined;
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    for (let i = 0; i < 20; i++) writer.put(10);
    assert.equal((await writer.end()).outcome, 'verified');
    assert.deepEqual(linesOf(relay.run.records), lineTexts(0, 199));
    assert.equal(refused.length, 7);
  });

  test('a chunk that is invalid twice becomes a gap of exactly its lines', async (t) => {
    const relay = await testRelay(t);
    relay.faults.refuse = (seq, chunk) => (seq === 20 && chunk.length > 92 ? 'invalid' : undefined);
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    for (let i = 0; i < 5; i++) writer.put(10);
    assert.deepEqual(await writer.end(), { outcome: 'verified', unsentLines: 0, missingLines: 10 });
    assert.deepEqual(linesOf(relay.run.records), [...lineTexts(0, 19), '[rejected 20-29]', ...lineTexts(30, 49)]);
    assert.equal(relay.run.end?.lines, 40);
    assert.match(writer.warnings.join(), /refuses a chunk for good/);
  });

  test('a relay that refuses everything is left and tried again', async (t) => {
    const relay = await testRelay(t);
    relay.faults.refuse = () => 'expected';
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    writer.put(1);
    await relay.until(() => relay.hellos.length === 3);
    relay.faults = {};
    assert.equal((await writer.end()).outcome, 'verified');
  });

  test('another digest means another writer: the rest goes on as a new run', async (t) => {
    const relay = await testRelay(t);
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    writer.put(10);
    await writer.until(() => writer.outbox.idle);
    relay.faults = { noReady: true };
    relay.cut();
    writer.put(10);
    await relay.until(() => relay.hellos.length === 2);
    relay.faults = {};
    // Someone else has brought other lines under the same run.
    relay.run.chain = { ...relay.run.chain, seq: 15, digest: 'ab'.repeat(16) };
    relay.cut();
    await relay.until(() => relay.runs.size === 2);
    writer.put(10);
    assert.equal((await writer.end()).outcome, 'verified');
    assert.deepEqual(linesOf(relay.run.records), lineTexts(10, 29));
    assert.notEqual(relay.run.id, writer.run);
    assert.deepEqual(relay.hellos.at(-1)?.labels, { team: 'x', continues: writer.run });
    assert.match(writer.warnings.join(), /another agent has written it/);
  });

  const nonsense: [string, (relay: FakeRelay) => void][] = [
    ['text that is no JSON', (relay) => relay.say('hello?')],
    ['an unknown message', (relay) => relay.say('{"type":"what"}')],
    ['a binary frame', (relay) => relay.say(Buffer.from([1, 2, 3]))],
    ['a message of a megabyte', (relay) => relay.say('x'.repeat(1 << 20))],
    ['an ack of what was not sent', (relay) => relay.say('{"type":"ack","nextSeq":1000}')],
    ['verified before the end', (relay) => relay.say('{"type":"verified","nextSeq":1}')],
    [
      'ready twice',
      (relay) =>
        relay.say(JSON.stringify({ type: 'ready', epoch: 'e', nextSeq: 0, digest: '00'.repeat(16), windowBytes: 1 })),
    ],
  ];
  for (const [what, say] of nonsense) {
    test(`${what} ends the connection, and the next one goes on`, async (t) => {
      const relay = await testRelay(t);
      const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
      writer.put(1);
      await writer.until(() => writer.outbox.idle);
      say(relay);
      await relay.until(() => relay.hellos.length === 2);
      writer.put(1);
      assert.equal((await writer.end()).outcome, 'verified');
      assert.deepEqual(linesOf(relay.run.records), lineTexts(0, 1));
    });
  }
});

describe('a relay that does not want the run', () => {
  const SAID = '{"error":{"message":"As the relay says."}}';
  const refusals: [string, (relay: FakeRelay) => void, RegExp][] = [
    [
      '401',
      (relay) => (relay.faults.refusal = { status: 401, body: '{"error":{"message":"No such token."}}' }),
      /wants a token.*No such token/,
    ],
    ['403', (relay) => (relay.faults.refusal = { status: 403, body: SAID }), /does not allow this token/],
    ['426', (relay) => (relay.faults.refusal = { status: 426, body: SAID }), /another protocol version/],
  ];
  for (const [status, refuse, problem] of refusals) {
    test(`HTTP ${status} ends the attempts; the log stays`, async (t) => {
      const relay = await testRelay(t);
      refuse(relay);
      const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
      writer.put(4);
      const delivery = await writer.end();
      assert.deepEqual([delivery.outcome, delivery.unsentLines], ['spooled', 4]);
      assert.match(delivery.problem ?? '', problem);
      assert.match(writer.warnings.join(), problem);
      assert.equal(relay.requests.length, 1);
    });
  }

  test('being fenced ends the attempts', async (t) => {
    const relay = await testRelay(t);
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    await writer.until(() => writer.outbox.idle);
    relay.close(4005, 'Another agent writes this run.');
    writer.put(1);
    const delivery = await writer.end();
    assert.deepEqual([delivery.outcome, delivery.unsentLines], ['spooled', 1]);
    assert.match(delivery.problem ?? '', /Another agent/);
  });

  const passing: [string, (relay: FakeRelay) => void][] = [
    ['closes with 4101', (relay) => relay.close(4101, 'busy')],
    ['answers HTTP 503', (relay) => relay.turn({ refusal: { status: 503, body: 'no' } })],
    ['is another program for a while (HTTP 404)', (relay) => relay.turn({ refusal: { status: 404, body: '<html>' } })],
    ['has another subprotocol for a while', (relay) => relay.turn({ subprotocol: 'other' })],
  ];
  for (const [what, trouble] of passing) {
    test(`one that ${what} is tried again`, async (t) => {
      const relay = await testRelay(t);
      const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
      await writer.until(() => writer.outbox.idle);
      const before = relay.requests.length;
      trouble(relay);
      await relay.until(() => relay.requests.length > before);
      relay.faults = {};
      writer.put(1);
      assert.equal((await writer.end()).outcome, 'verified');
    });
  }

  test('attempts end after as many as allowed', async (t) => {
    const relay = await testRelay(t);
    await relay.stop();
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url], maxReconnectAttempts: 3 });
    writer.put(1);
    const delivery = await writer.end();
    assert.equal(delivery.outcome, 'spooled');
    assert.match(delivery.problem ?? '', /ECONNREFUSED/);
    assert.match(writer.warnings.join(), /No more attempts/);
  });

  test('a URL that is none is said at once', async (t) => {
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: ['nonsense'] });
    writer.put(1);
    const delivery = await writer.end();
    assert.equal(delivery.outcome, 'spooled');
    assert.match(delivery.problem ?? '', /can't connect to nonsense/);
  });
});

describe('the end', () => {
  test('a relay that was never reached is not waited for', async (t) => {
    const spoolDir = testFolder(t);
    const writer = new Writer(t, { spoolDir, websocketUrls: ['ws://127.0.0.1:9/ws/tasks'] });
    writer.put(7);
    const delivery = await writer.end();
    assert.deepEqual([delivery.outcome, delivery.unsentLines, delivery.missingLines], ['spooled', 7, 0]);
    const file = SpoolFile.open(spoolPath(spoolDir, writer.run, 't1'), { readonly: true });
    assert.equal(file.nextSeq, 7);
    assert.equal(file.end?.exitCode, 3);
    file.close();
  });

  test('a relay that takes nothing more is waited for as long as the drain may take', async (t) => {
    const relay = await testRelay(t);
    relay.faults.noAcks = true;
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url], drainTimeoutMs: 50 });
    writer.put(7);
    const delivery = await writer.end();
    assert.deepEqual([delivery.outcome, delivery.unsentLines], ['spooled', 7]);
  });

  test('an abort ends the wait', async (t) => {
    const relay = await testRelay(t);
    relay.faults.noAcks = true;
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url], drainTimeoutMs: 1_000_000 });
    writer.put(7);
    const abort = new AbortController();
    const ended = writer.end(abort.signal);
    await relay.until(() => relay.runs.size > 0 && relay.run.chain.seq === 7);
    abort.abort();
    assert.equal((await ended).outcome, 'spooled');
  });

  test('a run that the relay does not verify keeps its spool', async (t) => {
    const relay = await testRelay(t);
    relay.faults.unverified = true;
    const spoolDir = testFolder(t);
    const writer = new Writer(t, { spoolDir, websocketUrls: [relay.url] });
    writer.put(2);
    assert.equal((await writer.end()).outcome, 'unverified');
    const file = SpoolFile.open(spoolPath(spoolDir, writer.run, 't1'), { readonly: true });
    assert.equal(file.unverified, true);
    file.close();
  });

  test('a run without lines is verified too', async (t) => {
    const relay = await testRelay(t);
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url] });
    assert.equal((await writer.end()).outcome, 'verified');
  });
});

describe('a spool that is full', () => {
  test('drop-oldest: the oldest lines become one gap, and the run is complete with it', async (t) => {
    const relay = await testRelay(t);
    await relay.stop();
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url], spoolLimitBytes: 40_000 });
    for (let i = 0; i < 100; i++) {
      writer.put(10, 500);
      // The spool keeps up with this writer, as with a script that is not in a hurry.
      await new Promise((resolve) => setImmediate(resolve));
    }
    const ended = writer.end();
    await relay.start();
    const delivery = await ended;
    assert.equal(delivery.outcome, 'verified');
    const lines = linesOf(relay.run.records);
    const last = Number(/^\[dropped 0-(\d+)\]$/.exec(lines[0])?.[1]);
    assert.ok(last > 800 && last < 990, lines[0]);
    assert.deepEqual(lines.slice(1), lineTexts(last + 1, 999, 500));
    assert.equal(delivery.missingLines, last + 1);
    assert.equal(writer.warnings.filter((text) => text.includes('the spool is full')).length, 1);
  });

  test('drop-oldest: what is under way to the relay is not dropped', async (t) => {
    const relay = await testRelay(t);
    relay.faults.noAcks = true;
    const writer = new Writer(t, { spoolDir: testFolder(t), websocketUrls: [relay.url], spoolLimitBytes: 40_000 });
    writer.put(10, 500);
    await relay.until(() => relay.runs.size > 0 && relay.run.chain.seq === 10);
    for (let i = 0; i < 100; i++) {
      writer.put(10, 500);
      await new Promise((resolve) => setImmediate(resolve));
    }
    relay.cut();
    relay.faults = {};
    const delivery = await writer.end();
    assert.equal(delivery.outcome, 'verified');
    const lines = linesOf(relay.run.records);
    const gaps = lines.filter((line) => line.startsWith('[dropped '));
    assert.ok(gaps.length >= 1);
    assert.deepEqual(lines.slice(0, 10), lineTexts(0, 9, 500));
    assert.deepEqual(
      expand(lines),
      Array.from({ length: 1010 }, (_, i) => i),
    );
  });

  test('block: the script is held until the relay takes something', async (t) => {
    const relay = await testRelay(t);
    await relay.stop();
    const options = { websocketUrls: [relay.url], spoolLimitBytes: 40_000, overflow: 'block' as const };
    const writer = new Writer(t, { ...options, spoolDir: testFolder(t) });
    while (!writer.outbox.full) {
      writer.put(10, 500);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const held = writer.lines;
    await relay.start();
    await writer.until(() => !writer.outbox.full);
    writer.put(10, 500);
    assert.deepEqual(await writer.end(), { outcome: 'verified', unsentLines: 0, missingLines: 0 });
    assert.deepEqual(linesOf(relay.run.records), lineTexts(0, held + 9, 500));
  });
});

describe('a spool that does not work', () => {
  test('the log is sent from memory, which is said once', async (t) => {
    const relay = await testRelay(t);
    const folder = join(testFolder(t), 'file');
    writeFileSync(folder, '');
    const writer = new Writer(t, { spoolDir: folder, websocketUrls: [relay.url] });
    for (let i = 0; i < 20; i++) writer.put(10);
    assert.equal((await writer.end()).outcome, 'verified');
    assert.deepEqual(linesOf(relay.run.records), lineTexts(0, 199));
    assert.equal(writer.warnings.length, 1);
    assert.match(writer.warnings[0], /the spool .* can't be written/);
  });

  test('beyond the memory the oldest lines become a gap', async (t) => {
    const relay = await testRelay(t);
    await relay.stop();
    const folder = join(testFolder(t), 'file');
    writeFileSync(folder, '');
    const writer = new Writer(t, { spoolDir: folder, websocketUrls: [relay.url], memoryLimitBytes: 50_000 });
    await writer.until(() => writer.warnings.length > 0);
    for (let i = 0; i < 100; i++) writer.put(10, 500);
    const ended = writer.end();
    await relay.start();
    const delivery = await ended;
    assert.equal(delivery.outcome, 'verified');
    const lines = linesOf(relay.run.records);
    assert.match(lines[0], /^\[dropped 0-\d+\]$/);
    assert.equal(lines.filter((line) => line.startsWith('[')).length, 1);
    assert.deepEqual(
      expand(lines),
      Array.from({ length: 1000 }, (_, i) => i),
    );
    assert.equal(delivery.missingLines, 1000 - (lines.length - 1));
  });

  test('what is delivered nowhere is lost, and said so', async (t) => {
    const folder = join(testFolder(t), 'file');
    writeFileSync(folder, '');
    const writer = new Writer(t, { spoolDir: folder });
    writer.put(5);
    const delivery = await writer.end();
    assert.deepEqual([delivery.outcome, delivery.unsentLines], ['lost', 5]);
    assert.match(delivery.problem ?? '', /ECONNREFUSED.*; the spool .* can't be written/);
  });
});

/** The seqs that lines and gaps take, in their order. */
function expand(lines: string[]): number[] {
  return lines.flatMap((line) => {
    const gap = /^\[\S+ (\d+)-(\d+)\]$/.exec(line);
    if (gap) return Array.from({ length: Number(gap[2]) - Number(gap[1]) + 1 }, (_, i) => Number(gap[1]) + i);
    const seq = Number(line.split(' ')[1]);
    assert.equal(line.startsWith(lineText(seq)), true);
    return [seq];
  });
}
