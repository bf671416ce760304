import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { encodeGap } from '../../shared/chunk.ts';
import { encodeLines } from '../../shared/columns.ts';
import { newUlid } from '../../shared/ulid.ts';
import { VIEW_SUBPROTOCOL } from '../../shared/viewer-messages.ts';
import { SUBPROTOCOL } from '../../shared/wire.ts';
import type { Context } from '../programs.ts';
import { hostileJson } from './hostile-json.ts';
import { hunt } from './hunt.ts';
import { mutations } from './mutations.ts';
import { TOKEN, Victim } from './victim.ts';

const RUN = newUlid(1);
const HELLO = { type: 'hello', run: RUN, ackedSeq: 0, workerId: 'w', labels: {}, agentVersion: '1', startedAt: 1 };
const END = { type: 'end', exitCode: 0, signal: null, reason: 'exited', nextSeq: 3, lines: 3, bytes: 9 };
const ENTRY = { level: 'INFO', message: 'm', metadata: { a: 1 } };
const OPTIONS = { from: 'start', levels: ['INFO'], q: 'x', regex: 'a+', tail: 3, batch: true, meta: { a: 'b' } };
const TASK = '/ws/tasks/fuzzed';
const OTTO = '40/log-streaming,';

/** Where WebSockets are, and what is said there. */
const PLACES: { what: string; path: string; protocol?: string; first?: string; texts: fc.Arbitrary<string> }[] = [
  {
    what: 'an agent',
    path: TASK,
    protocol: SUBPROTOCOL,
    first: JSON.stringify(HELLO),
    texts: hostileJson([HELLO, { type: 'progress', nextSeq: 3 }, { ...END, digest: '0'.repeat(32), endedAt: 3 }]),
  },
  {
    what: 'a viewer',
    path: TASK,
    protocol: VIEW_SUBPROTOCOL,
    texts: hostileJson([
      { type: 'subscribe', subscription: 's', taskId: 'healthy', options: OPTIONS },
      { type: 'subscribe', subscription: 's', all: true, options: { from: 'start' } },
      { type: 'subscribe', subscription: 'p', pipelineId: 'healthy' },
      { type: 'unsubscribe', subscription: 's' },
      { type: 'auth', token: 'x' },
      { type: 'ping' },
      { type: 'log', taskId: 'fuzzed', ...ENTRY },
      { type: 'status', taskId: 'fuzzed', status: 'RUNNING', progress: 5 },
    ]),
  },
  {
    what: 'an agent that speaks JSON',
    path: TASK,
    texts: hostileJson([
      { type: 'log', ...ENTRY },
      { type: 'status', status: 'COMPLETED' },
    ]),
  },
  {
    what: 'an agent of many tasks',
    path: '/ws/agent',
    texts: hostileJson([
      { type: 'LOG', taskId: 't', data: ENTRY },
      { type: 'log', taskId: 't', log: ENTRY },
    ]),
  },
  {
    what: 'a viewer of Stratal’s',
    path: '/api/v1/logs/stream/ws?type=task&task_id=healthy',
    texts: hostileJson([{ type: 'ping' }]),
  },
  {
    what: 'a client of Socket.IO',
    path: '/socket.io/?EIO=4&transport=websocket',
    first: `${OTTO}${JSON.stringify({ token: TOKEN })}`,
    texts: fc
      .tuple(
        fc.constantFrom(
          '4',
          '42/log-streaming,',
          '42',
          '41',
          '44',
          '45',
          '451-/log-streaming,',
          '2',
          '3',
          '1',
          '5',
          '6',
          OTTO,
          '',
        ),
        fc.constantFrom(
          'subscribe-to-logs',
          'unsubscribe-from-logs',
          'update-filter',
          'subscribe-to-pipeline',
          'ping',
          'x',
        ),
        hostileJson([{ taskId: 'healthy', filter: { levels: ['INFO'] }, from: 'start' }, { pipelineId: 'healthy' }]),
        fc.boolean(),
      )
      .map(([head, event, json, whole]) => (whole ? `${head}["${event}",${json}]` : head + json)),
  },
];
const CHUNK = encodeLines(RUN, 0, [
  { time: 1, kind: 0, text: Buffer.from('a') },
  { time: 1, kind: 4, text: Buffer.alloc(2000, 'b') },
]);
const GAP = encodeGap({ run: RUN, firstSeq: 2, count: 5, reason: 'dropped', time: 1 });

let victim: Victim;
const ends: (() => void)[] = [];
const context: Context = { after: (end) => ends.push(end) };
before(async () => {
  victim = await Victim.start(context);
});
after(() => ends.toReversed().forEach((end) => end()));

/** How a frame departs from what it should be. */
interface Oddity {
  fin: boolean;
  reserved: number;
  opcode: number;
  masked: boolean;
  /** Says another length than it has, in another form than it should. */
  length: 'right' | 'short' | 'long' | 'huge' | 'wide';
}
const ordinary: Oddity = { fin: true, reserved: 0, opcode: 1, masked: true, length: 'right' };
const oddity: fc.Arbitrary<Oddity> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(ordinary, { ...ordinary, opcode: 2 }) },
  fc.record(
    {
      fin: fc.boolean(),
      reserved: fc.constantFrom(0, 0, 0, 1, 4, 7),
      opcode: fc.constantFrom(0, 0, 1, 2, 3, 8, 9, 10, 15),
      masked: fc.constantFrom(true, true, true, false),
      length: fc.constantFrom('right', 'right', 'right', 'short', 'long', 'huge', 'wide'),
    },
    { noNullPrototype: true },
  ),
);

