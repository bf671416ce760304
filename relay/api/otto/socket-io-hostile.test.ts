import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { encodeCursor } from '../../../shared/cursor.ts';
import { TestRun, until } from '../../reading.fixture.ts';
import { MAX_POLLED_PACKETS } from './socket-io/polls.ts';
import { serveSocketIo, TestClient, type Served } from './socket-io/socket-io.fixture.ts';

const json = (text: string): unknown => JSON.parse(text);
const task = { taskId: 't1' };
const long = 'x'.repeat(300);
const many = Array.from({ length: 101 }, (_, at) => `${at}`);
const elsewhere = encodeCursor({ epoch: 'another-store', line: 1 });

/** What is said of each payload that an event may bring. */
const BAD: Record<string, (readonly [unknown, RegExp])[]> = {
  'subscribe-to-logs': [
    [undefined, /^The payload must be an object\.$/],
    [null, /payload/],
    ['t1', /payload/],
    [42, /payload/],
    [true, /payload/],
    [[task], /payload/],
    [Buffer.from('{"taskId":"t1"}'), /payload/],
    [{}, /^taskId is missing\.$/],
    [{ taskId: null }, /^taskId must be text\.$/],
    [{ taskId: 5 }, /taskId must be text/],
    [{ taskId: { toString: 't1' } }, /taskId must be text/],
    [{ taskId: ['t1'] }, /taskId must be text/],
    [{ taskId: Buffer.from('t1') }, /taskId must be text/],
    [{ taskId: '' }, /taskId is empty/],
    [{ taskId: '..' }, /path step/],
    [{ taskId: 'a\u0000b' }, /control characters/],
    [{ taskId: '\ud800' }, /well-formed/],
    [{ taskId: long }, /taskId has 300 bytes/],
    [json('{"__proto__":{"taskId":"t1"}}'), /taskId is missing/],
    [json('{"constructor":{"taskId":"t1"}}'), /taskId is missing/],
    [{ ...task, filter: 'ERROR' }, /^filter must be an object\.$/],
    [{ ...task, filter: ['ERROR'] }, /filter must be an object/],
    [{ ...task, filter: Buffer.from('{}') }, /filter must be an object/],
    [{ ...task, filter: { levels: ['LOUD'] } }, /levels has "LOUD"/],
    [{ ...task, filter: { levels: [1] } }, /levels must be text/],
    [{ ...task, filter: { levels: { length: 1e9 } } }, /levels must be text/],
    [{ ...task, filter: { sources: ['keyboard'] } }, /sources has "keyboard"/],
    [{ ...task, filter: { keywords: { $ne: '' } } }, /keywords must be text/],
    [{ ...task, filter: { keywords: many } }, /keywords has more than 100/],
    [{ ...task, filter: { startTime: 'yesterday' } }, /startTime/],
    [{ ...task, filter: { endTime: {} } }, /endTime/],
    [{ ...task, filter: { workerIds: [null] } }, /workerIds must be text/],
    [{ ...task, filter: { taskIds: 7 } }, /taskIds must be text/],
    [{ ...task, cursor: 5 }, /^cursor must be text\.$/],
    [{ ...task, cursor: '1' }, /is no cursor/],
    [{ ...task, cursor: 'garbage!' }, /is no cursor/],
    [{ ...task, cursor: elsewhere }, /one in another\. The task has the lines 1 to 1\./],
    [{ ...task, from: {} }, /^from must be text\.$/],
    [{ ...task, from: -1 }, /from must be text/],
    [{ ...task, from: 1.5 }, /from must be text/],
    [{ ...task, from: 'sometime' }, /is no place/],
    [{ ...task, from: 'start', cursor: elsewhere }, /Only one of cursor and from/],
  ],
  'unsubscribe-from-logs': [
    [undefined, /payload/],
    [{}, /taskId is missing/],
    [{ taskId: [] }, /taskId must be text/],
  ],
  'update-log-filter': [
    [undefined, /payload/],
    [task, /^filter is missing; \{\} lets everything through\.$/],
    [{ ...task, filter: {} }, /There is no subscription to t1 yet/],
    [{ ...task, filter: 5 }, /filter must be an object/],
    [{ taskId: long, filter: {} }, /taskId has 300 bytes/],
  ],
  'subscribe-to-pipeline': [
    [undefined, /payload/],
    [task, /pipelineId is missing/],
    [{ pipelineId: {} }, /pipelineId must be text/],
    [{ pipelineId: '' }, /^pipelineId must have 1 to 1024 characters\.$/],
    [{ pipelineId: 'x'.repeat(1025) }, /1 to 1024 characters/],
  ],
  'unsubscribe-from-pipeline': [[5, /payload/]],
};
const ERRORS: Record<string, string> = {
  'subscribe-to-logs': 'subscription_error',
  'unsubscribe-from-logs': 'unsubscription_error',
  'update-log-filter': 'filter_update_error',
  'subscribe-to-pipeline': 'subscription_error',
  'unsubscribe-from-pipeline': 'unsubscription_error',
};

