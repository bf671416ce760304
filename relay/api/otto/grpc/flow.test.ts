import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { UNLIMITED } from '../../../senders/sender-limits.ts';
import { until } from '../../../reading.fixture.ts';
import { storedLines, storeWith } from '../../../senders/senders.fixture.ts';
import { StoreError } from '../../../store/store.ts';
import { entry, openServer } from './grpc.fixture.ts';
import { framed, RawStream } from './raw-stream.fixture.ts';

test('an entry that is too large is dropped with a number, and the next one is taken', async (t) => {
  const { client, reading } = await openServer(t, { config: { maxMessageBytes: 1024 } });
  const stream = client().forward();
  stream.send(entry('a'), entry('x'.repeat(2000)), entry('b', { metadata: { k: 'v' } }));
  const answers = await stream.answered(3);
  assert.deepEqual(answers[1], {
    status: 'DROP',
    message: 'The entry has 2009 bytes; 1024 are allowed',
    sequence: 2,
    throttle_ms: 0,
  });
  assert.deepEqual(await storedLines(reading, 't'), ['1 a', '2 b']);
});

test('what is no entry is dropped, and the stream goes on', async (t) => {
  const { api, answered } = await openServer(t);
  const stream = await RawStream.open(t, api.port);
  stream.stream.write(Buffer.from('0000000003ffffff', 'hex'));
  await stream.send(entry('a'));
  await until(() => answered.ACK === 1);
  assert.equal(answered.DROP, 1);
});

const COMPRESSED: { encoding: string; status: 'ACK' | 'DROP'; bytes: (message: Buffer) => Buffer }[] = [
  { encoding: 'gzip', status: 'ACK', bytes: (message) => gzipSync(message) },
  { encoding: 'gzip', status: 'DROP', bytes: () => gzipSync(Buffer.alloc(10 * 1024 * 1024)) },
  { encoding: 'gzip', status: 'DROP', bytes: (message) => message },
  { encoding: 'br', status: 'DROP', bytes: (message) => message },
];

for (const [i, { encoding, status, bytes }] of COMPRESSED.entries()) {
  test(`a compressed entry, ${encoding} ${i}: ${status}`, async (t) => {
    const { api, answered } = await openServer(t);
    const stream = await RawStream.open(t, api.port, { 'grpc-encoding': encoding });
    const message = Buffer.from('0a0177120174' + '320161', 'hex');
    const sent = bytes(message);
    const head = Buffer.alloc(5);
    head[0] = 1;
    head.writeUInt32BE(sent.length, 1);
    stream.stream.write(Buffer.concat([head, sent]));
    await until(() => answered[status] === 1);
  });
}

test('a sender over its quota is told how long to wait, is read no more for so long, and loses nothing', async (t) => {
  const { client, reading } = await openServer(t, { config: { taskLinesPerSecond: 100 } });
  const stream = client().forward();
  const count = 400;
  stream.send(...Array.from({ length: count }, (_, i) => entry(`line ${i}`)));
  const answers = await stream.answered(count);
  assert.ok(answers.every(({ status }) => status === 'ACK'));
  assert.ok(answers.some(({ throttle_ms: ms = 0 }) => ms > 0));
  assert.equal((await reading.store.task('t'))?.lines, count);
});

test('a client that never reads an answer, and sends entries without a message between others, loses none', async (t) => {
  const { api, answered, reading } = await openServer(t);
  const stream = await RawStream.open(t, api.port);
  stream.stream.pause();
  const count = 20_000;
  for (let sent = 0; sent < count; sent += 500)
    await stream.send(...Array.from({ length: 500 }, (_, i) => entry(i % 2 === 0 ? `line ${sent + i}` : '')));
  await until(() => answered.ACK + answered.RETRY === count);
  assert.equal((await reading.store.task('t'))?.lines, count / 2);
  stream.cut();
  await until(() => api.connections() === 0);
});

const REFUSALS: { what: string; state: { room: boolean; freeBytes: number; problem?: string }; message: RegExp }[] = [
  {
    what: 'the disk is full',
    state: { room: false, freeBytes: 0, problem: 'too little is free' },
    message: /takes in nothing: too little is free/,
  },
];

