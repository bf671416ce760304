import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, describe, test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { WebSocket } from 'ws';
import type { RelayConfig } from '../shared/options/relay-options.ts';
import { SUBPROTOCOL } from '../shared/wire.ts';
import { createKey, revokeKeys } from './auth/keys.ts';
import { mintToken } from './auth/mint.ts';
import { FakeAgent } from './ingest.fixture.ts';
import { relayConfig } from './relay-config.fixture.ts';
import { startRelay, type Relay } from './relay.ts';

const SECRET = 'a secret of thirty-two bytes, and more';
const HOUR = 3_600_000;
const folder = mkdtempSync(join(tmpdir(), 'keruta-security-'));
const running = new Set<Relay>();
after(() => rmSync(folder, { recursive: true }));
afterEach(async () => {
  for (const relay of running) await relay.stop();
  running.clear();
});

async function start(name: string, more: Partial<RelayConfig> = {}): Promise<Relay & { ws: string }> {
  const relay = await startRelay(relayConfig({ dataDir: join(folder, name), ...more }));
  running.add(relay);
  return { ...relay, ws: relay.url.replace('http', 'ws') };
}

const minted = (more: Partial<Parameters<typeof mintToken>[0]> = {}): Promise<string> =>
  mintToken({
    secret: SECRET,
    audience: [],
    subject: 'alice',
    scopes: ['read'],
    lifeMs: HOUR,
    now: Date.now(),
    ...more,
  });
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

interface Answer {
  status: number;
  code?: string;
  headers: Headers;
}

async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init);
  const text = await response.text();
  const { error } = (text.startsWith('{') ? JSON.parse(text) : {}) as { error?: { code: string } };
  return { status: response.status, code: error?.code, headers: response.headers };
}

describe('each token may do what it is for, and no more', () => {
  const doors: [door: string, (relay: Relay & { ws: string }, token: string) => Promise<number>][] = [
    ['lists tasks', async ({ url }, token) => (await ask(`${url}/api/v1/tasks`, { headers: bearer(token) })).status],
    [
      'reads build-1',
      async ({ url }, token) => (await ask(`${url}/api/v1/tasks/build-1/logs`, { headers: bearer(token) })).status,
    ],
    [
      'reads other',
      async ({ url }, token) => (await ask(`${url}/api/v1/tasks/other/logs`, { headers: bearer(token) })).status,
    ],
    [
      'posts to build-1',
      async ({ url }, token) => {
        const headers = { ...bearer(token), 'content-type': 'application/json' };
        const body = JSON.stringify({ level: 'INFO', message: 'm' });
        return (await ask(`${url}/api/v1/tasks/build-1/logs`, { method: 'POST', headers, body })).status;
      },
    ],
    [
      'deletes build-1',
      async ({ url }, token) =>
        (
          await ask(`${url}/api/v1/tasks/build-1/logs?before=2000-01-01T00:00:00Z`, {
            method: 'DELETE',
            headers: bearer(token),
          })
        ).status,
    ],
    ['is an agent of build-1', ({ ws }, token) => upgraded(`${ws}/ws/tasks/build-1`, token)],
    ['is an agent of other', ({ ws }, token) => upgraded(`${ws}/ws/tasks/other`, token)],
  ];
  const tokens: [what: string, token: () => Promise<string>, answers: number[]][] = [
    ['admin', () => minted({ scopes: ['admin'] }), [200, 200, 200, 201, 200, 101, 101]],
    ['read', () => minted({ scopes: ['read'] }), [200, 200, 200, 403, 403, 403, 403]],
    ['ingest', () => minted({ scopes: ['ingest'] }), [403, 403, 403, 201, 403, 101, 101]],
    ['read of build-*', () => minted({ tasks: ['build-*'] }), [200, 200, 403, 403, 403, 403, 403]],
    [
      'ingest of build-*',
      () => minted({ scopes: ['ingest'], tasks: ['build-*'] }),
      [403, 403, 403, 201, 403, 101, 403],
    ],
    ['nothing', () => minted({ scopes: [] }), [403, 403, 403, 403, 403, 403, 403]],
  ];
  let relay: Relay & { ws: string };
  before(async () => {
    relay = await startRelay(relayConfig({ dataDir: join(folder, 'scopes'), jwtSecret: SECRET })).then((one) => ({
      ...one,
      ws: one.url.replace('http', 'ws'),
    }));
    for (const task of ['build-1', 'other']) {
      const agent = await FakeAgent.ready(relay.ws, { task, headers: bearer(await minted({ scopes: ['admin'] })) });
      agent.chunk(0, 1);
      await agent.acked(1);
      agent.socket.terminate();
    }
  });
  after(() => relay.stop());
  for (const [what, token, answers] of tokens) {
    for (const [at, [door, go]] of doors.entries()) {
      test(`a token for ${what} ${door}: ${answers[at]}`, async () => {
        assert.equal(await go(relay, await token()), answers[at]);
      });
    }
  }
});

