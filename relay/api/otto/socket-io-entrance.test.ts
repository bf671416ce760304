import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { KerutaError } from '../../../shared/errors.ts';
import { Auth } from '../../auth/auth.ts';
import { doorOf } from '../../auth/door.fixture.ts';
import { TrustedProxies } from '../../auth/client-address.ts';
import { Failures } from '../../auth/failures.ts';
import { Origins } from '../../auth/origins.ts';
import { Principal } from '../../auth/principal.ts';
import { Sessions } from '../../auth/sessions.ts';
import { TestRun, until } from '../../reading.fixture.ts';
import { serveSocketIo, TestClient } from './socket-io/socket-io.fixture.ts';

const TOKEN = 'secret-token-of-the-test';
const closed = { door: doorOf(new Auth({ tokens: [TOKEN] })) };

describe('a token is taken', () => {
  const ways = {
    'from handshake.auth': { auth: { token: TOKEN } },
    'from handshake.auth with its scheme': { auth: { token: `Bearer ${TOKEN}` } },
    'from the header Authorization': { extraHeaders: { authorization: `Bearer ${TOKEN}` } },
    'from the header X-API-Key': { extraHeaders: { 'x-api-key': TOKEN } },
    'from the query': { query: { token: TOKEN } },
    'from handshake.auth, if the header has another': { auth: { token: TOKEN }, extraHeaders: { 'x-api-key': 'no' } },
  };
  for (const [way, options] of Object.entries(ways)) {
    for (const transport of ['websocket', 'polling']) {
      test(`${way}, over ${transport}`, async (t) => {
        const { url } = await serveSocketIo(t, closed);
        const client = new TestClient(t, url, { ...options, transports: [transport] });
        await client.saw('connected');
      });
    }
  }
});

describe('a cookie is taken from the relay’s own pages', () => {
  const extraHeaders = { cookie: `access_token=${TOKEN}` };
  test('when they poll, which says nothing of whose they are', async (t) => {
    const { url } = await serveSocketIo(t, closed);
    await new TestClient(t, url, { extraHeaders, transports: ['polling'] }).saw('connected');
  });
  test('when they want a WebSocket', async (t) => {
    const { url } = await serveSocketIo(t, closed);
    await new TestClient(t, url, { extraHeaders: { ...extraHeaders, origin: url } }).saw('connected');
  });
  for (const transport of ['websocket', 'polling']) {
    test(`and not from others, over ${transport}`, async (t) => {
      const { url } = await serveSocketIo(t, closed);
      const headers = { ...extraHeaders, origin: 'https://evil.example' };
      const client = new TestClient(t, url, { extraHeaders: headers, transports: [transport] });
      assert.match(String((await client.saw('connection_error')).details), /^UNAUTHORIZED: /);
    });
  }
});

describe('who brings no good token is told, and disconnected for good', () => {
  const ways = {
    none: {},
    'an empty one': { auth: { token: '' } },
    'a wrong one': { auth: { token: 'wrong' } },
    'a wrong one in a header': { extraHeaders: { authorization: 'Bearer wrong' } },
    'a number': { auth: { token: 42 } },
    'an object': { auth: { token: { toString: TOKEN } } },
    'a very long one': { auth: { token: 'x'.repeat(9000) } },
    'one by another name': { auth: { __proto__: { token: TOKEN }, Token: TOKEN } },
  };
  for (const [what, options] of Object.entries(ways)) {
    for (const transport of ['websocket', 'polling']) {
      test(`${what}, over ${transport}`, async (t) => {
        const served = await serveSocketIo(t, closed);
        await (await new TestRun(served, 't1').open()).write('secret');
        const client = new TestClient(t, served.url, { ...options, transports: [transport], reconnection: true });
        client.socket.on('connect', () => client.socket.emit('subscribe-to-logs', { taskId: 't1' }));
        const reason = await new Promise((resolve) => client.socket.once('disconnect', resolve));
        const { message, details } = await client.saw('connection_error');
        assert.equal(typeof message, 'string');
        assert.match(String(details), /^UNAUTHORIZED: /);
        assert.equal(reason, 'io server disconnect');
        assert.deepEqual(
          client.events.map(({ event }) => event),
          ['connection_error'],
        );
        await until(() => served.api.connections() === 0);
      });
    }
  }
});

