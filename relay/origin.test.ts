import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { after, before, test } from 'node:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import type { RelayConfig } from '../shared/options/relay-options.ts';
import { SUBPROTOCOL } from '../shared/wire.ts';
import { relayConfig } from './relay-config.fixture.ts';
import { startRelay } from './relay.ts';

type Relay = Awaited<ReturnType<typeof startRelay>>;

const folder = mkdtempSync(join(tmpdir(), 'keruta-origin-'));
type Name = 'open' | 'guarded' | 'listed' | 'any';
const relays: Partial<Record<Name, Relay>> = {};

async function start(name: Name, more: Partial<RelayConfig>): Promise<void> {
  relays[name] = await startRelay(relayConfig({ dataDir: join(folder, name), ...more }));
}

const EVIL = 'https://evil.example';
const PANEL = 'https://panel.example';
const LOCAL = 'http://localhost:3000';
const TOKENS = { authTokens: ['right'] };

before(async () => {
  await start('open', {});
  await start('guarded', TOKENS);
  await start('listed', { ...TOKENS, corsOrigins: [PANEL] });
  await start('any', { ...TOKENS, corsOrigins: ['*'] });
});
after(async () => {
  await Promise.all(Object.values(relays).map((relay) => relay.stop()));
  rmSync(folder, { recursive: true });
});

/** The status of an upgrade: 101, or that of its refusal. */
async function upgrade(
  relay: Relay | undefined,
  protocol: string | undefined,
  headers: Record<string, string>,
): Promise<number> {
  const socket = new WebSocket(`${relay?.url.replace('http', 'ws')}/ws/tasks/t`, protocol ?? [], { headers });
  socket.on('error', () => undefined);
  const refused = once(socket, 'unexpected-response') as Promise<[unknown, IncomingMessage]>;
  const status = await Promise.race([
    once(socket, 'open').then(() => 101),
    refused.then(([, answer]) => answer.statusCode ?? 0),
  ]);
  socket.terminate();
  return status;
}

const right = { authorization: 'Bearer right' };
const cookie = { cookie: 'keruta_token=right' };
const own = (name: Name): string => relays[name]?.url ?? '';

type Headers = Record<string, string>;
const upgrades: [what: string, relay: Name, protocol: string | undefined, headers: () => Headers, status: number][] = [
  ['a program may read an open relay', 'open', undefined, () => ({}), 101],
  [
    "a page of this machine may read an open relay's logs",
    'open',
    undefined,
    () => ({ origin: 'http://localhost:3000' }),
    101,
  ],
  ['a foreign page may not read an open relay', 'open', undefined, () => ({ origin: EVIL }), 403],
  ['a page without an origin may not either', 'open', undefined, () => ({ origin: 'null' }), 403],
  [
    'a foreign page may not call itself the relay',
    'open',
    undefined,
    () => ({ origin: 'http://evil.example', host: 'evil.example' }),
    403,
  ],
  ['a foreign page with a token may read', 'guarded', undefined, () => ({ origin: EVIL, ...right }), 101],
  [
    'a foreign page with a wrong token may not',
    'guarded',
    undefined,
    () => ({ origin: EVIL, authorization: 'Bearer x' }),
    401,
  ],
  [
    'a foreign page gets nothing by a cookie but the chance to send a token',
    'guarded',
    undefined,
    () => ({ origin: EVIL, cookie: 'keruta_token=wrong' }),
    101,
  ],
  [
    'a cookie counts for the relay’s own page',
    'guarded',
    undefined,
    () => ({ origin: own('guarded'), cookie: 'keruta_token=wrong' }),
    401,
  ],
  ['a listed page may connect', 'listed', undefined, () => ({ origin: PANEL, ...right }), 101],
  ['another page may not, with whatever token', 'listed', undefined, () => ({ origin: EVIL, ...right }), 403],
  ['nor one of this machine', 'listed', undefined, () => ({ origin: 'http://localhost:3000', ...right }), 403],
  ['where all may, a foreign page may', 'any', undefined, () => ({ origin: EVIL, ...right }), 101],
  ['no page may write as an agent', 'open', SUBPROTOCOL, () => ({ origin: 'http://localhost:3000' }), 403],
  ['no listed page may either', 'listed', SUBPROTOCOL, () => ({ origin: PANEL, ...right }), 403],
  ['an agent may', 'listed', SUBPROTOCOL, () => right, 101],
  ['a cookie makes no agent', 'guarded', SUBPROTOCOL, () => cookie, 401],
];
for (const [what, relay, protocol, headers, status] of upgrades) {
  test(`WebSocket: ${what}`, async () => {
    assert.equal(await upgrade(relays[relay], protocol, headers()), status);
  });
}