/** The status of an agent's upgrade. */
async function upgraded(url: string, token: string): Promise<number> {
  const socket = new WebSocket(url, SUBPROTOCOL, { headers: bearer(token) });
  socket.on('error', () => undefined);
  const refused = once(socket, 'unexpected-response') as Promise<[unknown, IncomingMessage]>;
  const status = await Promise.race([
    once(socket, 'open').then(() => 101),
    refused.then(([, answer]) => answer.statusCode ?? 0),
  ]);
  socket.terminate();
  return status;
}

test('a key that is made counts within seconds; one that is revoked ends the agent, the viewer and the next request', async () => {
  const { url, ws } = await start('revoked', { authTokens: ['master'] });
  const dataDir = join(folder, 'revoked');
  const { text, id } = await createKey(dataDir, { name: 'ci', scopes: ['ingest', 'read'] }, Date.now());
  while ((await ask(`${url}/api/v1/tasks`, { headers: { 'x-api-key': text } })).status !== 200);
  const agent = await FakeAgent.ready(ws, { headers: bearer(text) });
  const viewer = new WebSocket(`${ws}/ws/tasks/t?token=${text}`);
  await once(viewer, 'message');
  const gone = once(viewer, 'close');
  await revokeKeys(dataDir, [id]);
  assert.equal((await agent.closes()).code, 4001);
  const [code, reason] = (await gone) as [number, Buffer];
  assert.equal(code, 4001);
  assert.match(reason.toString(), /revoked/);
  assert.equal((await ask(`${url}/api/v1/tasks`, { headers: { 'x-api-key': text } })).status, 401);
});

test('the first key closes a relay that was open, and its last does not open it again', async () => {
  const { url, ws } = await start('closing');
  assert.equal((await ask(`${url}/api/v1/tasks`)).status, 200);
  const agent = await FakeAgent.ready(ws);
  const viewer = new WebSocket(`${ws}/ws/tasks/t`);
  await once(viewer, 'message');
  const gone = once(viewer, 'close');
  const { id } = await createKey(join(folder, 'closing'), { name: 'ci', scopes: ['read'] }, Date.now());
  while ((await ask(`${url}/api/v1/tasks`)).status === 200);
  assert.equal((await agent.closes()).code, 4001, 'also to those who are in');
  assert.equal((await gone)[0], 4001);
  await revokeKeys(join(folder, 'closing'), [id]);
  assert.equal((await ask(`${url}/api/v1/tasks`)).status, 401);
  await [...running][0].stop();
  const again = await start('closing');
  assert.equal((await ask(`${again.url}/api/v1/tasks`)).status, 401);
});

test('who tries tokens is slowed down, by the address behind a trusted proxy', async () => {
  const { url } = await start('tries', { authTokens: ['right'], authFailuresPerMinute: 3, trustProxy: ['127.0.0.1'] });
  const from = (address: string, token: string): Promise<Answer> =>
    ask(`${url}/api/v1/tasks`, { headers: { ...bearer(token), 'x-forwarded-for': address } });
  for (let i = 0; i < 3; i++) assert.equal((await from('203.0.113.1', `wrong${i}`)).status, 401);
  const refused = await from('203.0.113.1', 'right');
  assert.equal(refused.status, 429);
  assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/);
  assert.equal((await from('203.0.113.2', 'right')).status, 200);
});

test('a relay whose key set can’t be had starts, and says that it can’t check', async () => {
  const { url } = await start('jwks-down', { jwks: 'http://127.0.0.1:1/jwks.json' });
  const { privateKey } = await generateKeyPair('ES256');
  const token = await new SignJWT({ scope: 'read' })
    .setProtectedHeader({ alg: 'ES256' })
    .setExpirationTime('1h')
    .sign(privateKey);
  const answer = await ask(`${url}/api/v1/tasks`, { headers: bearer(token) });
  assert.deepEqual([answer.status, answer.code], [503, 'AUTH_UNAVAILABLE']);
});

