import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect } from 'node:net';
import { after, before, describe, test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { frameOf } from '../../relay/api/otto/grpc/frames.ts';
import { framed } from '../../relay/api/otto/grpc/raw-stream.fixture.ts';
import { loadServices } from '../../relay/api/otto/grpc/services.ts';
import { hunt } from './hunt.ts';
import { mutations } from './mutations.ts';
import { TOKEN, Victim } from './victim.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const { ForwardWorkerLogs } = loadServices().handlers;
const HEADERS = {
  ...{ ':method': 'POST', ':path': ForwardWorkerLogs.path, 'content-type': 'application/grpc', te: 'trailers' },
  authorization: `Bearer ${TOKEN}`,
};

/** A frame of HTTP/2. */
function h2(type: number, flags: number, stream: number, payload: Buffer, length = payload.length): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

describe('the port of gRPC', { timeout: 300_000 }, () => {
  let victim: Victim;
  const ends: (() => void)[] = [];
  before(async () => {
    victim = await Victim.start({ after: (end) => ends.push(end) });
  });
  after(() => ends.toReversed().forEach((end) => end()));

  test('takes any bytes, and goes on', async (t) => {
    const { descriptors, rss } = victim;
    const settings = h2(4, 0, 0, Buffer.alloc(0));
    const ping = h2(6, 0, 0, Buffer.alloc(8));
    const golden = [
      settings,
      ping,
      h2(1, 4, 1, Buffer.from('838684', 'hex')),
      h2(0, 1, 1, frameOf(Buffer.from('x'))),
      h2(3, 0, 1, Buffer.alloc(4)),
    ];
    const one = fc.oneof(
      fc.constantFrom(...golden),
      fc.tuple(fc.constantFrom(...golden), mutations(golden)).map(([bytes, mutate]) => mutate(bytes)),
      fc
        .tuple(fc.nat(11), fc.nat(255), fc.nat(5), fc.uint8Array({ maxLength: 40 }))
        .map(([type, flags, stream, payload]) => h2(type, flags, stream, Buffer.from(payload))),
      fc.constantFrom(
        h2(1, 0, 1, Buffer.alloc(0)),
        h2(9, 0, 1, Buffer.alloc(10)),
        h2(0, 0, 1, Buffer.alloc(0), 2 ** 24 - 1),
      ),
      fc.constantFrom(Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.from([0x16, 3, 1, 0, 5]), Buffer.alloc(100, 255)),
    );
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.array(one, { minLength: 1, maxLength: 8 }), async (polite, frames) => {
        await victim.answer(Buffer.concat([...(polite ? [PREFACE, settings] : []), ...frames]), {
          port: victim.grpcPort,
        });
      }),
      hunt(60),
    );
    await takesEntries(victim, t);
    await victim.isUnharmed({ descriptors });
    assert.ok(victim.rss < rss + 150 * 1024 * 1024);
  });

  test('drops what is no entry, and takes the next one', async (t) => {
    const { descriptors } = victim;
    const good = framed({ worker_id: 'w', task_id: 'fuzzed', level: 'INFO', message: 'm', metadata: { a: 'b' } });
    await fc.assert(
      fc.asyncProperty(fc.array(mutations([good]), { minLength: 1, maxLength: 4 }), async (changes) => {
        const session = connectHttp2(`http://127.0.0.1:${victim.grpcPort}`).on('error', () => undefined);
        const stream = session.request(HEADERS).on('error', () => undefined);
        stream.resume();
        stream.end(Buffer.concat([good, ...changes.map((change) => change(good)), good]));
        await new Promise((resolve) => stream.once('close', resolve));
        await new Promise<void>((resolve) => session.close(resolve));
      }),
      hunt(20),
    );
    await takesEntries(victim, t);
    await victim.isUnharmed({ descriptors });
  });

  const floods: [what: string, flood: (port: number) => Promise<void>][] = [
    ['streams that are reset at once', resets],
    ['pings', (port) => send(port, h2(6, 0, 0, Buffer.alloc(8)), 5000)],
    ['settings', (port) => send(port, h2(4, 0, 0, Buffer.from('000300000064', 'hex')), 5000)],
    ['priorities', (port) => send(port, h2(2, 0, 1, Buffer.alloc(5)), 5000)],
    ['empty data', (port) => send(port, h2(0, 0, 1, Buffer.alloc(0)), 5000)],
    [
      'headers that do not end',
      (port) => send(port, h2(9, 0, 1, Buffer.alloc(16_000, 0x40)), 200, h2(1, 0, 1, Buffer.from('838684', 'hex'))),
    ],
  ];
  for (const [what, flood] of floods) {
    test(`withstands a flood of ${what}`, async (t) => {
      const { descriptors, rss } = victim;
      for (let round = 0; round < 2; round++) await flood(victim.grpcPort);
      await takesEntries(victim, t);
      await victim.isUnharmed({ descriptors });
      assert.ok(victim.rss < rss + 200 * 1024 * 1024, `${victim.rss} bytes, ${rss} before`);
    });
  }
});

