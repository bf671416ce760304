import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { pino } from 'pino';
import { WebSocket } from 'ws';
import { KerutaError } from '../shared/errors.ts';
import { SUBPROTOCOL } from '../shared/wire.ts';
import { Auth } from './auth/auth.ts';
import type { Credentials } from './auth/credentials.ts';
import { doorOf } from './auth/door.fixture.ts';
import type { Principal } from './auth/principal.ts';
import { Sessions } from './auth/sessions.ts';
import { Health } from './health.ts';
import { startServer, type Server } from './server.ts';
import { StoreError } from './store/store.ts';

/** Takes as long to look at some tokens as their requests last. */
class SlowAuth extends Auth {
  looking = Promise.withResolvers<undefined>();
  looked = Promise.withResolvers<undefined>();

  override async authenticate(request: Credentials): Promise<Principal | undefined> {
    if (request.url?.endsWith('?slow') !== true) return super.authenticate(request);
    this.looking.resolve(undefined);
    await once((request as Credentials & Pick<IncomingMessage, 'socket'>).socket, 'close');
    // After what hears of the close later than this.
    setImmediate(this.looked.resolve, undefined);
    return super.authenticate(request);
  }
}

const auth = new SlowAuth({ tokens: ['secret-token'] });
const sessions = new Sessions();
const logged: string[] = [];
let counted = 0;
const taken: string[] = [];
let healthy = true;
let server: Server;
let port: string;

before(async () => {
  const finding = (): { healthy: boolean; message: string } => ({ healthy, message: healthy ? 'fine' : 'broken' });
  server = await startServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    door: doorOf(auth),
    sessions,
    limits: {
      connect: () => () => undefined,
      request: () => {
        counted++;
      },
    },
    health: new Health({ store: () => ({ healthy: true, message: '' }), disk: finding, eventLoop: finding }),
    routes: (api) => {
      api.get('/fine', () => ({ fine: true }));
      api.post('/echo', (request) => request.body);
      api.get('/missing', () => {
        throw new KerutaError('TASK_NOT_FOUND', 'There is no task "x".');
      });
      api.get('/bug', () => {
        throw new TypeError('a secret detail');
      });
      api.get('/store', () => Promise.reject(new StoreError('other', 'the store is busy')));
    },
    agents: {
      accept: (socket, _wire, task) => {
        taken.push(`agent ${task} ${socket.protocol}`);
        socket.send('hello');
      },
      stop: () => Promise.resolve(),
    },
    serveViewer: (socket, { taskId }) => {
      taken.push(`viewer ${taskId} ${socket.protocol}`);
      socket.send('hello');
    },
    log: pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) }),
    version: '1.2.3',
  });
  port = new URL(server.url).port;
});

after(() => server.stop());

const headers = { authorization: 'Bearer secret-token' };

async function get(
  path: string,
  init: RequestInit = {},
): Promise<{
  status: number;
  body: {
    error?: { code: string; message: string; status: number; hint: string };
    meta?: { version: string; timestamp: string };
  };
}> {
  const response = await fetch(server.url + path, { headers, ...init });
  return { status: response.status, body: (await response.json()) as never };
}

const errors: [string, string, RequestInit, number, string, RegExp][] = [
  ['a path that is not there', '/nowhere?token=secret-token', {}, 404, 'NOT_FOUND', /GET \/nowhere\./],
  ['no token', '/api/v1/fine', { headers: {} }, 401, 'UNAUTHORIZED', /required/],
  ['a wrong token', '/api/v1/fine?token=other', { headers: {} }, 401, 'UNAUTHORIZED', /not known/],
  ['an error of ours', '/api/v1/missing', {}, 404, 'TASK_NOT_FOUND', /"x"/],
  ['an error of the store', '/api/v1/store', {}, 500, 'DATABASE_ERROR', /busy/],
  ['a bug, without its details', '/api/v1/bug', {}, 500, 'INTERNAL_SERVER_ERROR', /^The relay failed\.$/],
  ['a path that is not well encoded', '/api/v1/%zz', {}, 400, 'INVALID_INPUT', /%zz/],
  [
    'a body that is no JSON',
    '/api/v1/echo',
    { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body: '{' },
    400,
    'INVALID_INPUT',
    /JSON/,
  ],
  [
    'a body over 1 MiB',
    '/api/v1/echo',
    {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: `"${'x'.repeat(1024 * 1024)}"`,
    },
    413,
    'TOO_LARGE',
    /large/,
  ],
  ['a WebSocket address without an upgrade', '/ws/tasks/t1', {}, 426, 'UPGRADE_REQUIRED', /WebSocket/],
];

for (const [what, path, init, status, code, message] of errors) {
  test(`answers with the error's JSON: ${what}`, async () => {
    const answer = await get(path, init);
    assert.equal(answer.status, status);
    assert.equal(answer.body.error?.code, code);
    assert.equal(answer.body.error.status, status);
    assert.match(answer.body.error.message, message);
    assert.ok(answer.body.error.hint.length > 0);
    assert.equal(answer.body.meta?.version, '1.2.3');
  });
}

