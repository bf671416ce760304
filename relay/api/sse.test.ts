import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { EventSource } from 'eventsource';
import fastify, { type FastifyInstance } from 'fastify';
import '../auth/http.ts';
import { allowedLimits } from '../limits/limits.fixture.ts';
import { Limits } from '../limits/limits.ts';
import { until } from '../reading.fixture.ts';
import { SOMEBODY } from '../senders/senders.fixture.ts';
import { addCompression } from './compress.ts';
import { sseEvent, SseStreams, type SseStream } from './sse.ts';

describe('sseEvent', () => {
  const table: { what: string; event: Parameters<typeof sseEvent>[0]; text: string }[] = [
    { what: 'data alone', event: { data: '{}' }, text: 'data: {}\n\n' },
    {
      what: 'all three, in this order',
      event: { id: '7', data: 'x', event: 'log' },
      text: 'event: log\ndata: x\nid: 7\n\n',
    },
    { what: 'data of several lines', event: { data: 'a\nb\r\nc\rd' }, text: 'data: a\ndata: b\ndata: c\ndata: d\n\n' },
    { what: 'no data', event: { data: '' }, text: 'data: \n\n' },
    { what: 'data that looks like a field', event: { data: 'id: 9\n\n' }, text: 'data: id: 9\ndata: \ndata: \n\n' },
  ];
  for (const { what, event, text } of table) test(what, () => assert.equal(sseEvent(event), text));
});

interface Opened {
  url: string;
  app: FastifyInstance;
  streams: SseStreams;
  limits: Limits;
  opened: SseStream[];
}