for (const [event, rows] of Object.entries(BAD)) {
  test(`${event} says what is wrong with its payload, and the connection goes on`, async (t) => {
    const served = await serveSocketIo(t);
    await (await new TestRun(served, 't1').open()).write('one');
    const client = new TestClient(t, served.url);
    for (const [payload] of rows) client.socket.emit(event, payload);
    const errors: Record<string, unknown>[] = [];
    for (const [at, [payload, message]] of rows.entries()) {
      errors.push(await client.saw(ERRORS[event], at + 1));
      assert.match(String(errors[at].message), message, JSON.stringify(payload));
      assert.match(String(errors[at].details), /^INVALID_(INPUT|CURSOR): /);
      assert.equal(errors[at].event, event);
    }
    assert.equal(served.reader.followed.readers, 0);
    client.socket.emit('subscribe-to-logs', task);
    await client.saw('log-entry');
  });
}

test('events that nobody knows change nothing', async (t) => {
  const served = await serveSocketIo(t);
  const client = new TestClient(t, served.url);
  const names = ['__proto__', 'constructor', 'toString', 'error', 'log-entry', 'connected', '', 'x'.repeat(1000)];
  for (const name of names) {
    client.socket.emit(name, { taskId: 't1' });
    const answer = (await client.socket.emitWithAck(name)) as Record<string, unknown>;
    assert.equal(answer.success, false);
  }
  assert.deepEqual(
    client.events.map(({ event }) => event),
    ['connected'],
  );
});

/** A client that says what it likes, and reads what it likes. */
async function rawClient(t: TestContext, { url }: Served): Promise<{ socket: WebSocket; frames: string[] }> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  const frames: string[] = [];
  socket.on('message', (data) => frames.push((data as Buffer).toString()));
  socket.on('error', () => undefined);
  t.after(() => socket.terminate());
  await once(socket, 'open');
  return { socket, frames };
}

async function joined(t: TestContext, served: Served): Promise<{ socket: WebSocket; frames: string[] }> {
  const client = await rawClient(t, served);
  client.socket.send('40/log-streaming,');
  await until(() => client.frames.some((frame) => frame.includes('"connected"')));
  return client;
}

describe('a connection ends when a client sends', () => {
  const rows: Record<string, (string | Buffer)[]> = {
    'no packet at all': ['hello'],
    'a packet of another type': ['49/log-streaming,'],
    'an event before it has joined': ['42["subscribe-to-logs",{"taskId":"t1"}]'],
    'an event that is no JSON': ['42/log-streaming,["subscribe-to-logs",{'],
    'an event without a name': ['42/log-streaming,[{}]'],
    'an event of the protocol': ['42/log-streaming,["disconnect"]'],
    'bytes that nobody announced': [Buffer.from([1, 2, 3])],
    'too many attachments': ['451000-/log-streaming,["subscribe-to-logs",{"_placeholder":true,"num":0}]'],
    'text in place of an attachment': [
      '451-/log-streaming,["a",{"_placeholder":true,"num":0}]',
      '42/log-streaming,["b"]',
    ],
    'a message that is too large': [`42/log-streaming,["a","${'x'.repeat(70_000)}"]`],
  };
  for (const [what, packets] of Object.entries(rows)) {
    test(what, async (t) => {
      const served = await serveSocketIo(t);
      const { socket } = await joined(t, served);
      const closed = once(socket, 'close');
      for (const packet of packets) socket.send(packet);
      await closed;
      await until(() => served.api.connections() === 0);
    });
  }
});

test('what is nested deeper than can be shown is answered, and ends nothing', async (t) => {
  const served = await serveSocketIo(t);
  const run = await new TestRun(served, 't1').open();
  const { socket, frames } = await joined(t, served);
  const deep = '['.repeat(30_000) + ']'.repeat(30_000);
  socket.send('42/log-streaming,["subscribe-to-logs",{"taskId":"t1"}]');
  socket.send(`42/log-streaming,["update-log-filter",{"taskId":"t1","filter":{"levels":["INFO"],"more":${deep}}}]`);
  socket.send(`42/log-streaming,["update-log-filter",{"taskId":"t1","filter":{"startTime":${deep}}}]`);
  await until(() => frames.some((frame) => frame.includes('"filter_update_error"')));
  const [updated] = frames.filter((frame) => frame.includes('"filter_update_success"'));
  assert.match(updated, /"filter":\{"levels":\["INFO"\]\}/);
  assert.ok(frames.some((frame) => frame.includes('INVALID_INPUT')));
  await run.write('still here');
  await until(() => frames.some((frame) => frame.includes('"still here"')));
});

