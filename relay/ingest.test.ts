import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { pino } from 'pino';
import { WebSocketServer } from 'ws';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';
import { encodeGap, MAX_CHUNK_BYTES, readHeader } from '../shared/chunk.ts';
import { newUlid } from '../shared/ulid.ts';
import { SUBPROTOCOL } from '../shared/wire.ts';
import { ANYBODY, Principal } from './auth/principal.ts';
import type { Caller } from './caller.ts';
import type { DiskState } from './disk.ts';
import { chunkOf, digestOf, FakeAgent, FakeStore } from './ingest.fixture.ts';
import { Ingest } from './ingest.ts';
import { Limits, type LimitsConfig } from './limits/limits.ts';
import { allowedLimits } from './limits/limits.fixture.ts';
import { StoreError, type Stored } from './store/store.ts';

let http: Server;
let url: string;
let store: FakeStore;
let ingest: Ingest;
let stored: Stored[];
let sockets: Socket[];
let disk: { state: DiskState; full(): void };
let fatal: StoreError[];
let clock: number;
let caller: Caller;
let allowed: LimitsConfig;
let met: string[];

before(async () => {
  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_CHUNK_BYTES + 1024,
    handleProtocols: () => SUBPROTOCOL,
  });
  http = createServer();
  http.on('upgrade', (request, socket: Socket, head) => {
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      sockets.push(socket);
      ingest.accept(webSocket, socket, decodeURIComponent((request.url ?? '').slice('/ws/tasks/'.length)), caller);
    });
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
});

after(() => {
  http.close();
  http.closeAllConnections();
});

beforeEach(() => {
  store = new FakeStore();
  stored = [];
  sockets = [];
  fatal = [];
  clock = 0;
  met = [];
  caller = { principal: ANYBODY, address: '192.0.2.1', requestId: 'r1' };
  allowed = allowedLimits();
  disk = {
    state: { room: true, freeBytes: 1e9 },
    full: () => (disk.state = { room: false, freeBytes: 0, problem: 'full' }),
  };
  ingest = start();
});

afterEach(() => ingest.stop());

function start(windowBytes = 64 * 1024 * 1024): Ingest {
  const tail = { stored: (one: Stored) => void stored.push(one) };
  const onFatal = (error: StoreError): void => void fatal.push(error);
  return new Ingest({
    store,
    tail,
    disk,
    windowBytes,
    seenEveryMs: 10_000,
    limits: new Limits(allowed, () => clock),
    meter: {
      appended: () => undefined,
      resumed: () => void met.push('resumed'),
      sentAway: (code) => void met.push(code),
    },
    onFatal,
    log: pino({ level: 'silent' }),
    now: () => clock,
    clock: () => clock,
  });
}

test('a run goes from hello to verified, and every line is in the tail before its ack', async () => {
  const agent = await FakeAgent.connect(url, { task: 'täsk 1' });
  agent.hello();
  const ready = await agent.hears('ready');
  assert.deepEqual(ready, {
    type: 'ready',
    epoch: 'e1',
    nextSeq: 0,
    digest: '0'.repeat(32),
    windowBytes: 4 * 1024 * 1024,
  });
  agent.chunk(0, 3);
  agent.chunk(3, 1);
  await agent.acked(4);
  assert.deepEqual(
    stored.map((one) => [one.kind, one.task, one.run, one.firstLine, one.count]),
    [
      ['chunk', 'täsk 1', agent.run, 1, 3],
      ['chunk', 'täsk 1', agent.run, 4, 1],
    ],
  );
  const chunks = [chunkOf(agent.run, 0, 3), chunkOf(agent.run, 3, 1)];
  agent.end({ nextSeq: 4, lines: 4, digest: digestOf(chunks) });
  assert.deepEqual(await agent.hears('verified'), { type: 'verified', nextSeq: 4 });
  assert.deepEqual(store.runs.get(agent.run)?.chunks, chunks);
});

test('a gap is stored, acknowledged and given to the tail like a chunk', async () => {
  const agent = await FakeAgent.ready(url);
  agent.socket.send(encodeGap({ run: agent.run, firstSeq: 0, count: 120, reason: 'dropped', time: 77 }));
  await agent.acked(120);
  const gap = {
    kind: 'gap',
    task: 't1',
    run: agent.run,
    firstLine: 1,
    position: 0,
    count: 120,
    reason: 'dropped',
    time: 77,
  };
  assert.deepEqual(stored, [gap]);
});

