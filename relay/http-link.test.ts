import assert from 'node:assert/strict';
import fastify, { type FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterEach, beforeEach, test } from 'node:test';
import { MAX_CHUNK_BYTES } from '../shared/chunk.ts';
import { encodeLinkFrame, LINK_CONTENT_TYPE } from '../shared/link-frames.ts';
import { newUlid } from '../shared/ulid.ts';
import { ANYBODY, Principal } from './auth/principal.ts';
import { errorBody, toKerutaError } from './http-errors.ts';
import { registerHttpLink } from './http-link.ts';
import { chunkOf, FakeStore } from './ingest.fixture.ts';
import { Ingest } from './ingest.ts';
import { allowedLimits } from './limits/limits.fixture.ts';
import { Limits } from './limits/limits.ts';

const ALICE = new Principal('alice', [{ scope: 'ingest', tasks: ['t*'] }]);
const BOB = new Principal('bob', [{ scope: 'ingest' }]);
const READER = new Principal('reader', [{ scope: 'read' }]);
const PRINCIPALS = new Map([ALICE, BOB, READER, ANYBODY].map((one) => [one.name, one]));

let app: FastifyInstance;
let ingest: Ingest;
let store: FakeStore;
let run: string;

beforeEach(() => {
  store = new FakeStore();
  run = newUlid(1);
  ingest = new Ingest({
    store,
    tail: { stored: () => undefined },
    disk: { state: { room: true, freeBytes: 1e9 }, full: () => undefined },
    limits: new Limits(allowedLimits()),
    windowBytes: 64 * 1024 * 1024,
    seenEveryMs: 10_000,
    onFatal: (error) => assert.fail(error),
    log: pino({ level: 'silent' }),
  });
  app = fastify();
  app.decorateRequest('caller');
  app.addHook('onRequest', (request, _reply, done) => {
    const principal = PRINCIPALS.get(request.headers.authorization ?? 'anonymous') ?? ANYBODY;
    request.caller = { principal, address: '192.0.2.1', requestId: 'r' };
    done();
  });
  app.setErrorHandler((error, _request, reply) => {
    const shown = errorBody(toKerutaError(error), { version: '0' });
    return reply.code(shown.error.status).send(shown);
  });
  registerHttpLink(app, { agents: ingest });
});

afterEach(async () => {
  await app.close();
  await ingest.stop();
});

function hello(more: object = {}): object {
  return { type: 'hello', run, ackedSeq: 0, workerId: 'w', labels: {}, agentVersion: '0', startedAt: 1, ...more };
}

interface Answer {
  status: number;
  body: unknown;
}

async function send(
  method: 'POST' | 'DELETE',
  url: string,
  given: { body?: Buffer | string; type?: string; as?: string; key?: string } = {},
) {
  const { body, type, as, key } = given;
  const answer = await app.inject({
    method,
    url,
    ...(body !== undefined && { payload: body }),
    headers: {
      ...(type !== undefined && { 'content-type': type }),
      ...(as !== undefined && { authorization: as }),
      ...(key !== undefined && { 'idempotency-key': key }),
    },
  });
  return { status: answer.statusCode, body: answer.body === '' ? undefined : answer.json<unknown>() };
}

async function open(as = 'anonymous', more: object = {}): Promise<string> {
  const { status, body } = await send('POST', '/tasks/t1/link', {
    body: JSON.stringify(hello(more)),
    type: 'application/json',
    as,
  });
  assert.equal(status, 201);
  return (body as { session: string }).session;
}

function frames(session: string, list: (Buffer | string)[], as = 'anonymous'): Promise<Answer> {
  const body = Buffer.concat(list.flatMap(encodeLinkFrame));
  return send('POST', `/tasks/t1/link/${session}`, { body, type: LINK_CONTENT_TYPE, as });
}

function codeOf({ status, body }: Answer): string {
  return `${status} ${(body as { error: { code: string } }).error.code}`;
}

/** Sockets close in a later turn. */
async function nobodyLeft(): Promise<void> {
  await new Promise(setImmediate);
  assert.equal(ingest.connections, 0);
}