function frame(payload: Buffer, { fin, reserved, opcode, masked, length }: Oddity): Buffer {
  const said = { right: 0, short: -1, long: 1, huge: 2 ** 40, wide: 0 }[length] + payload.length;
  const form = length === 'huge' || length === 'wide' || said > 65_535 ? 127 : said > 125 ? 126 : Math.max(0, said);
  const head = Buffer.from([(fin ? 0x80 : 0) | (reserved << 4) | opcode, (masked ? 0x80 : 0) | form]);
  const size = Buffer.alloc(form === 127 ? 8 : form === 126 ? 2 : 0);
  if (form === 127) size.writeBigUInt64BE(BigInt(Math.max(0, said)));
  else if (form === 126) size.writeUInt16BE(said);
  if (!masked) return Buffer.concat([head, size, payload]);
  const mask = Buffer.from([1, 2, 3, 4]);
  return Buffer.concat([head, size, mask, payload.map((byte, at) => byte ^ mask[at % 4])]);
}

function handshake(path: string, protocol?: string, more: readonly string[] = []): string {
  return [
    ...[`GET ${path} HTTP/1.1`, 'host: a', 'connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13'],
    ...[`sec-websocket-key: ${randomBytes(16).toString('base64')}`, `authorization: Bearer ${TOKEN}`],
    ...(protocol === undefined ? [] : [`sec-websocket-protocol: ${protocol}`]),
    ...more,
    '\r\n',
  ].join('\r\n');
}

describe('what is said on a WebSocket is answered, or ends it with a code that says why', { timeout: 300_000 }, () => {
  for (const { what, path, protocol, first, texts } of PLACES) {
    const payload = fc.oneof(
      { weight: 4, arbitrary: texts.map((text) => Buffer.from(text)) },
      {
        weight: 2,
        arbitrary: fc
          .tuple(fc.constantFrom(CHUNK, GAP), mutations([CHUNK, GAP]))
          .map(([bytes, mutate]) => mutate(bytes)),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom(CHUNK, GAP, Buffer.alloc(130), Buffer.from([0xc3, 0x28]), Buffer.from([0x03, 0xe8])),
      },
      // A bomb, if anybody inflates it.
      { weight: 1, arbitrary: fc.constant(deflateRawSync(Buffer.alloc(1024 * 1024))) },
    );
    test(`by ${what}`, async () => {
      const { descriptors } = victim;
      await fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(payload, oddity), { minLength: 1, maxLength: 6 }), async (frames) => {
          const before = first === undefined ? [] : [frame(Buffer.from(first), ordinary)];
          const said = Buffer.concat([
            Buffer.from(handshake(path, protocol)),
            ...before,
            ...frames.map(([bytes, odd]) => frame(bytes, odd)),
          ]);
          const answer = Buffer.from(await victim.answer(said), 'latin1');
          assert.match(answer.toString('latin1'), /^HTTP\/1\.1 101 /);
          for (const code of closeCodes(answer.subarray(answer.indexOf('\r\n\r\n') + 4)))
            assert.ok(
              [1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009].includes(code) || (code >= 4000 && code < 4200),
              String(code),
            );
        }),
        hunt(40),
      );
      await victim.isUnharmed({ descriptors });
    });
  }
});

test('a handshake of any kind is a WebSocket, or refused over HTTP', { timeout: 120_000 }, async () => {
  const { descriptors } = victim;
  const path = fc.constantFrom(
    TASK,
    '/ws',
    '/ws/',
    '/ws/tasks/',
    '/ws/tasks/%00',
    '/ws/tasks/%ff',
    '/ws/tasks/a/b',
    '/ws/tasks/..',
    '/x',
  );
  const header = fc.constantFrom(
    ...[
      'sec-websocket-version: 8',
      'sec-websocket-version: x',
      'sec-websocket-key: short',
      'sec-websocket-key:',
      'upgrade: h2c',
    ],
    ...[
      'sec-websocket-extensions: permessage-deflate; client_max_window_bits=99',
      'sec-websocket-extensions: ;;,',
      'origin: null',
    ],
    ...[
      'sec-websocket-protocol: ,',
      'sec-websocket-protocol: \u00ff',
      'sec-websocket-protocol: a, a',
      'content-length: 5',
    ],
    ...[
      'sec-websocket-protocol: keruta.chunk.v9',
      'authorization: Bearer wrong',
      'transfer-encoding: chunked',
      'connection: close',
    ],
  );
  await fc.assert(
    fc.asyncProperty(path, fc.array(header, { maxLength: 3 }), fc.boolean(), async (target, more, agent) => {
      const request = handshake(target, agent ? SUBPROTOCOL : undefined, more);
      const answer = await victim.answer(Buffer.from(request, 'latin1'));
      assert.match(answer, /^HTTP\/1\.1 (101|4\d\d) |^$/);
    }),
    hunt(100),
  );
  await victim.isUnharmed({ descriptors });
});

/** Those of the close frames among the server's frames, which are not masked. */
function closeCodes(bytes: Buffer): number[] {
  const codes: number[] = [];
  for (let at = 0; at + 2 <= bytes.length;) {
    const [opcode, form] = [bytes[at] & 0x0f, bytes[at + 1]];
    const head = form === 126 ? 4 : form === 127 ? 10 : 2;
    if (at + head > bytes.length) break;
    const length =
      form === 126 ? bytes.readUInt16BE(at + 2) : form === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : form;
    if (opcode === 8 && length >= 2) codes.push(bytes.readUInt16BE(at + head));
    at += head + length;
  }
  return codes;
}