describe('a port of TLS', { timeout: 120_000 }, () => {
  test('takes no plain HTTP, no rubbish and no half of a handshake for a client', async (t) => {
    const victim = await Victim.start(t, { tls: true });
    const { descriptors } = victim;
    const hello = Buffer.from('160301002e0100002a0303', 'hex');
    const texts = [
      'GET / HTTP/1.1\r\nhost: a\r\n\r\n',
      PREFACE,
      Buffer.alloc(500, 0x16),
      hello,
      Buffer.from('15030100020228', 'hex'),
      '',
    ];
    for (const port of [victim.port, victim.grpcPort]) {
      for (const text of texts) {
        for (let i = 0; i < 10; i++) {
          const socket = connect(port, '127.0.0.1').on('error', () => undefined);
          const closed = new Promise((resolve) => socket.once('close', resolve));
          socket.resume();
          socket.end(text);
          await closed;
        }
      }
    }
    await victim.isUnharmed({ descriptors });
  });
});

/** Somebody who does nothing wrong is answered. */
async function takesEntries(victim: Victim, t: TestContext): Promise<void> {
  const session = connectHttp2(`http://127.0.0.1:${victim.grpcPort}`);
  t.after(() => session.destroy());
  const stream = session.request(HEADERS);
  stream.resume();
  stream.end(framed({ worker_id: 'w', task_id: 'entries', level: 'INFO', message: 'm' }));
  const [trailers] = (await once(stream, 'trailers')) as [Record<string, string>];
  assert.equal(trailers['grpc-status'], '0');
  session.destroy();
}

async function resets(port: number): Promise<void> {
  const session = connectHttp2(`http://127.0.0.1:${port}`).on('error', () => undefined);
  const closed = new Promise((resolve) => session.once('close', resolve));
  for (let i = 0; i < 1000 && !session.closed && !session.destroyed; i++) {
    const stream = session.request(HEADERS).on('error', () => undefined);
    stream.close(constants.NGHTTP2_CANCEL);
  }
  session.close();
  await closed;
}

/** Many of a frame behind an orderly beginning, as fast as they are taken; until all are, or the other side has enough. */
async function send(
  port: number,
  frame: Buffer,
  count: number,
  before = h2(1, 4, 1, Buffer.from('838684', 'hex')),
): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' }).on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.resume();
  socket.write(Buffer.concat([PREFACE, h2(4, 0, 0, Buffer.alloc(0)), before]));
  const some = Buffer.concat(new Array<Buffer>(100).fill(frame));
  for (let sent = 0; sent < count && !socket.closed; sent += 100) {
    if (!socket.write(some)) await Promise.race([once(socket, 'drain').catch(() => undefined), closed]);
  }
  socket.end();
  await closed;
}