test('hello is answered by ready, chunks by an ack when they are settled', async () => {
  const { status, body } = await send('POST', '/tasks/t1/link', {
    body: JSON.stringify(hello()),
    type: 'application/json',
  });
  assert.equal(status, 201);
  const { session, messages } = body as { session: string; messages: { type: string; nextSeq: number }[] };
  assert.deepEqual([messages[0].type, messages[0].nextSeq], ['ready', 0]);
  const chunks = [chunkOf(run, 0, 3), chunkOf(run, 3, 2)];
  assert.deepEqual(await frames(session, chunks), { status: 200, body: [{ type: 'ack', nextSeq: 5 }] });
  assert.deepEqual(await frames(session, []), { status: 200, body: [] });
  assert.deepEqual(await frames(session, chunks), { status: 200, body: [{ type: 'ack', nextSeq: 5 }] }, 'twice');
});

test('a refusal is answered at the next request, whose frames are judged anew', async () => {
  const session = await open();
  const refused = await frames(session, [chunkOf(run, 5, 1), chunkOf(run, 6, 1)]);
  assert.match(JSON.stringify(refused.body), /^\[\{"type":"refused","nextSeq":0,"reason":"expected"/);
  assert.deepEqual((await frames(session, [chunkOf(run, 0, 1)])).body, [{ type: 'ack', nextSeq: 1 }]);
});

test('a newer hello fences the older session, which hears so', async () => {
  const older = await open();
  const newer = await open();
  assert.equal(codeOf(await frames(older, [chunkOf(run, 0, 1)])), '409 FENCED');
  assert.equal(codeOf(await frames(older, [])), '408 IDLE');
  assert.deepEqual((await frames(newer, [chunkOf(run, 0, 1)])).body, [{ type: 'ack', nextSeq: 1 }]);
});

test('a hello that comes twice, by its key, is answered the same, and fences nobody', async () => {
  const given = { body: JSON.stringify(hello()), type: JSON_TYPE, key: 'k1' };
  const [first, together] = await Promise.all([given, given].map((one) => send('POST', '/tasks/t1/link', one)));
  const { session } = first.body as { session: string };
  assert.deepEqual(together, first);
  assert.deepEqual((await frames(session, [chunkOf(run, 0, 1)])).body, [{ type: 'ack', nextSeq: 1 }]);
  assert.deepEqual(await send('POST', '/tasks/t1/link', given), first, 'late');
  assert.deepEqual((await frames(session, [chunkOf(run, 1, 1)])).body, [{ type: 'ack', nextSeq: 2 }]);
  await send('DELETE', `/tasks/t1/link/${session}`);
  assert.deepEqual(await send('POST', '/tasks/t1/link', given), first, 'when it is over');
  assert.equal(codeOf(await frames(session, [])), '408 IDLE');
  await nobodyLeft();
  const ofAnother = await send('POST', '/tasks/t1/link', { ...given, as: 'alice' });
  assert.notDeepEqual(ofAnother, first);
  assert.equal(codeOf(await send('POST', '/tasks/t1/link', { ...given, key: 'ä b' })), '400 INVALID_INPUT');
});

test('what is closed is gone, and closing it again does no harm', async () => {
  const session = await open();
  assert.equal((await send('DELETE', `/tasks/t1/link/${session}`)).status, 204);
  assert.equal(codeOf(await send('DELETE', `/tasks/t1/link/${session}`)), '408 IDLE');
  assert.equal(codeOf(await frames(session, [])), '408 IDLE');
  await nobodyLeft();
});

const JSON_TYPE = 'application/json';
const TOO_LONG = encodeLinkFrame(Buffer.alloc(MAX_CHUNK_BYTES + 65 * 1024));
const hellos: [what: string, given: Parameters<typeof send>[2], task: string, code: string][] = [
  ['not JSON', { body: '{', type: JSON_TYPE }, 't1', '400 INVALID_MESSAGE_FORMAT'],
  ['empty', { body: '', type: JSON_TYPE }, 't1', '400 INVALID_MESSAGE_FORMAT'],
  ['another message', { body: '{"type":"progress","nextSeq":1}', type: JSON_TYPE }, 't1', '400 INVALID_MESSAGE_FORMAT'],
  [
    'a member that is wrong',
    { body: '{"type":"hello","run":"x"}', type: JSON_TYPE },
    't1',
    '400 INVALID_MESSAGE_FORMAT',
  ],
  ['no body', {}, 't1', '400 INVALID_INPUT'],
  ['frames', { body: Buffer.from('x'), type: LINK_CONTENT_TYPE }, 't1', '400 INVALID_INPUT'],
  ['text', { body: 'x', type: 'text/html' }, 't1', '400 INVALID_INPUT'],
  ['too much', { body: `{"a":"${'x'.repeat(300 * 1024)}"}`, type: JSON_TYPE }, 't1', '413 TOO_LARGE'],
  ['a task id that can not be', { body: '{}', type: JSON_TYPE }, 'a%00b', '400 INVALID_INPUT'],
  ['a token that may not write', { body: '{}', type: JSON_TYPE, as: 'reader' }, 't1', '403 FORBIDDEN'],
  ['a token for other tasks', { body: '{}', type: JSON_TYPE, as: 'alice' }, 'x1', '403 FORBIDDEN'],
];
for (const [what, given, task, code] of hellos) {
  test(`instead of a hello, ${what}: ${code}, and nothing stays`, async () => {
    assert.equal(codeOf(await send('POST', `/tasks/${task}/link`, given)), code);
    await nobodyLeft();
  });
}

const bodies: [what: string, body: () => Buffer | string, type: string, code: string][] = [
  ['cut within a frame', () => Buffer.from([9, 0, 0, 0, 1, 1]), LINK_CONTENT_TYPE, '400 INVALID_INPUT'],
  ['a frame of no kind', () => Buffer.from([0, 0, 0, 0, 7]), LINK_CONTENT_TYPE, '400 INVALID_INPUT'],
  ['a frame that is far too long', () => Buffer.concat(TOO_LONG), LINK_CONTENT_TYPE, '400 INVALID_INPUT'],
  ['JSON', () => '[]', JSON_TYPE, '400 INVALID_INPUT'],
  [
    'a second hello',
    () => Buffer.concat(encodeLinkFrame(JSON.stringify(hello()))),
    LINK_CONTENT_TYPE,
    '400 INVALID_MESSAGE_FORMAT',
  ],
  [
    'a message that is none',
    () => Buffer.concat(encodeLinkFrame('{}')),
    LINK_CONTENT_TYPE,
    '400 INVALID_MESSAGE_FORMAT',
  ],
];
for (const [what, body, type, code] of bodies) {
  test(`instead of frames, ${what}: ${code}, and the session ends`, async () => {
    const session = await open();
    assert.equal(codeOf(await send('POST', `/tasks/t1/link/${session}`, { body: body(), type })), code);
    assert.equal(codeOf(await frames(session, [])), '408 IDLE');
    await nobodyLeft();
  });
}

test("a session is nobody else's, and of one task", async () => {
  const session = await open('alice');
  assert.equal(codeOf(await frames(session, [], 'bob')), '408 IDLE');
  assert.equal(codeOf(await send('POST', `/tasks/t2/link/${session}`, { as: 'alice' })), '408 IDLE');
  assert.equal(codeOf(await send('POST', '/tasks/t1/link/nonsense')), '408 IDLE');
  assert.equal((await frames(session, [], 'alice')).status, 200);
});

test('requests of one session do not overtake each other: the second is refused, the first is settled', async () => {
  const session = await open();
  const answers = await Promise.all([frames(session, [chunkOf(run, 0, 1)]), frames(session, [chunkOf(run, 1, 1)])]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 503]);
});

test('after half a minute of silence a session is forgotten', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const session = await open();
  t.mock.timers.tick(29_000);
  assert.equal((await frames(session, [])).status, 200);
  t.mock.timers.tick(29_000);
  assert.equal((await frames(session, [])).status, 200);
  t.mock.timers.tick(31_000);
  assert.equal(codeOf(await frames(session, [])), '408 IDLE');
  await nobodyLeft();
});