for (const { what, state, message } of REFUSALS) {
  test(`while ${what}, entries are answered RETRY and nothing is stored; later ones are taken again`, async (t) => {
    const disk = { state, full: () => undefined };
    const { client, reading } = await openServer(t, { senders: { disk } });
    const stream = client().forward();
    stream.send(entry('a'));
    const [refused] = await stream.answered(1);
    assert.equal(refused.status, 'RETRY');
    assert.equal(refused.sequence, 1);
    assert.match(refused.message, message);
    disk.state = { room: true, freeBytes: 1 };
    stream.send(entry('a'));
    assert.deepEqual((await stream.answered(2))[1], { status: 'ACK', message: '', sequence: 2, throttle_ms: 0 });
    assert.deepEqual(await storedLines(reading, 't'), ['1 a']);
  });
}

test('an append that the store refuses is RETRY, and those behind it are stored', async (t) => {
  const before = await openServer(t);
  let refuse = true;
  const store = storeWith(before.reading.store, {
    append: async (append) => {
      if (refuse) throw new StoreError('full', 'no room for this one');
      return before.reading.store.append(append);
    },
  });
  const { client } = await openServer(t, { reading: { ...before.reading, store } });
  const stream = client().forward();
  stream.send(entry('a'));
  assert.match((await stream.answered(1))[0].message, /no room for this one/);
  refuse = false;
  stream.send(entry('b'), entry('a'));
  const answers = await stream.answered(3);
  assert.deepEqual(
    answers.map(({ status, sequence }) => `${status} ${sequence}`),
    ['RETRY 1', 'ACK 2', 'ACK 3'],
  );
  assert.deepEqual(await storedLines(before.reading, 't'), ['1 b', '2 a']);
});

test('what the store refuses after its sender has gone is given to it again', async (t) => {
  const before = await openServer(t);
  let appends = 0;
  const store = storeWith(before.reading.store, {
    append: async (append) => {
      if (++appends === 1) throw new StoreError('full', 'not now');
      return before.reading.store.append(append);
    },
  });
  const server = await openServer(t, { reading: { ...before.reading, store } });
  server.gate.close();
  const stream = await RawStream.open(t, server.api.port);
  await stream.send(entry('a'));
  stream.cancel();
  await stream.closed;
  server.gate.open();
  await until(() => server.answered.ACK === 1);
  assert.deepEqual(await storedLines(before.reading, 't'), ['1 a']);
});

test('a relay that stops answers what it has received, then says UNAVAILABLE', async (t) => {
  const { client, api, gate, reading } = await openServer(t);
  const stream = client().forward();
  stream.send(entry('first'));
  await stream.answered(1);
  gate.close();
  const raw = await RawStream.open(t, api.port);
  await raw.send(entry('second', { worker_id: 'v' }));
  const stopped = api.stop();
  gate.open();
  const { code, details } = await stream.ended;
  assert.deepEqual([code, details], [14, 'The relay is stopping.']);
  await stopped;
  assert.deepEqual(await storedLines(reading, 't'), ['1 first', '2 second']);
  assert.equal(api.connections(), 0);
});

test('fifty workers at once are stored in the order of each, and all answered in order', async (t) => {
  const { client, reading } = await openServer(t, { senders: { limits: UNLIMITED } });
  const perWorker = 200;
  const streams = Array.from({ length: 50 }, (_, w) => {
    const stream = client().forward();
    stream.send(...Array.from({ length: perWorker }, (_, i) => entry(`${w} ${i}`, { worker_id: `w${w}` })));
    return stream;
  });
  for (const stream of streams) {
    const answers = await stream.answered(perWorker);
    assert.deepEqual(
      answers.map(({ status, sequence }) => `${status} ${sequence}`),
      Array.from({ length: perWorker }, (_, i) => `ACK ${i + 1}`),
    );
  }
  const lines = (await storedLines(reading, 't')).map((line) => line.split(' ').slice(1).map(Number));
  for (let w = 0; w < streams.length; w++) {
    const own = lines.filter(([worker]) => worker === w).map(([, i]) => i);
    assert.deepEqual(
      own,
      Array.from({ length: perWorker }, (_, i) => i),
    );
  }
});

