import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';
import type { RelayConfig } from '../../../shared/options/relay-options.ts';
import { mintToken } from '../../auth/mint.ts';
import { relayConfig } from '../../relay-config.fixture.ts';
import { startRelay, type Relay } from '../../relay.ts';
import { dataOf, field, RawStream } from './otto.fixture.ts';

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'keruta-otto-'));
const SECRET = 'a secret of a test that is long enough';
const PAGE = 'https://panel.example';
const EVIL = 'https://evil.example';
const BASE = '/api/v1/log-streaming';
const json = { 'content-type': 'application/json' };
let open: Relay;
let guarded: Relay;

async function start(name: string, more: Partial<RelayConfig>): Promise<Relay> {
  return startRelay(relayConfig({ dataDir: join(folder, name), ...more }));
}

before(async () => {
  open = await start('open', {});
  guarded = await start('guarded', { authTokens: ['right'], jwtSecret: SECRET, corsOrigins: [PAGE] });
  const headers = { ...json, authorization: 'Bearer right' };
  for (const relay of [open, guarded]) {
    await fetch(`${relay.url}/api/v1/tasks/t/logs`, {
      method: 'POST',
      headers,
      body: '[{"level":"INFO","message":"one"},{"level":"WARN","message":"two"}]',
    });
    await fetch(`${relay.url}/api/v1/tasks/t/status`, { method: 'PUT', headers, body: '{"status":"COMPLETED"}' });
  }
});
after(async () => {
  await Promise.all([open.stop(), guarded.stop()]);
  rmSync(folder, { recursive: true });
});

describe('who may read a stream', () => {
  const cookie = 'a=b; access_token=right';
  const rows: [what: string, headers: Record<string, string>, query: string, status: number][] = [
    ['a token', { authorization: 'Bearer right' }, '', 200],
    ['an API key', { 'x-api-key': 'right' }, '', 200],
    ['a token in the query', {}, '?token=right', 200],
    ["the cookie of Otto's clients", { cookie }, '', 200],
    ['the cookie, from a page that is listed', { cookie, origin: PAGE }, '', 200],
    ['the cookie, from another page', { cookie, origin: EVIL }, '', 401],
    ['a wrong cookie', { cookie: 'access_token=wrong' }, '', 401],
    ['a wrong token', { authorization: 'Bearer wrong' }, '', 401],
    ['a wrong token, but the right cookie', { authorization: 'Bearer wrong', cookie }, '', 200],
    ['nothing', {}, '', 401],
  ];
  for (const [what, headers, query, status] of rows) {
    test(what, async () => {
      for (const path of ['stream/t', 'logs/t/stream', 'stream', 'pipelines/t/progress', 'health']) {
        const stream = await RawStream.open(`${guarded.url}${BASE}/${path}${query}`, headers);
        assert.equal(stream.response.statusCode, status, path);
        if (status === 401) assert.match(String(dataOf([`data: ${await stream.whole()}`]).details), /^UNAUTHORIZED: /);
        stream.close();
      }
    });
  }
});

test('a page that is listed may read with credentials, and others may not', async () => {
  const ask = async (origin: string): Promise<(string | undefined)[]> => {
    const headers = { authorization: 'Bearer right', origin };
    const stream = await RawStream.open(`${guarded.url}${BASE}/stream/t`, headers);
    stream.close();
    const { headers: answered } = stream.response;
    return ['access-control-allow-origin', 'access-control-allow-credentials'].map((name) =>
      answered[name]?.toString(),
    );
  };
  assert.deepEqual(await ask(PAGE), [PAGE, 'true']);
  assert.notEqual((await ask(EVIL))[0], EVIL);
  const preflight = await fetch(`${guarded.url}${BASE}/stream/t`, {
    method: 'OPTIONS',
    headers: {
      origin: PAGE,
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'Last-Event-ID',
    },
  });
  assert.match(preflight.headers.get('access-control-allow-headers') ?? '', /Last-Event-ID/);
});

test('a stream ends with the token that it was opened with', async () => {
  // Clocks may differ by a minute.
  const now = Date.now() - 60_000;
  const about = { secret: SECRET, subject: 'test', scopes: ['read'] as const, audience: [], now };
  const token = await mintToken({ ...about, lifeMs: 2000 });
  const stream = await RawStream.open(`${guarded.url}${BASE}/stream?token=${token}`);
  assert.equal(stream.response.statusCode, 200);
  await assert.rejects(stream.rest());
});

test('curl shows the events as they are written down', async () => {
  const { stdout } = await run('curl', ['-sNi', `${open.url}${BASE}/logs/t/stream?level=warning`]);
  const [head, ...events] = stdout.split(/\r?\n\r?\n/);
  for (const header of [
    /^HTTP\/1\.1 200 OK/,
    /^content-type: text\/event-stream$/m,
    /^cache-control: no-cache$/m,
    /^x-accel-buffering: no$/m,
  ])
    assert.match(head.replaceAll('\r', ''), header);
  assert.deepEqual(
    events.map((event) => event.replaceAll(/"timestamp":"[^"]+"|"clientId":"[^"]+"|id: .*/g, '…')),
    [
      'event: log\ndata: {"workerId":"127.0.0.1","taskId":"t",…,"level":"WARN","source":"agent","message":"two","metadata":{}}\n…',
      'event: complete\ndata: {"message":"로그 스트림이 완료되었습니다",…,…}\n…',
      '',
    ],
  );
});