test('what is no HTTP, and headers without end, get the same JSON', async () => {
  assert.match(await raw('NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400 [^]*"code":"INVALID_INPUT"/);
  assert.match(
    await raw(`GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1\.1 413 [^]*"code":"TOO_LARGE"/,
  );
});

test('health is open to all, answers HEAD, and is 503 when something is wrong', async () => {
  for (const path of ['/health', '/health/ready', '/health/live']) {
    assert.equal((await get(path, { headers: {} })).status, 200);
    assert.equal((await fetch(server.url + path, { method: 'HEAD' })).status, 200);
  }
  healthy = false;
  while ((await get('/health')).status === 200);
  const statuses = ['/health', '/health/ready', '/health/live'].map(async (path) => (await get(path)).status);
  assert.deepEqual(await Promise.all(statuses), [503, 503, 200]);
});

for (const { path, count } of [
  { path: '/health', count: 0 },
  { path: '/api/v1/fine', count: 1 },
  { path: '/api/v1/nowhere', count: 1 },
  { path: '/nowhere', count: 1 },
  { path: '/docs', count: 1 },
  { path: '/openapi.json', count: 1 },
]) {
  test(`counts ${count} towards what a client may ask: ${path}`, async () => {
    const before = counted;
    await (await fetch(server.url + path, { headers })).text();
    assert.equal(counted - before, count);
  });
}

test('another upgrade than to a WebSocket is answered as if it were none', async () => {
  const answer = await raw(
    'GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\r\n',
  );
  assert.match(answer, /^HTTP\/1\.1 200 /);
});

const accepted: [string, string, string[], string][] = [
  ['an agent', '/ws/tasks/t1', [SUBPROTOCOL], `agent t1 ${SUBPROTOCOL}`],
  ['an agent of several versions', '/ws/tasks/t2', ['keruta.chunk.v9', SUBPROTOCOL], `agent t2 ${SUBPROTOCOL}`],
  ['a viewer', '/ws/tasks/t3?token=secret-token', [], 'viewer t3 '],
  ['a viewer with a protocol of its own', '/ws/tasks/t4', ['json'], 'viewer t4 json'],
  ['a task id with everything in it', `/ws/tasks/${encodeURIComponent('a/b c?%ñ漢')}`, [], 'viewer a/b c?%ñ漢 '],
];

for (const [what, path, protocols, expected] of accepted) {
  test(`upgrades ${what}`, async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, { headers });
    await once(socket, 'message');
    assert.equal(taken.at(-1), expected);
    socket.terminate();
  });
}

const refusedUpgrades: [string, string, string[], Record<string, string>, number, string, RegExp][] = [
  ['an agent without a token', '/ws/tasks/t1', [SUBPROTOCOL], {}, 401, 'UNAUTHORIZED', /required/],
  ['a viewer with a wrong token', '/ws/tasks/t1?token=x', [], {}, 401, 'UNAUTHORIZED', /not known/],
  ['an agent with a wrong token', '/ws/tasks/t1?token=x', [SUBPROTOCOL], {}, 401, 'UNAUTHORIZED', /not known/],
  ['another path', '/ws/agents', [], headers, 404, 'NOT_FOUND', /\/ws\/tasks\/\{taskId\}/],
  ['no task', '/ws/tasks/', [], headers, 400, 'INVALID_INPUT', /is empty/],
  ['a task id of control characters', '/ws/tasks/a%00b', [], headers, 400, 'INVALID_INPUT', /control/],
  ['a task id of 257 bytes', `/ws/tasks/${'x'.repeat(257)}`, [], headers, 400, 'INVALID_INPUT', /257 bytes/],
  ['a badly encoded task id', '/ws/tasks/%ff', [], headers, 400, 'INVALID_INPUT', /encoded/],
  [
    'an agent of another version',
    '/ws/tasks/t1',
    ['keruta.chunk.v2'],
    headers,
    426,
    'UNSUPPORTED_PROTOCOL',
    /keruta\.chunk\.v2.*keruta\.chunk\.v1/,
  ],
];

for (const [what, path, protocols, more, status, code, message] of refusedUpgrades) {
  test(`refuses an upgrade with HTTP and JSON: ${what}`, async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, { headers: more });
    socket.on('error', () => undefined);
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
    const body = JSON.parse(Buffer.concat(await response.toArray()).toString()) as {
      error: { code: string; message: string };
    };
    assert.equal(response.statusCode, status);
    assert.equal(body.error.code, code);
    assert.match(body.error.message, message);
  });
}

test('who has gone while the token was looked at is served no more, and not kept in mind', async (t) => {
  const add = t.mock.method(sessions, 'add');
  const socket = connect(Number(port), '127.0.0.1');
  socket.write('GET /api/v1/fine?slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-token\r\n\r\n');
  await auth.looking.promise;
  socket.destroy();
  await auth.looked.promise;
  assert.equal(add.mock.callCount(), 0);
});

test('an upgrade that is no WebSocket handshake gets the JSON too', async () => {
  const answer = await raw(
    'GET /ws/tasks/t1?token=secret-token HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  );
  assert.match(answer, /^HTTP\/1\.1 400 [^]*"code":"INVALID_INPUT"[^]*Sec-WebSocket-Key/);
});

test('no token is ever logged', () => {
  assert.ok(logged.some((line) => line.includes('/nowhere')));
  assert.deepEqual(
    logged.filter((line) => line.includes('secret-token') || line.includes('token=')),
    [],
  );
});

test('a stop closes viewers with the code for a restart', async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/tasks/t1`, { headers });
  await once(socket, 'message');
  const closed = once(socket, 'close');
  await server.stop();
  assert.equal((await closed)[0], 4102);
});

/** Sends bytes on a bare connection; resolves to all that came back. */
async function raw(request: string): Promise<string> {
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(request);
  return Buffer.concat(await socket.toArray()).toString();
}