test('after too many wrong tokens nobody is heard from that address', async (t) => {
  const proxies = new TrustedProxies(['127.0.0.1']);
  const door = doorOf(new Auth({ tokens: [TOKEN] }), { failures: new Failures(2), proxies });
  const from = { 'x-forwarded-for': '203.0.113.9' };
  const { url } = await serveSocketIo(t, { door });
  for (let attempt = 0; attempt < 2; attempt++) {
    const client = new TestClient(t, url, { auth: { token: 'wrong' }, extraHeaders: from });
    await client.saw('connection_error');
  }
  const response = await fetch(`${url}/socket.io/?EIO=4&transport=polling`, {
    headers: { ...from, authorization: `Bearer ${TOKEN}` },
  });
  assert.equal(response.status, 429);
  assert.ok(Number(response.headers.get('retry-after')) >= 1);
});

test('a token that may not read gets no logs, no progress and no numbers', async (t) => {
  const limited = new Principal('key:1', [{ scope: 'read', tasks: ['mine-*'] }]);
  const sender = new Principal('key:2', [{ scope: 'ingest' }]);
  const find = (token: string): Principal | undefined => ({ limited, sender })[token];
  const door = doorOf(new Auth({ keys: { configured: true, find } }));
  const served = await serveSocketIo(t, { door });
  const reads = new TestClient(t, served.url, { auth: { token: 'limited' } });
  const sends = new TestClient(t, served.url, { auth: { token: 'sender' } });
  reads.socket.emit('subscribe-to-logs', { taskId: 'mine-1' });
  reads.socket.emit('subscribe-to-logs', { taskId: 'yours-1' });
  await reads.saw('subscription_success');
  assert.match(String((await reads.saw('subscription_error')).details), /^FORBIDDEN: /);
  sends.socket.emit('subscribe-to-pipeline', { pipelineId: 'p1' });
  sends.socket.emit('get-server-stats');
  assert.match(String((await sends.saw('subscription_error')).details), /^FORBIDDEN: /);
  const { event, details } = await sends.saw('stats_error');
  assert.equal(event, 'get-server-stats');
  assert.match(String(details), /^FORBIDDEN: /);
});

test('a session ends when its token is revoked or expires', async (t) => {
  let revoked = false;
  let now = 0;
  const key = new Principal('key:1', [{ scope: 'read' }], { revoked: () => revoked });
  const jwt = new Principal('jwt:1', [{ scope: 'read' }], { expiresAt: 1000 });
  const find = (token: string): Principal | undefined => ({ key, jwt })[token];
  const sessions = new Sessions(() => now);
  const served = await serveSocketIo(t, {
    door: doorOf(new Auth({ keys: { configured: true, find } })),
    sessions,
  });
  const [revokes, expires] = ['key', 'jwt'].map((token) => new TestClient(t, served.url, { auth: { token } }));
  for (const client of [revokes, expires]) {
    client.socket.emit('subscribe-to-logs', { taskId: 't1' });
    await client.saw('subscription_success');
  }
  revoked = true;
  sessions.sweep();
  assert.equal((await revokes.saw('connection_error')).message, 'The API key has been revoked.');
  await until(() => !revokes.socket.connected);
  now = 1000;
  sessions.sweep();
  await expires.saw('connection_error');
  await until(() => served.reader.followed.readers === 0 && served.api.connections() === 0);
});

