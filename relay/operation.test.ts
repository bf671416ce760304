import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import Database from 'better-sqlite3';
import { WebSocket } from 'ws';
import type { RelayConfig } from '../shared/options/relay-options.ts';
import { FakeAgent } from './ingest.fixture.ts';
import { relayConfig } from './relay-config.fixture.ts';
import { storeFile } from './data-folder.ts';
import { startRelay, type Relay } from './relay.ts';

/** What an operator asks of a running relay: limits, debugging, and going away. */
let folder: string;
let relays = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keruta-operation-'));
});

after(() => rm(folder, { recursive: true, force: true }));

async function start(t: TestContext, more: Partial<RelayConfig> = {}): Promise<{ relay: Relay; ws: string }> {
  const relay = await startRelay(relayConfig({ dataDir: join(folder, String(++relays)), ...more }));
  t.after(() => relay.stop());
  return { relay, ws: relay.url.replace('http', 'ws') };
}

/** Seen as coming from elsewhere: limits by address leave this machine alone. */
const PROXIED: Partial<RelayConfig> = { trustProxy: ['127.0.0.1', '::1'] };
const FROM = { 'x-forwarded-for': '192.0.2.7' };

test('too many requests of an address are answered with 429 and when to come back, those of others are not', async (t) => {
  const { relay } = await start(t, { ...PROXIED, addressRequestsPerMinute: 3 });
  const get = (headers: Record<string, string>) => fetch(`${relay.url}/api/v1/tasks`, { headers });
  for (let i = 0; i < 3; i++) assert.equal((await get(FROM)).status, 200);
  const refused = await get(FROM);
  assert.equal(refused.status, 429);
  assert.match(refused.headers.get('retry-after') ?? '', /^(1\d|20)$/);
  const { error } = (await refused.json()) as { error: { code: string; message: string } };
  assert.deepEqual(
    [error.code, error.message],
    ['RATE_LIMIT_EXCEEDED', 'From this address came more than 3 requests a minute.'],
  );
  assert.equal((await get({ 'x-forwarded-for': '192.0.2.8' })).status, 200);
  assert.equal((await get({})).status, 200);
  assert.equal((await fetch(`${relay.url}/health`, { headers: FROM })).status, 200, 'probes are not counted');
});

test('too many posted lines are refused as a whole, with when to come again', async (t) => {
  const { relay } = await start(t, { taskLinesPerSecond: 100 });
  const body = JSON.stringify(Array.from({ length: 1000 }, () => ({ level: 'INFO', message: 'm' })));
  const headers = { 'content-type': 'application/json' };
  const post = () => fetch(`${relay.url}/api/v1/tasks/t/logs`, { method: 'POST', headers, body });
  assert.equal((await post()).status, 201);
  const refused = await post();
  assert.equal(refused.status, 429);
  assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]$/);
  const count = await fetch(`${relay.url}/api/v1/tasks/t/logs/count`);
  assert.deepEqual(await count.json(), { count: 1000 });
});

const upgrades: { what: string; given: Partial<RelayConfig>; status: number; code: string }[] = [
  {
    what: 'connects a minute',
    given: { addressConnectsPerMinute: 2 },
    status: 429,
    code: 'RATE_LIMIT_EXCEEDED',
  },
  { what: 'connections of an address', given: { addressConnections: 2 }, status: 429, code: 'RATE_LIMIT_EXCEEDED' },
  { what: 'connections of a task', given: { taskConnections: 2 }, status: 429, code: 'RATE_LIMIT_EXCEEDED' },
  { what: 'connections in all', given: { maxConnections: 2 }, status: 503, code: 'WEBSOCKET_CONNECTION_FAILED' },
];

for (const { what, given, status, code } of upgrades) {
  test(`too many ${what} are answered with ${status}`, async (t) => {
    const { ws } = await start(t, { ...PROXIED, ...given });
    for (let i = 0; i < 2; i++) await once(new WebSocket(`${ws}/ws/tasks/t`, { headers: FROM }), 'open');
    const third = new WebSocket(`${ws}/ws/tasks/t`, { headers: FROM });
    const [, response] = (await once(third, 'unexpected-response')) as [unknown, NodeJS.ReadableStream & Answer];
    assert.equal(response.statusCode, status);
    assert.ok(Number(response.headers['retry-after']) >= 1);
    let body = '';
    for await (const text of response) body += String(text);
    assert.equal((JSON.parse(body) as { error: { code: string } }).error.code, code);
  });
}

interface Answer {
  statusCode: number;
  headers: Record<string, string>;
}

test('two thousand silent connections are bounded, and others are served meanwhile', async (t) => {
  const { relay } = await start(t);
  const { hostname, port } = new URL(relay.url);
  const silent: Socket[] = [];
  t.after(() => silent.forEach((socket) => socket.destroy()));
  let open = 0;
  for (let i = 0; i < 2000; i += 100) {
    const some = Array.from({ length: 100 }, () => connect(Number(port), hostname));
    silent.push(...some);
    for (const socket of some) {
      socket.on('error', () => undefined);
      socket.on('close', () => open--);
    }
    await Promise.all(some.map((socket) => once(socket, 'connect')));
    open += 100;
    // What half of them begin to say is no request yet.
    for (const socket of some.slice(50)) if (socket.writable) socket.write('GET / HTTP/1.1\r\nx: ');
    assert.equal((await fetch(`${relay.url}/health/live`)).status, 200);
  }
  while (open > 1000) await new Promise((resolve) => setImmediate(resolve));
});