test('a client that reconnects in a loop leaves nothing behind', async (t) => {
  const { client, api, senders } = await openServer(t);
  const worker = client();
  for (let i = 0; i < 50; i++) {
    const stream = worker.forward();
    stream.send(entry(`line ${i}`));
    await stream.answered(1);
    stream.call.cancel();
    await stream.ended;
  }
  await until(() => api.connections() === 0);
  assert.equal(senders.workers.size, 1);
});

test(
  'a relay stops although its store stands still, and what it was given is stored later',
  { timeout: 20_000 },
  async (t) => {
    const { client, api, gate, reading, answered } = await openServer(t, { stopPatienceMs: 10 });
    gate.close();
    const stream = client().forward();
    const raw = await RawStream.open(t, api.port);
    await raw.send(entry('a'));
    await api.stop();
    await stream.ended;
    gate.open();
    await until(() => answered.ACK === 1);
    assert.deepEqual(await storedLines(reading, 't'), ['1 a']);
  },
);

test('entries that are refused behind one that waits for the store are held back, too', async (t) => {
  const { api, gate, answered } = await openServer(t);
  gate.close();
  const stream = await RawStream.open(t, api.port);
  await stream.send(entry('a'));
  const one = Buffer.concat([framed(entry('')), framed(entry('', { task_id: '' }))]);
  const burst = Buffer.concat(Array.from({ length: 1000 }, () => one));
  const bursts = 50;
  const sent = Array.from({ length: bursts }, () => new Promise((resolve) => stream.stream.write(burst, resolve)));
  // By then all have come that are let in.
  for (let before = -1; before !== answered.RETRY;) {
    before = answered.RETRY;
    await stream.ponged();
    await stream.ponged();
  }
  assert.ok(answered.RETRY > 0);
  assert.ok(answered.RETRY < bursts * 1000, `${answered.RETRY} answers are kept`);
  gate.open();
  await Promise.all(sent);
  await until(() => answered.RETRY === bursts * 2000);
});

test('a worker that is held back and then cut off has not half-closed, and may come back', async (t) => {
  let now = Date.now();
  const server = await openServer(t, { senders: { now: () => now, windowBytes: 4096 } });
  server.gate.close();
  const stream = await RawStream.open(t, server.api.port);
  await stream.send(entry('a'));
  for (let i = 0; i < 100; i++) stream.stream.write(framed(entry('x'.repeat(2000))));
  for (let i = 0; i < 10; i++) await stream.ponged();
  stream.cut();
  await stream.closed;
  server.gate.open();
  await until(() => server.api.connections() === 0);
  now += 5000;
  await server.senders.sweep();
  assert.equal((await server.reading.store.task('t'))?.status, 'running');
});

test('a stream may carry two hundred workers, and all of their runs end well with it', async (t) => {
  let now = Date.now();
  const { client, reading, senders, api } = await openServer(t, { senders: { now: () => now } });
  const stream = client().forward();
  const workers = 200;
  for (let round = 0; round < 2; round++)
    stream.send(...Array.from({ length: workers }, (_, w) => entry('m', { worker_id: `w${w}` })));
  stream.call.end();
  await stream.ended;
  await until(() => api.connections() === 0);
  now += 3000;
  await senders.sweep();
  const runs = await reading.store.runs('t');
  assert.equal(runs.length, workers);
  assert.ok(runs.every(({ reason, lines }) => reason === 'exited' && lines === 2));
});

test('who begins too many runs at once is held back, and loses nothing', async (t) => {
  const config = { addressConnectsPerMinute: 600 };
  const { client, reading, senders } = await openServer(t, { config, address: '192.0.2.1' });
  const stream = client().forward();
  const workers = 610;
  stream.send(...Array.from({ length: workers }, (_, w) => entry('m', { worker_id: `w${w}` })));
  const answers = await stream.answered(workers);
  assert.ok(answers.every(({ status }) => status === 'ACK'));
  assert.equal(senders.workers.size, workers);
  assert.equal((await reading.store.task('t'))?.lines, workers);
});

test('what has come of too many runs is stored at once when its sender has gone', { timeout: 20_000 }, async (t) => {
  const config = { addressConnectsPerMinute: 1 };
  const { api, answered } = await openServer(t, { config, address: '192.0.2.1' });
  const stream = await RawStream.open(t, api.port);
  await stream.send(...Array.from({ length: 10 }, (_, w) => entry('m', { worker_id: `w${w}` })));
  stream.cut();
  await until(() => answered.ACK === 10);
});