test('joining twice on one connection is refused, and joining elsewhere', async (t) => {
  const served = await serveSocketIo(t);
  const { socket, frames } = await rawClient(t, served);
  for (const namespace of ['/log-streaming', '/log-streaming', '/', '/nowhere', '/__proto__']) {
    socket.send(namespace === '/' ? '40' : `40${namespace},`);
  }
  await until(() => frames.filter((frame) => frame.startsWith('44')).length === 4);
  assert.equal(frames.filter((frame) => frame.includes('"connected"')).length, 1);
});

test('a client that leaves the namespace is not kept', async (t) => {
  const served = await serveSocketIo(t);
  const { socket } = await joined(t, served);
  socket.send('41/log-streaming,');
  await once(socket, 'close');
});

test('a client is sent away that asks more than can wait', async (t) => {
  const served = await serveSocketIo(t);
  const { socket, frames } = await joined(t, served);
  for (let asked = 0; asked < 1000; asked++) socket.send('42/log-streaming,["subscribe-to-logs",{"taskId":"t1"}]');
  await once(socket, 'close');
  assert.ok(frames.some((frame) => frame.includes('"connection_error"') && frame.includes('OVERLOADED')));
  await until(() => served.reader.followed.readers === 0);
});

/** Lines of a kilobyte each. */
async function largeTask(served: Served, chunks: number): Promise<TestRun> {
  const run = await new TestRun(served, 't1').open();
  const lines = Array.from({ length: 200 }, () => 'x'.repeat(1000));
  for (let chunk = 0; chunk < chunks; chunk++) await run.write(...lines);
  await run.end();
  return run;
}

describe('a client that never reads costs little, and nobody else anything', () => {
  test('over a WebSocket', async (t) => {
    const served = await serveSocketIo(t);
    const sockets: Socket[] = [];
    served.server.on('connection', (socket) => sockets.push(socket));
    await largeTask(served, 100);
    const { socket } = await joined(t, served);
    socket.pause();
    socket.send('42/log-streaming,["subscribe-to-logs",{"taskId":"t1"}]');
    await until(() => sockets[0].writableNeedDrain);
    const client = new TestClient(t, served.url);
    client.socket.emit('subscribe-to-logs', task);
    await client.saw('stream-complete');
    assert.equal(client.messages.length, 20_000);
    assert.ok(sockets[0].writableLength < 1024 * 1024, `${sockets[0].writableLength} bytes wait`);
    // It goes on where it stopped when it reads again.
    const before = sockets[0].bytesWritten;
    socket.resume();
    await until(() => served.reader.followed.lag().most === 0 && sockets[0].bytesWritten > before + 15e6);
  });

  test('over a WebSocket, of many tasks', async (t) => {
    const served = await serveSocketIo(t);
    const tasks = Array.from({ length: 40 }, (_, at) => `t${at + 1}`);
    const lines = Array.from({ length: 200 }, () => 'x'.repeat(1000));
    for (const name of tasks) {
      const run = await new TestRun(served, name).open();
      for (let chunk = 0; chunk < 3; chunk++) await run.write(...lines);
    }
    const sockets: Socket[] = [];
    served.server.on('connection', (socket) => sockets.push(socket));
    const { socket, frames } = await joined(t, served);
    socket.pause();
    for (const taskId of tasks) socket.send(`42/log-streaming,["subscribe-to-logs",{"taskId":"${taskId}"}]`);
    await until(() => sockets[0].writableNeedDrain);
    let most = 0;
    sockets[0].on('drain', () => setImmediate(() => (most = Math.max(most, sockets[0].writableLength))));
    socket.resume();
    await until(() => frames.length >= tasks.length * 600);
    await until(() => frames.filter((frame) => frame.includes('"log-entry"')).length === tasks.length * 600);
    assert.ok(most < 2 * 1024 * 1024, `${most} bytes wait`);
  });

  test('over polling', async (t) => {
    const served = await serveSocketIo(t);
    await largeTask(served, 100);
    const base = `${served.url}/socket.io/?EIO=4&transport=polling`;
    const opened = (await (await fetch(base)).text()).slice(1);
    const session = `${base}&sid=${(JSON.parse(opened) as { sid: string }).sid}`;
    const subscribe = '42/log-streaming,["subscribe-to-logs",{"taskId":"t1"}]';
    await fetch(session, { method: 'POST', body: '40/log-streaming,' });
    // Joined is whoever has been told.
    await (await fetch(session)).text();
    await fetch(session, { method: 'POST', body: subscribe });
    await until(() => served.reader.followed.readers === 1);
    const client = new TestClient(t, served.url);
    client.socket.emit('subscribe-to-logs', task);
    await client.saw('stream-complete');
    assert.equal(client.messages.length, 20_000);
    assert.ok(served.reader.followed.delivered < 25_000);
    let text = '';
    for (let polls = 0; polls < 3; polls++) text = await (await fetch(session)).text();
    assert.equal(text.split('\x1e').length, MAX_POLLED_PACKETS);
  });
});