/** A server with one route, `/`, that opens a stream about the task `t` and leaves it alone. */
async function serve(t: TestContext, limits = new Limits(allowedLimits())): Promise<Opened> {
  const app = fastify() as unknown as FastifyInstance;
  const streams = new SseStreams({ limits });
  const opened: SseStream[] = [];
  app.decorateRequest('caller');
  addCompression(app);
  app.addHook('onRequest', (request, reply, done) => {
    request.caller = SOMEBODY;
    reply.header('access-control-allow-origin', '*');
    reply.raw.setHeader('x-request-id', 'r1');
    done();
  });
  app.get('/', (request, reply) => {
    opened.push(streams.open(request, reply, { task: 't', headers: { 'x-api': 'test' } }));
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  t.after(async () => {
    await streams.stop();
    await app.close();
  });
  const { port } = app.server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, app, streams, limits, opened };
}

async function ask(url: string, options: { method?: string; headers?: Record<string, string> } = {}): Promise<Asked> {
  const request = httpRequest(url, { agent: false, ...options });
  request.end();
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  answer.on('error', () => undefined);
  return { answer, leave: () => request.destroy() };
}

interface Asked {
  answer: IncomingMessage;
  leave: () => void;
}

test('headers come at once, before any event, with those that the hooks have set', async (t) => {
  const { url, streams, opened } = await serve(t);
  const { answer, leave } = await ask(url, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(answer.statusCode, 200);
  const { headers } = answer;
  assert.equal(headers['content-type'], 'text/event-stream');
  assert.equal(headers['cache-control'], 'no-cache');
  assert.equal(headers.connection, 'keep-alive');
  assert.equal(headers['x-accel-buffering'], 'no');
  assert.equal(headers['access-control-allow-origin'], '*');
  assert.equal(headers['x-request-id'], 'r1');
  assert.equal(headers['x-api'], 'test');
  assert.equal(headers['content-encoding'], undefined);
  assert.deepEqual([streams.count, opened.length], [1, 1]);
  leave();
});

test('an independent client gets events, and an end', async (t) => {
  const { url, opened } = await serve(t);
  const source = new EventSource(url);
  t.after(() => source.close());
  const seen: string[] = [];
  source.addEventListener('log', ({ data, lastEventId }) => seen.push(`${lastEventId} ${String(data)}`));
  source.addEventListener('error', () => source.close());
  await once(source as unknown as EventTarget, 'open');
  await opened[0].write(sseEvent({ event: 'log', data: 'one\ntwo', id: '1' }));
  opened[0].end(sseEvent({ event: 'log', data: 'three', id: '2' }));
  await until(() => source.readyState === EventSource.CLOSED);
  assert.deepEqual(seen, ['1 one\ntwo', '2 three']);
});

const LEAVING: { how: string; leave: (socket: Socket) => void }[] = [
  { how: 'ends its connection', leave: (socket) => socket.destroy() },
  { how: 'resets its connection', leave: (socket) => socket.resetAndDestroy() },
  { how: 'closes its half of it', leave: (socket) => socket.end() },
];
for (const { how, leave } of LEAVING) {
  test(`a client that ${how} is gone, and counts no more`, async (t) => {
    const { url, streams, limits, opened } = await serve(t);
    const socket = await speak(url, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => opened.length === 1);
    assert.deepEqual([limits.connections, opened[0].signal.aborted], [1, false]);
    leave(socket);
    await opened[0].closed;
    assert.deepEqual([opened[0].signal.aborted, streams.count, limits.connections], [true, 0, 0]);
    // What comes too late goes nowhere, and is no error.
    await opened[0].write('data: late\n\n');
    opened[0].end();
  });
}

async function speak(url: string, text: string): Promise<Socket> {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

test('a client that never reads costs a bounded number of writes, and nobody else anything', async (t) => {
  const { url, opened } = await serve(t);
  const socket = await speak(url, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  socket.pause();
  await until(() => opened.length === 1);
  const part = Buffer.alloc(256 * 1024, 'x');
  let written = 0;
  const writing = (async () => {
    while (!opened[0].signal.aborted) {
      await opened[0].write(part);
      written++;
    }
  })();
  const { answer, leave } = await ask(url);
  await opened[1].write('data: to others\n\n');
  assert.equal(String((await once(answer, 'data'))[0]), 'data: to others\n\n');
  leave();
  // It stands still: the same number of writes after many turns of the event loop, in which others were served.
  let still = 0;
  for (let last = -1; still < 50; still = written === last ? still + 1 : 0) {
    last = written;
    const other = await ask(url, { method: 'HEAD' });
    other.leave();
  }
  assert.ok(written < 100, `${written} writes of 256 KiB`);
  socket.destroy();
  await writing;
});

test('what a slow client has not read is not lost', async (t) => {
  const { url, opened } = await serve(t);
  const { answer } = await ask(url);
  answer.pause();
  const part = Buffer.alloc(512 * 1024, 'y');
  const writing = (async () => {
    for (let i = 0; i < 32; i++) await opened[0].write(part);
    opened[0].end('z');
  })();
  let bytes = 0;
  let last = '';
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    last = chunk.subarray(-1).toString();
  }
  await writing;
  assert.deepEqual([bytes, last], [32 * 512 * 1024 + 1, 'z']);
});

test('silence is broken as often as asked, but only silence', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { url, opened } = await serve(t);
  const { answer, leave } = await ask(url);
  let text = '';
  answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
  let pings = 0;
  opened[0].onIdle(30_000, () => `data: ping ${++pings}\n\n`);
  t.mock.timers.tick(29_999);
  await opened[0].write('data: a\n\n');
  t.mock.timers.tick(29_999);
  await opened[0].write('data: b\n\n');
  t.mock.timers.tick(30_000);
  t.mock.timers.tick(30_000);
  await opened[0].write('data: c\n\n');
  const expected = ['a', 'b', 'ping 1', 'ping 2', 'c'].map((data) => `data: ${data}\n\n`).join('');
  await until(() => text.length >= expected.length);
  assert.equal(text, expected);
  leave();
  await opened[0].closed;
  t.mock.timers.tick(300_000);
  assert.equal(pings, 2);
});

test('HEAD is answered with the headers, and no stream is left', async (t) => {
  const { url, streams, limits, opened } = await serve(t);
  const { answer } = await ask(url, { method: 'HEAD' });
  assert.deepEqual([answer.statusCode, answer.headers['content-type']], [200, 'text/event-stream']);
  answer.resume();
  await once(answer, 'end');
  await opened[0].closed;
  assert.deepEqual([opened[0].signal.aborted, streams.count, limits.connections], [true, 0, 0]);
});

test('HTTP/1.0 gets its events unchunked, and the end by the end of the connection', async (t) => {
  const { url, opened } = await serve(t);
  const socket = await speak(url, 'GET / HTTP/1.0\r\n\r\n');
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await until(() => opened.length === 1);
  await opened[0].write('data: a\n\n');
  opened[0].end('data: b\n\n');
  await once(socket, 'end');
  const [head, body] = [text.slice(0, text.indexOf('\r\n\r\n')), text.slice(text.indexOf('\r\n\r\n') + 4)];
  assert.match(head, /connection: close/i);
  assert.doesNotMatch(head, /transfer-encoding/i);
  assert.equal(body, 'data: a\n\ndata: b\n\n');
});

test('who comes beyond a limit is refused like any request', async (t) => {
  const { url, streams } = await serve(t, new Limits(allowedLimits({ maxConnections: 1 })));
  const first = await ask(url);
  const refused = await ask(url);
  assert.equal(refused.answer.statusCode, 500);
  assert.equal(streams.count, 1);
  refused.leave();
  first.leave();
});

test('stop ends all streams and says when to come back; who comes later is refused', async (t) => {
  const { url, streams, opened } = await serve(t);
  const reading = await ask(url);
  const asleep = await speak(url, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  asleep.pause();
  await until(() => opened.length === 2);
  const stuck = opened[1].write(Buffer.alloc(64 * 1024 * 1024));
  let text = '';
  reading.answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = once(reading.answer, 'end');
  await streams.stop();
  await Promise.all([stuck, ended]);
  assert.match(text, /^retry: \d+\n\n$/);
  assert.deepEqual([streams.count, opened.every(({ signal }) => signal.aborted)], [0, true]);
  const late = await ask(url);
  assert.equal(late.answer.statusCode, 500);
  late.leave();
});