test('a subscription ends when the labels of its task are others', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const team = new Principal('key:1', [{ scope: 'read', labels: { team: 'a' } }]);
  const find = (): Principal => team;
  const served = await serveSocketIo(t, { door: doorOf(new Auth({ keys: { configured: true, find } })) });
  const run = await new TestRun(served, 't1').open({ team: 'a' });
  await run.write('for a');
  const client = new TestClient(t, served.url, { auth: { token: 'any' } });
  client.socket.emit('subscribe-to-logs', { taskId: 't1' });
  await client.saw('log-entry');
  const other = await new TestRun(served, 't1').open({ team: 'b' });
  t.mock.timers.tick(30_000);
  const error = await client.saw('subscription_error');
  assert.deepEqual([error.event, error.taskId], ['subscribe-to-logs', 't1']);
  await other.write('for b');
  await client.socket.emitWithAck('nothing');
  assert.deepEqual(client.messages, ['for a']);
  assert.equal(served.reader.followed.readers, 0);
});

test('subscribing is counted as a request, and refused as one', async (t) => {
  const asked: string[] = [];
  const limits = {
    connect: () => () => undefined,
    request: (address: string) => {
      asked.push(address);
      if (asked.length > 2) throw new KerutaError('RATE_LIMIT_EXCEEDED', 'too many');
    },
  };
  const served = await serveSocketIo(t, { limits });
  const client = new TestClient(t, served.url);
  client.socket.emit('subscribe-to-logs', { taskId: 't1' });
  client.socket.emit('subscribe-to-pipeline', { pipelineId: 'p1' });
  client.socket.emit('subscribe-to-logs', { taskId: 't2' });
  const { message, taskId } = await client.saw('subscription_error');
  assert.deepEqual({ message, taskId, asked: asked.length }, { message: 'too many', taskId: 't2', asked: 3 });
  assert.ok(client.socket.connected);
});

test('what is polled is compressed, unless that is switched off', async (t) => {
  const text = 'x'.repeat(5000);
  for (const compression of [true, false]) {
    const config = { compression, sessionTimeoutMs: undefined, maxMessageBytes: 1024 * 1024 };
    const served = await serveSocketIo(t, { config });
    await (await new TestRun(served, 't1').open()).write(text);
    const base = `${served.url}/socket.io/?EIO=4&transport=polling`;
    const opened = (await (await fetch(base)).text()).slice(1);
    const session = `${base}&sid=${(JSON.parse(opened) as { sid: string }).sid}`;
    await fetch(session, { method: 'POST', body: '40/log-streaming,' });
    // Joined is whoever has been told.
    await (await fetch(session)).text();
    await fetch(session, { method: 'POST', body: '42/log-streaming,["subscribe-to-logs",{"taskId":"t1"}]' });
    let polled = '';
    let encoding: string | null = null;
    while (!polled.includes(text)) {
      const response = await fetch(session);
      polled = await response.text();
      encoding = response.headers.get('content-encoding');
    }
    assert.equal(encoding, compression ? 'gzip' : null);
  }
});

