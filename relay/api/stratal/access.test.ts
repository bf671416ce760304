import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';
import { mintToken } from '../../auth/mint.ts';
import type { Scope } from '../../auth/principal.ts';
import { until } from '../../reading.fixture.ts';
import { openRelay, SocketClient, SseClient, TestWriter, type TestRelay } from './stratal.fixture.ts';

const SECRET = 'a secret of a test that is long enough';
const PATHS = [
  '/logs/stream/status',
  '/logs/stream/sse',
  '/logs/job-runs/p',
  '/logs/task-runs/a',
  '/logs/job-runs/p/download',
  '/logs/system',
  '/logs/type/task',
];

interface Granted {
  tasks?: string[];
  labels?: Record<string, string>;
  /** ms before now. */
  since?: number;
  lifeMs?: number;
}

async function bearer(scopes: Scope[], granted: Granted = {}): Promise<Record<string, string>> {
  const { since = 0, lifeMs = 600_000, ...grant } = granted;
  const about = { subject: 'test', audience: [], lifeMs, now: Date.now() - since };
  return { authorization: `Bearer ${await mintToken({ secret: SECRET, scopes, ...grant, ...about })}` };
}

/** The answer to an upgrade that was refused. */
async function refusal(url: string, headers: Record<string, string> = {}): Promise<number | undefined> {
  const socket = new WebSocket(url.replace('http', 'ws'), { headers });
  socket.on('error', () => undefined);
  const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  answer.destroy();
  return answer.statusCode;
}

describe('a relay that wants tokens', () => {
  let opened: TestRelay;
  let clean: () => Promise<void>;
  before(async () => {
    opened = await openRelay({ after: (end) => (clean = end) }, { jwtSecret: SECRET });
    const ingest = (await bearer(['ingest'])).authorization.slice('Bearer '.length);
    const writers = [
      await TestWriter.open(opened.relay.url, 'a', { pipelineId: 'p', token: ingest }),
      await TestWriter.open(opened.relay.url, 'b', { pipelineId: 'p', token: ingest, labels: { team: 'red' } }),
    ];
    for (const [i, writer] of writers.entries()) await writer.write(`secret of ${'ab'[i]}`);
    for (const writer of writers) writer.close();
  });
  after(() => clean());

  for (const path of PATHS) {
    test(`${path} is for nobody without a token, nor with one that does not read; the error is in Stratal's words`, async () => {
      for (const [headers, status, error] of [
        [{}, 401, /^A token is required\.$/],
        [{ authorization: 'Bearer wrong' }, 401, /./],
        [await bearer(['ingest']), 403, /^The token does not grant read\.$/],
      ] as const) {
        const answer = await fetch(opened.api + path, { headers });
        const body = (await answer.json()) as { error: string };
        assert.deepEqual([answer.status, Object.keys(body)], [status, ['error']], path);
        assert.match(body.error, error);
        assert.equal(answer.headers.has('www-authenticate'), status === 401);
      }
    });
  }

  test('a WebSocket is for nobody without a token; with one that does not read it is closed at once', async (t) => {
    const url = `${opened.api}/logs/stream/ws`;
    assert.deepEqual([await refusal(url), await refusal(url, { authorization: 'Bearer wrong' })], [401, 401]);
    const client = new SocketClient(t, `${url}?from=start`, await bearer(['ingest']));
    assert.deepEqual((await once(client.socket, 'close')).map(String), ['4003', 'The token does not grant read.']);
    assert.deepEqual(client.frames, []);
  });

  const SEEING: { who: string; grant: Granted; seen: string[] }[] = [
    { who: 'all tasks', grant: {}, seen: ['secret of a', 'secret of b'] },
    { who: 'one task', grant: { tasks: ['a'] }, seen: ['secret of a'] },
    { who: 'tasks with a label', grant: { labels: { team: 'red' } }, seen: ['secret of b'] },
    { who: 'other tasks', grant: { tasks: ['x*'] }, seen: [] },
  ];
  for (const { who, grant, seen } of SEEING) {
    test(`who may read ${who} sees those on every way, and nothing of the others`, async (t) => {
      const headers = await bearer(['read'], grant);
      const ask = async (path: string): Promise<Response> => fetch(opened.api + path, { headers });
      type Page = { logs: { message: string }[]; pagination: { total?: number } };
      for (const path of ['/logs/job-runs/p', '/logs/type/task']) {
        const page = (await (await ask(path)).json()) as Page;
        const texts = page.logs.map(({ message }) => message).sort();
        assert.deepEqual([texts, page.pagination.total ?? seen.length], [seen, seen.length]);
      }
      const text = await (await ask('/logs/job-runs/p/download')).text();
      assert.deepEqual(text.match(/secret of \w/g) ?? [], seen);
      const socket = new SocketClient(t, `${opened.api}/logs/stream/ws?from=start`, headers);
      const events = new SseClient(t, `${opened.api}/logs/stream/sse?from=start`, headers);
      await Promise.all([socket.saw(1 + seen.length), events.saw('log', seen.length), events.saw('connected')]);
      assert.deepEqual(
        socket.messages.slice(1).map(({ message }) => message),
        seen,
      );
      assert.deepEqual(events.texts, seen);
    });
  }

  test('a token may stand in the address, as browsers need it', async (t) => {
    const { authorization } = await bearer(['read']);
    const query = `from=start&token=${authorization.slice('Bearer '.length)}`;
    await new SocketClient(t, `${opened.api}/logs/stream/ws?${query}`).saw(3);
    await new SseClient(t, `${opened.api}/logs/stream/sse?${query}`).saw('log', 2);
  });

  test('who may read some tasks does not learn which job runs others listen to', async (t) => {
    const [all, some] = [await bearer(['read']), await bearer(['read'], { tasks: ['mine'] })];
    const listening = ['mine', 'theirs'].map(
      (job) => new SocketClient(t, `${opened.api}/logs/stream/ws?job_run_id=${job}`, all),
    );
    await Promise.all(listening.map((one) => one.saw(1)));
    const jobs = async (headers: Record<string, string>): Promise<string[]> => {
      const answer = await fetch(`${opened.api}/logs/stream/status`, { headers });
      return Object.keys(((await answer.json()) as { connections: { jobs: object } }).connections.jobs);
    };
    assert.deepEqual([await jobs(all), await jobs(some)], [['mine', 'theirs'], ['mine']]);
  });

  test('a stream ends with its token: an EventSource comes back once, is told, and stays away', async (t) => {
    // Clocks that are a minute apart are forgiven.
    const headers = await bearer(['read'], { since: 60_000, lifeMs: 2000 });
    const socket = new SocketClient(t, `${opened.api}/logs/stream/ws`, headers);
    const events = new SseClient(t, `${opened.api}/logs/stream/sse`, headers);
    await Promise.all([socket.saw(1), events.saw('connected')]);
    await until(() => socket.closed !== undefined && events.source.readyState === EventSource.CLOSED);
    assert.deepEqual([socket.closed, events.errors.at(-1)], [4001, 401]);
  });
});