test('an end that comes too early is answered with what is there, one with another digest with ours', async () => {
  const agent = await FakeAgent.ready(url);
  agent.chunk(0, 2);
  agent.end({ nextSeq: 5 });
  await agent.acked(2);
  agent.chunk(2, 3);
  agent.end({ nextSeq: 5, digest: 'ab'.repeat(16) });
  const { nextSeq, digest } = await agent.hears('unverified');
  assert.equal(nextSeq, 5);
  assert.equal(digest, digestOf([chunkOf(agent.run, 0, 2), chunkOf(agent.run, 2, 3)]));
});

test('a duplicate is acknowledged again and stored once; an overlap is clipped', async () => {
  const agent = await FakeAgent.ready(url);
  agent.chunk(0, 4);
  await agent.acked(4);
  agent.chunk(0, 4);
  assert.equal((await agent.hears('ack')).nextSeq, 4);
  agent.chunk(2, 4);
  await agent.acked(6);
  assert.deepEqual(
    stored.map(({ firstLine, count }) => [firstLine, count]),
    [
      [1, 4],
      [5, 2],
    ],
  );
  const clipped = stored[1];
  assert.ok(clipped.kind === 'chunk');
  assert.equal(clipped.header.readUInt32LE(32), 2);
});

test('a chunk from the future is refused once, however many were under way behind it', async () => {
  const agent = await FakeAgent.ready(url);
  agent.chunk(0, 2);
  for (let seq = 10; seq < 20; seq++) agent.chunk(seq, 1);
  const refused = await agent.hears('refused');
  assert.equal(refused.nextSeq, 2);
  assert.equal(refused.reason, 'expected');
  for (let seq = 2; seq < 20; seq += 2) agent.chunk(seq, 2);
  await agent.acked(20);
  assert.deepEqual(
    agent.heard.filter(({ type }) => type === 'refused'),
    [],
  );
});

type Break = (good: Buffer) => Buffer;
const broken: [string, Break, RegExp][] = [
  ['a flipped byte', (good) => flipped(good, good.length - 1), /crc/],
  ['random bytes', () => Buffer.alloc(200, 0x5a), /magic/],
  ['an empty frame', () => Buffer.alloc(0), /length/],
  ['a truncated header', (good) => good.subarray(0, 50), /length/],
  ['a truncated body', (good) => good.subarray(0, good.length - 3), /bodyBytes/],
  ['bytes behind the body', (good) => Buffer.concat([good, Buffer.alloc(9)]), /bodyBytes/],
  ['another format version', (good) => flipped(good, 2), /version/],
  ['counts that do not add up', (good) => sealed(good, (bytes) => bytes.writeUInt16LE(9, 68)), /counts/],
  [
    'a bomb: two bytes of body that claim 2 GiB',
    (good) =>
      sealed(good.subarray(0, 94), (bytes) => {
        bytes[3] = 1;
        bytes.writeUInt32LE(2 ** 31, 60);
        bytes.writeUInt32LE(2, 64);
      }),
    /rawBytes/,
  ],
  ['text over the limit', (good) => sealed(good, (bytes) => bytes.writeUInt32LE(2 ** 30, 56)), /textBytes/],
  ['a time before its own start', (good) => sealed(good, (bytes) => bytes.writeUInt32LE(2 ** 30, 40)), /minTime/],
  ['a chunk of another run', () => chunkOf(newUlid(1), 2, 1), /run/],
  ['a frame over the limit', () => Buffer.alloc(MAX_CHUNK_BYTES + 1), /length/],
];

for (const [what, breaks, message] of broken) {
  test(`refused as invalid, twice if it comes twice, and replaced by a gap: ${what}`, async () => {
    const agent = await FakeAgent.ready(url);
    agent.chunk(0, 2);
    agent.socket.send(breaks(chunkOf(agent.run, 2, 1)));
    for (let seq = 3; seq < 9; seq++) agent.chunk(seq, 1);
    for (let time = 0; time < 2; time++) {
      const refused = await agent.hears('refused');
      assert.equal(refused.nextSeq, 2);
      assert.equal(refused.reason, 'invalid');
      assert.match(refused.message, message);
      if (time === 0) agent.socket.send(breaks(chunkOf(agent.run, 2, 1)));
    }
    agent.socket.send(encodeGap({ run: agent.run, firstSeq: 2, count: 1, reason: 'rejected', time: 5 }));
    for (let seq = 3; seq < 9; seq++) agent.chunk(seq, 1);
    await agent.acked(9);
    assert.deepEqual(
      stored.map(({ kind }) => kind),
      ['chunk', 'gap', ...Array<string>(6).fill('chunk')],
    );
    assert.deepEqual(
      agent.heard.filter(({ type }) => type === 'refused'),
      [],
    );
  });
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] ^= 0xff;
  return copy;
}

