import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import type { TaskHead } from '../../../store/store.ts';
import { storedLines } from '../../../senders/senders.fixture.ts';
import { entry, openServer, type TestServer } from './grpc.fixture.ts';
import { framed, RawStream } from './raw-stream.fixture.ts';

const texts = Array.from({ length: 200 }, (_, i) => `line ${i} ${'x'.repeat(100)}`);
const entries = texts.map((text) => entry(text));
const expected = texts.map((text, i) => `${i + 1} ${text}`);

const WAYS: { what: string; leave: (stream: RawStream) => Promise<void> | void }[] = [
  {
    what: 'half-closed, and cancelled 20 ms later',
    leave: async (stream) => {
      stream.halfClose();
      await delay(20);
      stream.cancel();
    },
  },
  { what: 'cancelled', leave: (stream) => stream.cancel() },
  { what: 'cut off with its connection', leave: (stream) => stream.cut() },
  { what: 'reset with its connection', leave: (stream) => stream.reset() },
];

const STORES: { what: string; windowBytes?: number; stalled?: true }[] = [
  { what: 'the store works' },
  { what: 'the store stands still', stalled: true },
  { what: 'the store stands still and there is hardly any room', stalled: true, windowBytes: 4096 },
];

for (const { what, leave } of WAYS) {
  for (const { what: when, windowBytes, stalled = false } of STORES) {
    test(`200 entries of a stream that is ${what} while ${when}: 200 are stored`, async (t) => {
      const server = await openServer(t, windowBytes === undefined ? {} : { senders: { windowBytes } });
      if (stalled) server.gate.close();
      const stream = await RawStream.open(t, server.api.port);
      await stream.send(...entries);
      await leave(stream);
      await stream.closed;
      server.gate.open();
      await stored(server, texts.length);
      assert.deepEqual(await storedLines(server.reading, 't'), expected);
    });
  }
}

test('a gRPC client that half-closes and cancels 20 ms later while the store stands still loses nothing', async (t) => {
  const server = await openServer(t);
  const way = await CountedWay.open(t, server.api.port);
  const stream = server.client({ port: way.port }).forward();
  // The first answer says that the stream is there.
  stream.send(entries[0]);
  await stream.answered(1);
  server.gate.close();
  const rest = entries.slice(1);
  const passed = way.passed(rest.reduce((bytes, one) => bytes + DATA_FRAME_BYTES + framed(one).length, 0));
  stream.send(...rest);
  await passed;
  stream.call.end();
  await delay(20);
  stream.call.cancel();
  await stream.ended;
  server.gate.open();
  await stored(server, texts.length);
  assert.deepEqual(await storedLines(server.reading, 't'), expected);
});

test('entries that came before the deadline are stored, although nobody half-closes', async (t) => {
  const server = await openServer(t);
  server.gate.close();
  const stream = await RawStream.open(t, server.api.port, { 'grpc-timeout': '1S' });
  await stream.send(...entries);
  assert.equal(stream.status, undefined);
  await once(stream.stream, 'trailers');
  assert.equal(stream.status, '4');
  server.gate.open();
  await stored(server, texts.length);
  assert.deepEqual(await storedLines(server.reading, 't'), expected);
  // The worker may open the next stream when it has something to say.
  assert.equal((await server.reading.store.task('t'))?.status, 'running');
});

test('fifty streams that are all cancelled while the store stands still lose nothing', async (t) => {
  const server = await openServer(t);
  server.gate.close();
  const streams = await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      const stream = await RawStream.open(t, server.api.port);
      await stream.send(...entries.map((one) => ({ ...one, worker_id: `w${i}` })));
      return stream;
    }),
  );
  for (const stream of streams) {
    stream.halfClose();
    stream.cancel();
  }
  await Promise.all(streams.map(({ closed }) => closed));
  server.gate.open();
  await stored(server, streams.length * texts.length);
  assert.equal((await server.reading.store.task('t'))?.lines, streams.length * texts.length);
});

/** Resolves when the task has so many lines. */
async function stored({ reading: { store } }: TestServer, lines: number): Promise<void> {
  const head = async (): Promise<TaskHead> => (await store.head('t')) ?? NO_HEAD;
  for (let now = await head(); now.nextLine <= lines; now = await head())
    await store.wait('t', { nextLine: now.nextLine, revision: now.revision }, new AbortController().signal);
}

/** HTTP/2's own part of each message. */
const DATA_FRAME_BYTES = 9;

/** Passes a client's connection on, and counts its bytes. */
class CountedWay {
  readonly port: number;
  #bytes = 0;
  #wake = (): void => undefined;

  private constructor(server: Server, to: number) {
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => {
      const onwards = connect(to, '127.0.0.1');
      socket.on('data', (bytes) => {
        this.#bytes += bytes.length;
        this.#wake();
      });
      for (const one of [socket, onwards]) one.on('error', () => one.destroy());
      socket.pipe(onwards).pipe(socket);
    });
  }

  static async open(t: TestContext, to: number | undefined): Promise<CountedWay> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    return new CountedWay(server, Number(to));
  }

  /** Resolves when so many more bytes have passed. */
  async passed(bytes: number): Promise<void> {
    for (const until = this.#bytes + bytes; this.#bytes < until;)
      await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

const NO_HEAD = { nextLine: 1, revision: 0 } as TaskHead;