const requests: [
  what: string,
  relay: Name,
  method: string,
  headers: () => Headers,
  status: number,
  allowed: string | null,
][] = [
  ['a cookie is good for reading', 'guarded', 'GET', () => cookie, 200, null],
  ['also from the relay’s own page', 'guarded', 'GET', () => ({ ...cookie, origin: own('guarded') }), 200, null],
  ['not from another page', 'guarded', 'GET', () => ({ ...cookie, origin: EVIL }), 401, null],
  ['a cookie is not good for writing', 'guarded', 'POST', () => cookie, 401, null],
  ['nor for deleting', 'guarded', 'DELETE', () => ({ ...cookie, origin: own('guarded') }), 401, null],
  ['a listed page may read the answer', 'listed', 'GET', () => ({ ...right, origin: PANEL }), 200, PANEL],
  ['also that of an error', 'listed', 'GET', () => ({ origin: PANEL }), 401, PANEL],
  ['also with a cookie', 'listed', 'GET', () => ({ ...cookie, origin: PANEL }), 200, PANEL],
  ['another page may not read it', 'listed', 'GET', () => ({ ...right, origin: EVIL }), 200, null],
  ['where all may, every page may', 'any', 'GET', () => ({ ...right, origin: EVIL }), 200, '*'],
  ['but not by a cookie', 'any', 'GET', () => ({ ...cookie, origin: EVIL }), 401, '*'],
  ['a page of this machine may read what is open', 'open', 'GET', () => ({ origin: LOCAL }), 200, LOCAL],
  ['not what needs a token', 'guarded', 'GET', () => ({ ...right, origin: LOCAL }), 200, null],
  ['not where others are listed', 'listed', 'GET', () => ({ ...right, origin: LOCAL }), 200, null],
  ['a foreign page may not', 'open', 'GET', () => ({ origin: EVIL }), 403, null],
  ['a foreign page may not even send to an open relay', 'open', 'POST', () => ({ origin: EVIL }), 403, null],
  ['an open relay answers to no name of the network', 'open', 'GET', () => ({ host: 'evil.example:8080' }), 403, null],
];
for (const [what, relay, method, headers, status, allowed] of requests) {
  test(`HTTP: ${what}`, async () => {
    const path = method === 'GET' ? '/api/v1/tasks' : '/api/v1/tasks/t/logs';
    const answer = await ask(own(relay) + path, method, headers());
    assert.equal(answer.statusCode, status);
    assert.equal(answer.headers['access-control-allow-origin'] ?? null, allowed);
  });
}

test('a preflight says what the contract allows, without a token', async () => {
  const preflight = {
    origin: PANEL,
    'access-control-request-method': 'PUT',
    'access-control-request-headers': 'x-api-key',
  };
  const answer = await ask(`${own('listed')}/api/v1/tasks/t/status`, 'OPTIONS', preflight);
  assert.equal(answer.statusCode, 204);
  assert.equal(answer.headers['access-control-allow-origin'], PANEL);
  assert.equal(answer.headers['access-control-allow-credentials'], 'true');
  assert.deepEqual(words(answer.headers['access-control-allow-methods']), ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS']);
  for (const name of ['Content-Type', 'Authorization', 'X-API-Key', 'Last-Event-ID']) {
    assert.ok(words(answer.headers['access-control-allow-headers']).includes(name), name);
  }
  const foreign = await ask(`${own('listed')}/api/v1/tasks`, 'OPTIONS', { ...preflight, origin: EVIL });
  assert.equal(foreign.headers['access-control-allow-origin'], undefined);
});

test('a page of this machine gets leave to read an open relay, and for nothing else', async () => {
  const preflight = { 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' };
  const answer = await ask(`${own('open')}/api/v1/tasks`, 'OPTIONS', { ...preflight, origin: LOCAL });
  assert.equal(answer.statusCode, 204);
  assert.equal(answer.headers['access-control-allow-origin'], LOCAL);
  assert.equal(answer.headers['access-control-allow-methods'], 'GET');
  const foreign = await ask(`${own('open')}/api/v1/tasks`, 'OPTIONS', { ...preflight, origin: EVIL });
  assert.equal(foreign.headers['access-control-allow-origin'], undefined);
});

function words(header: string | undefined): string[] {
  return (header ?? '').split(',').map((word) => word.trim());
}

/** Not by fetch, which sends no header that a browser would write itself. */
async function ask(url: string, method: string, headers: Headers): Promise<IncomingMessage> {
  const [answer] = (await once(request(url, { method, headers, agent: false }).end(), 'response')) as [IncomingMessage];
  answer.resume();
  return answer;
}