test("who comes too often is told so in Stratal's words, and when to come back", async (t) => {
  const { api } = await openRelay(t, {
    trustProxy: ['127.0.0.1'],
    addressRequestsPerMinute: 2,
    addressConnections: 1,
  });
  const headers = { 'x-forwarded-for': '192.0.2.7' };
  const first = await fetch(`${api}/logs/stream/sse`, { headers });
  const second = await fetch(`${api}/logs/stream/sse`, { headers });
  const third = await fetch(`${api}/logs/system`, { headers });
  for (const refused of [second, third]) {
    assert.equal(refused.status, 429);
    assert.deepEqual(Object.keys((await refused.json()) as object), ['error']);
    assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/);
  }
  await first.body?.cancel();
});

const ORIGIN = 'https://viewer.example';
const PREFLIGHT = {
  origin: ORIGIN,
  'access-control-request-method': 'GET',
  'access-control-request-headers': 'authorization',
};

test('where every page may come, OPTIONS is answered 200 and every answer says so', async (t) => {
  const { api } = await openRelay(t, { jwtSecret: SECRET, corsOrigins: ['*'] });
  for (const path of [...PATHS, '/logs/stream/ws']) {
    for (const headers of [PREFLIGHT, {}]) {
      const answer = await fetch(api + path, { method: 'OPTIONS', headers });
      assert.deepEqual(
        [answer.status, answer.headers.get('access-control-allow-origin'), await answer.text()],
        [200, '*', ''],
      );
      assert.match(answer.headers.get('access-control-allow-methods') ?? '', /GET/);
      assert.match(answer.headers.get('access-control-allow-headers') ?? '', /Authorization.*Last-Event-ID/);
    }
  }
  const headers = { origin: ORIGIN, ...(await bearer(['read'])) };
  for (const path of PATHS) {
    const answer = await fetch(api + path, { headers });
    assert.deepEqual([answer.status, answer.headers.get('access-control-allow-origin')], [200, '*'], path);
    await answer.body?.cancel();
    const refused = await fetch(api + path, { headers: { origin: ORIGIN } });
    assert.deepEqual([refused.status, refused.headers.get('access-control-allow-origin')], [401, '*'], path);
    await refused.text();
  }
});

test('where no page was let in, OPTIONS lets none in, and a page of elsewhere gets nothing', async (t) => {
  const { api } = await openRelay(t);
  const answer = await fetch(`${api}/logs/stream/sse`, { method: 'OPTIONS', headers: PREFLIGHT });
  assert.deepEqual([answer.status, answer.headers.get('access-control-allow-origin')], [403, null]);
  const own = await fetch(`${api}/logs/stream/sse`, { method: 'OPTIONS' });
  assert.deepEqual([own.status, own.headers.get('access-control-allow-origin')], [200, null]);
  const stream = await fetch(`${api}/logs/stream/sse`, { headers: { origin: ORIGIN } });
  assert.deepEqual([stream.status, Object.keys((await stream.json()) as object)], [403, ['error']]);
  assert.equal(await refusal(`${api}/logs/stream/ws`, { origin: ORIGIN }), 403);
});