test('a body that is larger than allowed is refused', async (t) => {
  const { relay } = await start(t, { maxMessageBytes: 2000 });
  const post = (bytes: number) =>
    fetch(`${relay.url}/api/v1/tasks/t/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ level: 'INFO', message: 'm'.repeat(bytes) }),
    });
  assert.equal((await post(1900)).status, 201);
  assert.equal((await post(2001)).status, 413);
});

test('a relay that stops says so to load balancers first, and goes on serving until they have noticed', async (t) => {
  const { relay, ws } = await start(t, { drainDelayMs: 500 });
  const agent = await FakeAgent.ready(ws);
  const ready = async () => fetch(`${relay.url}/health/ready`);
  assert.equal((await ready()).status, 200);
  const stopped = relay.stop();
  const report = await ready();
  assert.equal(report.status, 503);
  const { checks } = (await report.json()) as { checks: Record<string, { healthy: boolean; message: string }> };
  assert.deepEqual([checks.accepting.message, checks.store.healthy], ['the relay is stopping', true]);
  agent.chunk(0, 3);
  await agent.acked(3);
  await stopped;
});

test('a stop waits for a slow store, and everybody gets the answer that is owed', async (t) => {
  const { relay, ws } = await start(t);
  const agent = await FakeAgent.ready(ws);
  const other = new Database(storeFile(join(folder, String(relays))));
  t.after(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  agent.chunk(0, 3);
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ level: 'INFO', message: 'm' });
  const posted = fetch(`${relay.url}/api/v1/tasks/t/logs`, { method: 'POST', headers, body });
  let waiting = 0;
  while (!(waiting > 0.2)) {
    const text = await (await fetch(`${relay.url}/metrics`)).text();
    waiting = Number(/^keruta_store_waiting_seconds (\S+)$/m.exec(text)?.[1]);
  }
  const stopped = relay.stop();
  // Longer than requests have when nothing is owed.
  setTimeout(() => other.exec('COMMIT'), 3000);
  await agent.acked(3);
  await agent.hears('drain');
  assert.equal((await agent.closes()).code, 4102);
  assert.equal((await posted).status, 201);
  await stopped;
});

test('agents and viewers are told when to come back', async (t) => {
  const { relay, ws } = await start(t);
  const agent = await FakeAgent.ready(ws);
  const viewer = new WebSocket(`${ws}/ws/tasks/t`);
  const said: { type: string; retryAfterMs?: number }[] = [];
  viewer.on('message', (data: Buffer) => said.push(JSON.parse(data.toString()) as { type: string }));
  await once(viewer, 'open');
  const closed = once(viewer, 'close');
  await relay.stop();
  const { retryAfterMs } = await agent.hears('drain');
  assert.ok(retryAfterMs >= 100 && retryAfterMs <= 300);
  assert.equal((await agent.closes()).code, 4102);
  assert.equal((await closed)[0], 4102);
  const drain = said.find(({ type }) => type === 'drain');
  assert.ok(drain?.retryAfterMs !== undefined && drain.retryAfterMs >= 100);
});

const ADMIN = { authorization: 'Bearer the-admin-of-this-relay' };
const DEBUG: Partial<RelayConfig> = { debug: true, authTokens: ['the-admin-of-this-relay'] };

test('nothing can be debugged unless that is switched on', async (t) => {
  const { relay } = await start(t, { ...DEBUG, debug: false });
  assert.equal((await fetch(`${relay.url}/debug/gc`, { method: 'POST', headers: ADMIN })).status, 404);
});

const debugging: { what: string; path: string; method?: string; headers?: object; status: number }[] = [
  { what: 'a profile without a token', path: '/debug/pprof/profile', headers: {}, status: 401 },
  { what: 'a profile of no time', path: '/debug/pprof/profile?seconds=0', status: 400 },
  { what: 'a profile of too long a time', path: '/debug/pprof/profile?seconds=61', status: 400 },
  { what: 'a profile of a strange time', path: '/debug/pprof/profile?seconds=1e9', status: 400 },
  { what: 'a profile of two times', path: '/debug/pprof/profile?seconds=1&seconds=2', status: 400 },
  { what: 'a heap without a token', path: '/debug/pprof/heap', headers: {}, status: 401 },
  { what: 'garbage collection by GET', path: '/debug/gc', status: 404 },
];

test('debugging refuses what it must', async (t) => {
  const { relay } = await start(t, DEBUG);
  for (const { what, path, method = 'GET', headers = ADMIN, status } of debugging) {
    const answer = await fetch(relay.url + path, { method, headers: headers as Record<string, string> });
    assert.equal(answer.status, status, what);
  }
});

test('an admin collects garbage, profiles and takes the heap', async (t) => {
  const { relay } = await start(t, DEBUG);
  const collected = await fetch(`${relay.url}/debug/gc`, { method: 'POST', headers: ADMIN });
  const { before: bytesBefore, after: bytesAfter } = (await collected.json()) as { before: number; after: number };
  assert.ok(bytesAfter > 0 && bytesBefore > 0);

  const profiling = fetch(`${relay.url}/debug/pprof/profile?seconds=1`, { headers: ADMIN });
  const refused = await fetch(`${relay.url}/debug/gc`, { method: 'POST', headers: ADMIN });
  const profiled = await profiling;
  assert.deepEqual([profiled.status, refused.status].toSorted(), [200, 503], 'one at a time');
  const profile = (await profiled.json()) as { nodes: unknown[]; startTime: number };
  assert.ok(profile.nodes.length > 0);
  assert.match(profiled.headers.get('content-disposition') ?? '', /\.cpuprofile"$/);

  const heap = await fetch(`${relay.url}/debug/pprof/heap`, { headers: ADMIN });
  assert.match(heap.headers.get('content-disposition') ?? '', /\.heapsnapshot"$/);
  const { snapshot } = JSON.parse(await heap.text()) as { snapshot: { node_count: number } };
  assert.ok(snapshot.node_count > 1000);
});