/** Changes a header and makes its CRC fit again: what only a liar does. */
function sealed(bytes: Buffer, change: (bytes: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  copy.writeUInt32LE(crc32(copy.subarray(8)), 4);
  return copy;
}

test('an invalid chunk is refused only after all before it is committed', async () => {
  const gate = Promise.withResolvers<undefined>();
  store.beforeAppend = () => gate.promise;
  const agent = await FakeAgent.ready(url);
  agent.chunk(0, 2);
  agent.socket.send(Buffer.from('garbage'));
  agent.say({ type: 'progress', nextSeq: 3 });
  await received(agent);
  assert.deepEqual(agent.heard, []);
  gate.resolve(undefined);
  assert.equal((await agent.hears('refused')).nextSeq, 2);
  assert.equal((await agent.hears('ack')).nextSeq, 2);
});

type Say = (agent: FakeAgent) => void;
const says: Record<string, Say> = {
  hello: (agent) => agent.hello(),
  progress: (agent) => agent.say({ type: 'progress', nextSeq: 1 }),
  end: (agent) => agent.end(),
  chunk: (agent) => agent.chunk(0, 1),
  'no JSON': (agent) => agent.socket.send('{"type":'),
  'an unknown type': (agent) => agent.say({ type: 'dance' }),
  'a wrong member': (agent) => agent.say({ type: 'progress', nextSeq: -1 }),
  'a long text': (agent) => agent.say({ type: 'progress', nextSeq: 1, more: 'x'.repeat(300_000) }),
};
const isRefused: [string, string, RegExp][] = [
  ['nothing', 'progress', /progress before ready/],
  ['nothing', 'end', /end before ready/],
  ['nothing', 'chunk', /chunk before ready/],
  ['nothing', 'no JSON', /not JSON/],
  ['nothing', 'an unknown type', /type/],
  ['nothing', 'a wrong member', /nextSeq/],
  ['nothing', 'a long text', /bytes, over/],
  ['hello', 'hello', /second hello/],
  ['hello', 'chunk', /chunk before ready/],
  ['hello', 'end', /end before ready/],
  ['ready', 'hello', /second hello/],
  ['ready', 'no JSON', /not JSON/],
  ['ready', 'a long text', /bytes, over/],
];

for (const [state, says_, message] of isRefused) {
  test(`after ${state}, ${says_} closes the connection for good and says why`, async () => {
    const gate = Promise.withResolvers<undefined>();
    if (state === 'hello') store.beforeOpen = () => gate.promise;
    const agent = state === 'ready' ? await FakeAgent.ready(url) : await FakeAgent.connect(url);
    if (state === 'hello') agent.hello();
    says[says_](agent);
    const { code, reason } = await agent.closes();
    assert.equal(code, 4004);
    assert.match(reason, message);
    gate.resolve(undefined);
  });
}

test('a second end before the first is answered closes the connection', async () => {
  const gate = Promise.withResolvers<undefined>();
  store.beforeAppend = () => gate.promise;
  const agent = await FakeAgent.ready(url);
  agent.chunk(0, 1);
  agent.end({ nextSeq: 1 });
  agent.end({ nextSeq: 1 });
  assert.equal((await agent.closes()).code, 4004);
  gate.resolve(undefined);
});

test('a frame that is far too large closes with 1009', async () => {
  const agent = await FakeAgent.ready(url);
  agent.socket.send(Buffer.alloc(MAX_CHUNK_BYTES + 2048));
  assert.equal((await agent.closes()).code, 1009);
});

test('a socket that says nothing is closed as idle after 10 s', async () => {
  const agent = await FakeAgent.connect(url);
  clock = 9_999;
  ingest.sweep();
  assert.equal(agent.closed, undefined);
  clock = 10_000;
  ingest.sweep();
  assert.equal((await agent.closes()).code, 4103);
});

test('a new hello of a run fences the older connection, whose chunks are stored no more', async () => {
  const older = await FakeAgent.ready(url);
  older.chunk(0, 1);
  await older.acked(1);
  const newer = await FakeAgent.connect(url, { run: older.run });
  newer.hello();
  assert.equal((await newer.hears('ready')).nextSeq, 1);
  assert.equal((await older.closes()).code, 4005);
  newer.chunk(1, 1);
  await newer.acked(2);
  assert.equal(ingest.connections, 1);
});

test('two hellos of a run at the same moment leave the one with the newer fence', async () => {
  const first = await FakeAgent.connect(url);
  const second = await FakeAgent.connect(url, { run: first.run });
  first.hello();
  second.hello();
  const { code } = await Promise.race([first.closes(), second.closes()]);
  assert.equal(code, 4005);
  const [alive] = [first, second].filter(({ closed }) => closed === undefined);
  alive.chunk(0, 1);
  await alive.acked(1);
});

test('the same run id under two tasks does not fence', async () => {
  const one = await FakeAgent.ready(url, { task: 'a' });
  const other = await FakeAgent.ready(url, { task: 'b', run: one.run });
  await received(one);
  assert.equal(one.closed, undefined);
  assert.equal(other.closed, undefined);
});

test('a chunk behind the end of its run closes the connection for good', async () => {
  const agent = await FakeAgent.ready(url);
  agent.end();
  await agent.hears('verified');
  agent.chunk(0, 1);
  const { code, reason } = await agent.closes();
  assert.equal(code, 4005);
  assert.match(reason, /ended/);
});

const failures: [string, () => Error, number, boolean][] = [
  ['the store is busy', () => new StoreError('other', 'locked'), 4104, false],
  ['the disk is full', () => new StoreError('full', 'no room'), 4105, false],
  ['fsync failed', () => new StoreError('io', 'disk I/O error'), 4104, true],
  ['the store was closed by itself', () => new StoreError('closed', 'gone'), 4104, true],
  ['there is a bug', () => new TypeError('x is undefined'), 4106, false],
];

for (const [what, error, code, ends] of failures) {
  test(`nothing is acknowledged and the agent shall come back when ${what}`, async () => {
    const agent = await FakeAgent.ready(url);
    store.beforeAppend = () => Promise.reject(error());
    agent.chunk(0, 1);
    const closed = await agent.closes();
    assert.equal(closed.code, code);
    assert.deepEqual(agent.heard, []);
    assert.equal(fatal.length > 0, ends);
  });
}

test('an append that takes 10 s closes the connection, and does no harm when it is answered after all', async () => {
  const gate = Promise.withResolvers<undefined>();
  store.beforeAppend = () => gate.promise;
  const agent = await FakeAgent.ready(url);
  agent.chunk(0, 1);
  await received(agent);
  clock = 10_000;
  ingest.sweep();
  assert.equal((await agent.closes()).code, 4104);
  gate.resolve(undefined);
  const again = await FakeAgent.connect(url, { run: agent.run });
  again.hello();
  const { nextSeq } = await again.hears('ready');
  again.chunk(nextSeq, 1);
  await again.acked(nextSeq + 1);
});

test('a hello that the store does not answer for 10 s closes the connection', async () => {
  store.beforeOpen = () => new Promise(() => undefined);
  const agent = await FakeAgent.connect(url);
  agent.hello();
  agent.socket.ping();
  await once(agent.socket, 'pong');
  clock = 10_000;
  ingest.sweep();
  assert.equal((await agent.closes()).code, 4104);
});

test('a full disk sends agents away at once, and those who come at their hello; with room they are let in', async () => {
  const agent = await FakeAgent.ready(url);
  disk.full();
  ingest.diskChanged();
  assert.equal((await agent.closes()).code, 4105);
  const next = await FakeAgent.connect(url);
  next.hello();
  assert.equal((await next.closes()).code, 4105);
  disk.state = { room: true, freeBytes: 1e9 };
  ingest.diskChanged();
  await FakeAgent.ready(url);
});

test('no more is read than the window while the store stands still, and everything when it goes on', async () => {
  await ingest.stop();
  ingest = start(64 * 1024);
  const gate = Promise.withResolvers<undefined>();
  store.beforeAppend = () => gate.promise;
  const agent = await FakeAgent.connect(url);
  agent.hello();
  assert.equal((await agent.hears('ready')).windowBytes, 64 * 1024);
  const chunk = (i: number): Buffer => bigChunk(agent.run, i);
  const size = chunk(0).length;
  for (let i = 0; i < 100; i++) agent.socket.send(chunk(i));
  await until(() => agent.socket.bufferedAmount > 0 || agent.socket.isPaused);
  const [socket] = sockets;
  await until(() => socket.isPaused());
  // What had been read in one go with the chunk that filled the window comes as well.
  assert.ok(socket.bytesRead < 64 * 1024 + 3 * size + 2 * 64 * 1024, `${socket.bytesRead} bytes were read`);
  gate.resolve(undefined);
  await agent.acked(100);
  assert.equal(stored.length, 100);
});

/** One line that does not compress, of 100 KB. */
function bigChunk(run: string, seq: number): Buffer {
  const chunk = chunkOf(run, seq, 1);
  const text = Buffer.alloc(200_000, 'x');
  const fields = Buffer.from(chunk.subarray(0, 92));
  const body = Buffer.concat([text, Buffer.from('\n'), Buffer.from([0, 0b100]), varint(text.length)]);
  fields[3] = 0;
  fields.writeUInt32LE(text.length + 1, 56);
  fields.writeUInt32LE(body.length, 60);
  fields.writeUInt32LE(body.length, 64);
  const whole = sealed(Buffer.concat([fields, body]), () => undefined);
  readHeader(whole);
  return whole;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value >= 0x80; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return Buffer.from([...bytes, value]);
}

test('an idle link is acknowledged at once, a busy one in fewer messages than chunks', async () => {
  const agent = await FakeAgent.ready(url);
  for (let seq = 0; seq < 500; seq++) agent.chunk(seq, 1);
  await agent.acked(500);
  assert.equal(stored.length, 500);
  assert.ok(agent.heard.length < 250);
});

test('a quiet agent that still answers is reported as seen, with how far it said it is', async () => {
  const agent = await FakeAgent.ready(url);
  agent.say({ type: 'progress', nextSeq: 7 });
  await received(agent);
  ingest.sweep();
  assert.deepEqual(store.seens, [{ task: 't1', run: agent.run, fence: 1, nextSeq: 7, now: 0 }]);
  clock = 9_000;
  await received(agent);
  ingest.sweep();
  assert.equal(store.seens.length, 1, 'not more often than every 10 s');
  clock = 10_000;
  ingest.sweep();
  assert.deepEqual(store.seens[1], { task: 't1', run: agent.run, fence: 1, nextSeq: undefined, now: 10_000 });
  clock = 40_000;
  ingest.sweep();
  assert.equal(store.seens.length, 2, 'nothing was heard of it since');
});

test('a stop acknowledges what is under way and sends the agents away with the code for a restart', async () => {
  const gate = Promise.withResolvers<undefined>();
  store.beforeAppend = () => gate.promise;
  const agent = await FakeAgent.ready(url);
  agent.chunk(0, 3);
  await received(agent);
  const stopped = ingest.stop();
  gate.resolve(undefined);
  await stopped;
  await agent.acked(3);
  assert.equal((await agent.closes()).code, 4102);
});

test('an agent that dies in the middle of a chunk leaves nothing behind', async () => {
  const agent = await FakeAgent.ready(url);
  agent.chunk(0, 1);
  await agent.acked(1);
  agent.socket.terminate();
  await until(() => ingest.connections === 0);
  const again = await FakeAgent.connect(url, { run: agent.run });
  again.hello();
  assert.equal((await again.hears('ready')).nextSeq, 1);
});

test('what is kept of a small frame does not hold on to the block it was read with', async () => {
  const agent = await FakeAgent.ready(url);
  for (let seq = 0; seq < 50; seq++) agent.chunk(seq, 1);
  await agent.acked(50);
  for (const one of stored) {
    assert.ok(one.kind === 'chunk' && one.header.buffer.byteLength < 1024);
  }
});

test('an agent that sends more than it may is not read for a while, and loses nothing', async (t) => {
  allowed = allowedLimits({ addressLinesPerSecond: 10 });
  await ingest.stop();
  ingest = start();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const agent = await FakeAgent.ready(url);
  agent.chunk(0, 50);
  while (store.runs.get(agent.run)?.nextSeq !== 50) await turn();
  await agent.acked(50);
  agent.chunk(50, 1);
  clock = 29_000;
  // Held for three seconds: time in which it can't be heard is no silence.
  ingest.sweep();
  assert.equal(store.runs.get(agent.run)?.nextSeq, 50);
  assert.equal(store.seens.length, 1, 'it is known to live');
  clock = 30_000;
  t.mock.timers.tick(3100);
  await agent.acked(51);
});

test('agents of other addresses are not slowed down by one', async () => {
  allowed = allowedLimits({ addressLinesPerSecond: 10 });
  await ingest.stop();
  ingest = start();
  const fast = await FakeAgent.ready(url, { task: 'fast' });
  fast.chunk(0, 1000);
  await fast.acked(1000);
  caller = { ...caller, address: '192.0.2.2' };
  const other = await FakeAgent.ready(url, { task: 'other' });
  other.chunk(0, 10);
  await other.acked(10);
});

test('what was sent too much is waited for on the next connection, too', async (t) => {
  allowed = allowedLimits({ taskLinesPerSecond: 10 });
  await ingest.stop();
  ingest = start();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const first = await FakeAgent.ready(url);
  first.chunk(0, 50);
  while (store.runs.get(first.run)?.nextSeq !== 50) await turn();
  first.socket.terminate();
  const again = await FakeAgent.ready(url, { run: first.run });
  again.chunk(50, 1);
  clock = 3100;
  t.mock.timers.tick(3100);
  await again.acked(51);
});

test('new runs are counted, agents that come back are not', async () => {
  allowed = allowedLimits({ addressConnectsPerMinute: 2 });
  await ingest.stop();
  ingest = start();
  await FakeAgent.ready(url);
  await FakeAgent.ready(url);
  const third = await FakeAgent.connect(url);
  third.hello();
  assert.deepEqual(await third.hears('drain'), { type: 'drain', retryAfterMs: 30_000 });
  assert.equal((await third.closes()).code, 4101);
  const back = await FakeAgent.connect(url);
  back.hello({ epoch: 'e1' });
  await back.hears('ready');
  assert.deepEqual(met, ['RATE_LIMIT_EXCEEDED', 'resumed']);
  assert.ok(!store.runs.has(third.run), 'the run that was refused was not begun');
});

const permissions: { what: string; labels: object; known?: Record<string, string>; code?: number }[] = [
  { what: 'a new task with the right label', labels: { team: 'web' } },
  { what: 'a new task with another label', labels: { team: 'ops' }, code: 4003 },
  { what: 'a new task without a label', labels: {}, code: 4003 },
  { what: 'a task of its own', labels: { team: 'web' }, known: { team: 'web' } },
  {
    what: 'a task of another team, under the right label',
    labels: { team: 'web' },
    known: { team: 'ops' },
    code: 4003,
  },
];

for (const { what, labels, known, code } of permissions) {
  test(`a token for the label team=web and ${what}: ${code ?? 'let in'}`, async () => {
    caller = { ...caller, principal: new Principal('key:web', [{ scope: 'ingest', labels: { team: 'web' } }]) };
    if (known !== undefined) store.labels.set('t1', known);
    const agent = await FakeAgent.connect(url);
    agent.hello({ labels });
    if (code === undefined) await agent.hears('ready');
    else {
      assert.equal((await agent.closes()).code, code);
      assert.ok(!store.runs.has(agent.run));
    }
  });
}

test('200 agents are told to come back at different times when the relay stops', async () => {
  const agents = await Promise.all(Array.from({ length: 200 }, (_, i) => FakeAgent.ready(url, { task: `t${i}` })));
  await ingest.stop();
  const returns = await Promise.all(agents.map(async (agent) => (await agent.hears('drain')).retryAfterMs));
  assert.ok(returns.every((ms) => ms >= 100 && ms <= 1100));
  const busiest = Math.max(...returns.map((ms) => returns.filter((other) => Math.abs(other - ms) < 50).length));
  assert.ok(busiest < 60, `${busiest} of 200 within a tenth of a second`);
});

/** Resolves when everything that the agent sent so far has been taken in: pongs come in order. */
async function received(agent: FakeAgent): Promise<void> {
  agent.socket.ping('received');
  await once(agent.socket, 'pong');
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}