test('HEAD is answered with the headers alone', async () => {
  for (const path of ['stream', 'stream/t', 'pipelines/t/progress']) {
    const answer = await fetch(`${open.url}${BASE}/${path}`, { method: 'HEAD' });
    assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, 'text/event-stream'], path);
  }
});

test('an EventSource gets the lines by name or as messages, then the end, and stays away', async (t) => {
  for (const [query, name] of [
    ['', 'log'],
    ['?unnamed=true', 'message'],
  ] as const) {
    const source = new EventSource(`${open.url}${BASE}/stream/t${query}`);
    t.after(() => source.close());
    const lines: unknown[] = [];
    const completed = new Promise((resolve) => source.addEventListener('complete', resolve));
    const closed = new Promise<unknown>((resolve) => {
      source.addEventListener('error', ({ code }) => {
        if (source.readyState === EventSource.CLOSED) resolve(code);
      });
    });
    source.addEventListener(name, ({ data }: { data: string }) =>
      lines.push((JSON.parse(data) as { message: string }).message),
    );
    await completed;
    assert.equal(await closed, 204);
    assert.deepEqual(lines, ['one', 'two']);
  }
});

test('health counts who is connected, over all transports', async () => {
  const active = async (): Promise<unknown> => {
    const answer = await fetch(`${open.url}${BASE}/health`);
    const { status, timestamp, activeConnections } = (await answer.json()) as Record<string, unknown>;
    assert.deepEqual([answer.status, status, typeof timestamp], [200, 'healthy', 'string']);
    return activeConnections;
  };
  const settled = async (count: number): Promise<void> => {
    while ((await active()) !== count);
  };
  await settled(0);
  const streams = await Promise.all(
    ['stream', 'stream/u', 'pipelines/u/progress'].map((path) => RawStream.open(`${open.url}${BASE}/${path}`)),
  );
  assert.equal(await active(), 3);
  const metrics = await (await fetch(`${open.url}/metrics`)).text();
  assert.match(metrics, /^keruta_connections\{kind="sse"\} 3$/m);
  const socket = new WebSocket(`${open.url.replace('http', 'ws')}/ws/tasks/u`);
  await once(socket, 'open');
  assert.equal(await active(), 4);
  socket.terminate();
  for (const stream of streams) stream.close();
  await settled(0);
});

test('who comes back again and again leaves nothing behind', async () => {
  for (let round = 0; round < 50; round++) {
    const streams = await Promise.all(
      ['stream', 'stream/t', 'stream/u', 'pipelines/u/progress'].map((path) =>
        RawStream.open(`${open.url}${BASE}/${path}`),
      ),
    );
    for (const stream of streams) stream.close();
  }
  const left = async (): Promise<unknown> => {
    const { activeConnections } = (await (await fetch(`${open.url}${BASE}/health`)).json()) as Record<string, unknown>;
    return activeConnections;
  };
  while ((await left()) !== 0);
  // A reader that was asking the store leaves when it has the answer.
  const metrics = async (): Promise<string> => (await fetch(`${open.url}/metrics`)).text();
  while (!/^keruta_readers 0$/m.test(await metrics()));
});

test('a client that does not read hinders nobody, and gets everything when it does', async () => {
  const count = 20_000;
  const slow = await RawStream.open(`${open.url}${BASE}/stream/flood`);
  const quick = await RawStream.open(`${open.url}${BASE}/stream/flood`);
  for (let first = 0; first < count; first += 2000) {
    const body = JSON.stringify(
      Array.from({ length: 2000 }, (_, i) => ({ level: 'INFO', message: `${first + i} ${'x'.repeat(200)}` })),
    );
    const answer = await fetch(`${open.url}/api/v1/tasks/flood/logs`, { method: 'POST', headers: json, body });
    assert.equal(answer.status, 201);
  }
  const status = await fetch(`${open.url}/api/v1/tasks/flood/status`, {
    method: 'PUT',
    headers: json,
    body: '{"status":"COMPLETED"}',
  });
  assert.equal(status.status, 200);
  const expected = Array.from({ length: count }, (_, i) => i);
  const numbers = (events: string[][]): number[] =>
    events
      .filter((event) => field(event, 'event') === 'log')
      .map((event) => parseInt(String(dataOf(event).message), 10));
  assert.deepEqual(numbers(await quick.rest()), expected);
  assert.deepEqual(numbers(await slow.rest()), expected);
});

test('a client that half-closes is gone', async () => {
  const { hostname, port } = new URL(open.url);
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
  socket.write(`GET ${BASE}/stream/quiet HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
  await once(socket, 'data');
  socket.end();
  socket.resume();
  await once(socket, 'end');
});

test('a stop of the relay ends the streams', async () => {
  const relay = await start('stopped', {});
  const streams = await Promise.all(
    ['stream', 'stream/u', 'pipelines/u/progress'].map((path) => RawStream.open(`${relay.url}${BASE}/${path}`)),
  );
  await relay.stop();
  for (const stream of streams) {
    const last = (await stream.rest()).at(-1);
    assert.match(last?.[0] ?? '', /^retry: \d+$/);
  }
});