test('what is unsubscribed from ends at once, whether or not its client reads', async (t) => {
  const served = await serveSocketIo(t);
  const sockets: Socket[] = [];
  served.server.on('connection', (socket) => sockets.push(socket));
  await largeTask(served, 100);
  const { socket } = await joined(t, served);
  socket.pause();
  socket.send('42/log-streaming,["subscribe-to-logs",{"taskId":"t1"}]');
  await until(() => sockets[0].writableNeedDrain);
  assert.equal(served.reader.followed.readers, 1);
  socket.send('42/log-streaming,["unsubscribe-from-logs",{"taskId":"t1"}]');
  await until(() => served.reader.followed.readers === 0);
  assert.ok(sockets[0].writableNeedDrain);
});

test('a client is sent away whose questions take too much room', async (t) => {
  const served = await serveSocketIo(t);
  const sockets: Socket[] = [];
  served.server.on('connection', (socket) => sockets.push(socket));
  await largeTask(served, 100);
  const { socket } = await joined(t, served);
  socket.pause();
  socket.send('42/log-streaming,["subscribe-to-logs",{"taskId":"t1"}]');
  await until(() => sockets[0].writableNeedDrain);
  const question = JSON.stringify(['update-log-filter', { taskId: 't1', filter: {}, more: 'x'.repeat(50_000) }]);
  for (let asked = 0; asked < 40; asked++) socket.send(`42/log-streaming,${question}`);
  await until(() => served.reader.followed.readers === 0);
});

test('a client that reads no answers is cut', async (t) => {
  const served = await serveSocketIo(t);
  const { socket } = await rawClient(t, served);
  socket.pause();
  const flood = setInterval(() => {
    for (let packet = 0; packet < 2000; packet++) socket.send(`40/nowhere-${'x'.repeat(200)},`);
  }, 1);
  t.after(() => clearInterval(flood));
  await until(() => served.api.connections() === 0);
});

test('clients that come and go leave nothing', async (t) => {
  const served = await serveSocketIo(t);
  await (await new TestRun(served, 't1').open()).write('one');
  for (let round = 0; round < 30; round++) {
    const transports = [['websocket'], ['polling'], ['polling', 'websocket']][round % 3];
    const client = new TestClient(t, served.url, { transports });
    client.socket.emit('subscribe-to-logs', task);
    await client.saw(round % 2 === 0 ? 'log-entry' : 'connected');
    client.socket.disconnect();
  }
  await until(() => served.api.connections() === 0 && served.reader.followed.readers === 0);
});

test('a client that half-closes is gone', async (t) => {
  const served = await serveSocketIo(t);
  const { socket } = await joined(t, served);
  socket.send('42/log-streaming,["subscribe-to-logs",{"taskId":"t1"}]');
  await until(() => served.reader.followed.readers === 1);
  (socket as unknown as { _socket: Socket })._socket.end();
  await until(() => served.api.connections() === 0 && served.reader.followed.readers === 0);
});

test('a client whose subscription fails by our fault is told, and comes back by itself', async (t) => {
  const served = await serveSocketIo(t);
  const client = new TestClient(t, served.url, { reconnection: true, reconnectionDelay: 10 });
  client.socket.emit('subscribe-to-logs', task);
  await client.saw('subscription_success');
  const reason = new Promise((resolve) => client.socket.once('disconnect', resolve));
  await served.store.close();
  const error = await client.saw('subscription_error');
  assert.deepEqual([error.event, error.taskId], ['subscribe-to-logs', 't1']);
  assert.match(String(error.details), /^DATABASE_ERROR: /);
  assert.equal(await reason, 'transport close');
  await client.saw('connected', 2);
});

test('a session on which nothing is subscribed to and said ends, and no other', async (t) => {
  const config = { compression: true, sessionTimeoutMs: 300, maxMessageBytes: 1024 * 1024 };
  const served = await serveSocketIo(t, { config });
  const idle = new TestClient(t, served.url);
  const busy = new TestClient(t, served.url);
  busy.socket.emit('subscribe-to-logs', task);
  const error = await idle.saw('connection_error');
  assert.match(String(error.details), /^IDLE: /);
  await until(() => !idle.socket.connected);
  assert.ok(busy.socket.connected);
});