const exposed: [
  what: string,
  given: Partial<RelayConfig>,
  keys: 'with keys' | 'without keys',
  start: 'starts' | 'refuses',
][] = [
  ['on all addresses', { host: '0.0.0.0' }, 'without keys', 'refuses'],
  ['on one of several', { listen: ['127.0.0.1:0', '[::]:0'] }, 'without keys', 'refuses'],
  ['by a name', { host: 'logs.example' }, 'without keys', 'refuses'],
  ['on all addresses', { host: '0.0.0.0' }, 'with keys', 'starts'],
  ['with a token', { host: '0.0.0.0', authTokens: ['x'] }, 'without keys', 'starts'],
  ['with a secret', { host: '0.0.0.0', jwtSecret: SECRET }, 'without keys', 'starts'],
  ['as it was told', { host: '0.0.0.0', insecureOpen: true }, 'without keys', 'starts'],
  ['on this machine only', { listen: ['localhost:0', `unix:${join(folder, 'k.sock')}`] }, 'without keys', 'starts'],
];
for (const [at, [what, given, keys, expected]] of exposed.entries()) {
  test(`a relay ${what}, ${keys}, ${expected}`, async () => {
    const name = `exposed-${at}`;
    if (keys === 'with keys') await createKey(join(folder, name), { name: 'ci', scopes: ['read'] }, Date.now());
    if (expected === 'starts') await start(name, given);
    else await assert.rejects(start(name, given), /without authentication.*KERUTA_RELAY_AUTH_TOKENS.*--insecure-open/);
  });
}

test('every answer has the headers that keep browsers from taking a log for a page', async () => {
  const { url } = await start('headers', { authTokens: ['x'] });
  for (const path of ['/health', '/api/v1/tasks', '/nowhere', '/%zz', '/ws/tasks/t']) {
    const { headers } = await ask(url + path);
    assert.equal(headers.get('x-content-type-options'), 'nosniff', path);
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/, path);
    assert.equal(headers.get('referrer-policy'), 'no-referrer', path);
    assert.equal(headers.get('cross-origin-resource-policy'), 'same-origin', path);
    assert.equal(headers.get('server'), null, path);
    assert.equal(headers.get('x-powered-by'), null, path);
    assert.equal(headers.get('strict-transport-security'), null, path);
  }
});

const ids: [given: string | undefined, taken: 'taken' | 'replaced'][] = [
  ['abc-DEF_1.2', 'taken'],
  ['x'.repeat(64), 'taken'],
  ['x'.repeat(65), 'replaced'],
  ['a b', 'replaced'],
  ['a"b', 'replaced'],
  [undefined, 'replaced'],
];
for (const [given, taken] of ids) {
  test(`a request's id is ${taken}: ${given?.slice(0, 20)}`, async () => {
    const { url } = await start(`id-${ids.findIndex(([one]) => one === given)}`, { authTokens: ['x'] });
    const response = await fetch(`${url}/api/v1/tasks`, {
      headers: given === undefined ? {} : { 'x-request-id': given },
    });
    const id = response.headers.get('x-request-id');
    const { meta } = (await response.json()) as { meta: { requestId: string } };
    assert.equal(meta.requestId, id);
    assert.equal(id === given, taken === 'taken');
    assert.match(id ?? '', /^[\w.-]{1,64}$/);
  });
}

test('headers of more than 16 KiB are refused, whatever token is in them', async () => {
  const { url } = await start('huge', { authTokens: ['x'] });
  assert.equal((await ask(`${url}/api/v1/tasks`, { headers: bearer('x'.repeat(17_000)) })).status, 413);
  assert.equal((await ask(`${url}/api/v1/tasks`, { headers: bearer('x'.repeat(9000)) })).status, 401);
});