describe('pages', () => {
  const door = (required: boolean, origins: string[]) =>
    doorOf(new Auth(required ? { tokens: [TOKEN] } : {}), { origins: new Origins(origins) });
  const rows = [
    {
      name: 'of this machine may come to an open relay',
      origin: 'http://localhost:3000',
      door: door(false, []),
      allowed: '',
    },
    { name: 'of others may not', origin: 'https://evil.example', door: door(false, []) },
    {
      name: 'that are listed may, with cookies',
      origin: 'https://a.example',
      door: door(false, ['https://a.example']),
      allowed: 'true',
    },
    {
      name: 'that are not listed may not, whatever they know',
      origin: 'https://b.example',
      door: door(true, ['https://a.example']),
    },
    {
      name: 'that must know a token may, without cookies',
      origin: 'https://b.example',
      door: door(true, []),
      allowed: '',
    },
    {
      name: 'may all, if so configured, without cookies',
      origin: 'https://b.example',
      door: door(true, ['*']),
      allowed: '',
    },
  ];
  for (const { name, origin, door, allowed } of rows) {
    test(name, async (t) => {
      const { url } = await serveSocketIo(t, { door });
      const headers = { origin };
      const opened = await fetch(`${url}/socket.io/?EIO=4&transport=polling`, { headers });
      const preflight = await fetch(`${url}/socket.io/`, {
        method: 'OPTIONS',
        headers: { ...headers, 'access-control-request-method': 'POST' },
      });
      const websocket = new TestClient(t, url, { extraHeaders: headers, auth: { token: TOKEN } });
      const outcome = new Promise((resolve) => {
        websocket.socket.once('connect_error', () => resolve('refused'));
        websocket.socket.once('connected', () => resolve('connected'));
      });
      const grants = [opened, preflight].map((one) => ({
        origin: one.headers.get('access-control-allow-origin'),
        credentials: one.headers.get('access-control-allow-credentials') ?? '',
        vary: one.headers.get('vary'),
      }));
      const granted = { origin: allowed === undefined ? null : origin, credentials: allowed ?? '', vary: 'Origin' };
      assert.deepEqual(grants, [granted, granted]);
      assert.equal(opened.status, allowed === undefined ? 403 : 200);
      assert.equal(preflight.status, 204);
      assert.equal(await outcome, allowed === undefined ? 'refused' : 'connected');
    });
  }

  test('can read nothing by a script of another page', async (t) => {
    const { url } = await serveSocketIo(t);
    assert.equal((await fetch(`${url}/socket.io/?EIO=4&transport=polling&j=0`)).status, 400);
  });
});

describe('connections are counted', () => {
  function counted(t: TestContext) {
    const open = { now: 0, ever: 0 };
    const limits = {
      connect: () => {
        open.now++;
        open.ever++;
        let released = false;
        return () => {
          if (!released) open.now--;
          released = true;
        };
      },
      request: () => undefined,
    };
    return serveSocketIo(t, { ...closed, limits }).then((served) => ({ ...served, open }));
  }

  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    test(`once, and released, with ${transports.join(' and ')}`, async (t) => {
      const { url, open, api } = await counted(t);
      const client = new TestClient(t, url, { transports, auth: { token: TOKEN } });
      if (transports.length === 2) {
        await new Promise((resolve) => client.socket.io.engine.once('upgrade', resolve));
      }
      await client.saw('connected');
      assert.deepEqual([open, api.connections()], [{ now: 1, ever: 1 }, 1]);
      client.socket.disconnect();
      await until(() => open.now === 0 && api.connections() === 0);
    });
  }

  for (const path of [
    '/socket.io/?EIO=3&transport=polling',
    '/socket.io/?EIO=4&transport=telepathy',
    '/socket.io/?EIO=4&transport=websocket',
    '/socket.io/?EIO=4',
    '/socket.io',
    '/socket.io/socket.io.js',
  ]) {
    test(`and released when nothing begins: ${path}`, async (t) => {
      const { url, open } = await counted(t);
      assert.equal((await fetch(url + path)).status, 400);
      assert.equal((await fetch(url + path, { method: 'POST', body: 'x' })).status, 400);
      await until(() => open.now === 0);
    });
  }

  test('and refused beyond a limit, over both transports, until there is room', async (t) => {
    let room = 1;
    const limits = {
      connect: () => {
        if (room === 0) throw new KerutaError('RATE_LIMIT_EXCEEDED', 'too many', { retryAfterMs: 3000 });
        room--;
        return () => {
          room++;
        };
      },
      request: () => undefined,
    };
    const { url } = await serveSocketIo(t, { limits });
    const first = new TestClient(t, url);
    await first.saw('connected');
    const polled = await fetch(`${url}/socket.io/?EIO=4&transport=polling`);
    assert.deepEqual(
      [polled.status, polled.headers.get('retry-after'), await polled.json()],
      [429, '3', { code: 'RATE_LIMIT_EXCEEDED', message: 'too many' }],
    );
    const second = new TestClient(t, url, { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 20 });
    await new Promise((resolve) => second.socket.io.once('reconnect_error', resolve));
    first.socket.disconnect();
    await second.saw('connected');
  });
});