describe('nothing secret is in what a relay says', () => {
  const children: ChildProcess[] = [];
  after(() => {
    for (const child of children) child.kill('SIGKILL');
  });

  test('on stdout, stderr, in answers, metrics and its data folder', async () => {
    const dataDir = join(folder, 'silent');
    const key = await createKey(dataDir, { name: 'ci', scopes: ['admin'] }, Date.now());
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [await exportJWK(publicKey)] }));
    const signed = (exp: string): Promise<string> =>
      new SignJWT({ scope: 'admin' }).setProtectedHeader({ alg: 'ES256' }).setExpirationTime(exp).sign(privateKey);
    const good = ['static-token-7Qx', key.text, await minted({ scopes: ['admin'] }), await signed('1h')];
    const bad = [
      'wrong-token-9Zk',
      `${key.text.slice(0, -1)}0`,
      await minted({ secret: 'another secret of thirty-two bytes' }),
      await signed('-1h'),
      'ünïcode-token',
    ];
    const child = spawn(process.execPath, [join(import.meta.dirname, 'cli.ts'), '--port', '0', '--data', dataDir], {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        KERUTA_RELAY_LOG_LEVEL: 'trace',
        KERUTA_RELAY_AUTH_TOKENS: 'static-token-7Qx',
        KERUTA_RELAY_JWT_SECRET: SECRET,
        KERUTA_RELAY_JWKS: join(folder, 'jwks.json'),
      },
    });
    children.push(child);
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (said += bytes.toString()));
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const url = line.replace(/^.* listens on /, '');

    const collect = async (answer: Promise<IncomingMessage>): Promise<number> => {
      const response = await answer;
      said += JSON.stringify(response.headers) + Buffer.concat(await response.toArray()).toString();
      return response.statusCode ?? 0;
    };
    const http = async (path: string, headers: Record<string, string>): Promise<IncomingMessage> => {
      const [response] = (await once(request(url + path, { headers, agent: false }).end(), 'response')) as [
        IncomingMessage,
      ];
      return response;
    };
    for (const [tokens, fine] of [[good, [200]] as const, [bad, [401]] as const]) {
      for (const token of tokens) {
        const plain = Buffer.from(token).toString('latin1');
        const encoded = encodeURIComponent(token);
        assert.ok(fine.includes((await collect(http('/api/v1/tasks', { authorization: `Bearer ${plain}` }))) as never));
        await collect(http('/api/v1/tasks', { 'x-api-key': plain }));
        await collect(http('/api/v1/tasks', { cookie: `keruta_token=${plain}` }));
        for (const path of [
          '/api/v1/tasks',
          '/api/v1/tasks/t/logs',
          '/api/v1/%zz',
          '/nowhere',
          '/metrics',
          '/ws/tasks/t',
        ]) {
          await collect(http(`${path}?token=${encoded}`, {}));
        }
        for (const protocol of [SUBPROTOCOL, undefined])
          await speak(`${url}/ws/tasks/t?token=${encoded}`, protocol, token);
        await speak(`${url}/ws/agent?token=${encoded}`, undefined, token);
        await speak(`${url}/ws/tasks/t`, undefined, token);
      }
    }
    await collect(http('/metrics', bearer('static-token-7Qx')));
    child.kill('SIGTERM');
    await once(child, 'exit');

    const secrets = [SECRET, ...good, ...bad, ...bad.map((one) => encodeURIComponent(one))];
    assert.ok(said.includes('"path":"/nowhere"'), 'it logs requests');
    for (const secret of secrets) assert.ok(!said.includes(secret), `said: ${secret.slice(0, 12)}…`);
    for (const name of readdirSync(dataDir)) {
      const content = readFileSync(join(dataDir, name)).toString('latin1');
      for (const secret of secrets) assert.ok(!content.includes(secret), `${name}: ${secret.slice(0, 12)}…`);
    }

    /** Says the token as a viewer's first message, and hears what comes back until there is an answer or the end. */
    async function speak(address: string, protocol: string | undefined, token: string): Promise<void> {
      const socket = new WebSocket(address.replace('http', 'ws'), protocol ?? []);
      socket.on('error', () => undefined);
      socket.on('message', (data: Buffer) => (said += data.toString()));
      socket.on('unexpected-response', (_request, response: IncomingMessage) => {
        void collect(Promise.resolve(response)).then(() => socket.terminate());
      });
      socket.on('open', () => {
        socket.send(JSON.stringify({ type: 'auth', token }));
        socket.send(JSON.stringify({ type: 'auth', token, extra: [token] }));
        socket.close();
      });
      said += await new Promise<string>((resolve) => {
        socket.on('close', (code, reason) => resolve(`${code} ${reason.toString()}`));
      });
    }
  });
});
