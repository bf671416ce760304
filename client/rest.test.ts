import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { relayConfig } from '../relay/relay-config.fixture.ts';
import { startRelay, type Relay } from '../relay/relay.ts';
import { createClient, type Client } from './client.ts';
import { ClientError } from './errors.ts';
import { count, exportLog, history, historyPage, stats } from './logs.ts';
import { pipeline, pipelines } from './pipelines.ts';
import { tail } from './tail.ts';
import { task, tasks, tasksPage } from './tasks.ts';

const folder = mkdtempSync(join(tmpdir(), 'keruta-rest-'));
let relay: Relay;
let client: Client;
before(async () => {
  relay = await startRelay(relayConfig({ dataDir: join(folder, 'open') }));
  client = createClient({ url: relay.url });
  await post('t', LINES);
});
after(async () => {
  await relay.stop();
  rmSync(folder, { recursive: true });
});

async function post(id: string, lines: object[]): Promise<void> {
  const response = await fetch(`${relay.url}/api/v1/tasks/${encodeURIComponent(id)}/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(lines),
  });
  assert.equal(response.status, 201, await response.text());
}

const LINES = Array.from({ length: 25 }, (_, i) => ({
  level: i % 5 === 0 ? 'ERROR' : 'INFO',
  source: 'stdout',
  message: `line ${i + 1}`,
  timestamp: new Date(Date.UTC(2026, 0, 2, 3, 4, i)).toISOString(),
  metadata: { part: { n: i % 2 } },
}));

/** An id that has to be encoded wherever it stands. */
const ID = 'a/b c?d#e%';

test('a log is read page by page, forward and backward', async () => {
  await post(ID, LINES);
  const forward: number[][] = [];
  for await (const page of history(client, ID, { size: 10 })) forward.push(page.content.map((line) => line.lineNumber));
  const numbers = LINES.map((_, i) => i + 1);
  assert.deepEqual(forward, [numbers.slice(0, 10), numbers.slice(10, 20), numbers.slice(20)]);
  const backward: number[] = [];
  for await (const page of history(client, ID, { size: 10, order: 'desc' }))
    backward.push(...page.content.map((line) => line.lineNumber));
  assert.deepEqual(backward, numbers.toReversed());
  const behind = await historyPage(client, ID, { cursor: 20, size: 2 });
  assert.deepEqual(
    behind.content.map((line) => line.message),
    ['line 21', 'line 22'],
  );
});

for (const { what, filter, lines } of [
  { what: 'levels', filter: { levels: ['ERROR', 'WARN'] }, lines: [1, 6, 11, 16, 21] },
  { what: 'any of several texts', filter: { text: ['line 7', 'LINE 8'] }, lines: [7, 8] },
  { what: 'a pattern', filter: { regex: '[57]$' }, lines: [5, 7, 15, 17, 25] },
  {
    what: 'a time as a Date and one as ms',
    filter: { since: new Date(Date.UTC(2026, 0, 2, 3, 4, 3)), until: Date.UTC(2026, 0, 2, 3, 4, 4) },
    lines: [4, 5],
  },
  { what: 'metadata', filter: { meta: { 'part.n': 1 }, text: '2' }, lines: [2, 12, 20, 22, 24] },
  { what: 'sources', filter: { sources: ['stderr'] }, lines: [] },
  { what: 'workers', filter: { workers: ['nobody'] }, lines: [] },
] as const) {
  test(`lines are picked by ${what}`, async () => {
    const wanted = structuredClone(filter) as object;
    const { content } = await historyPage(client, 't', { filter: wanted });
    assert.deepEqual(
      content.map((line) => line.lineNumber),
      lines,
    );
    assert.equal(await count(client, 't', { filter: wanted }), lines.length);
  });
}

test('statistics, tasks and pipelines are as the relay tells them', async () => {
  for (const id of ['a', 'b', 'c']) await post(id, LINES);
  const { totalLogs, levelCounts } = await stats(client, 'a');
  assert.deepEqual([totalLogs, levelCounts.ERROR, levelCounts.INFO], [25, 5, 20]);
  const listed: string[] = [];
  for await (const one of tasks(client, { size: 2 })) listed.push(one.taskId);
  assert.deepEqual(listed.slice(0, 3), ['c', 'b', 'a']);
  assert.deepEqual((await tasksPage(client, { text: 'B' })).content[0].taskId, 'b');
  assert.equal((await task(client, 'a')).runs.length, 1);
  for await (const one of pipelines(client)) assert.fail(one.pipelineId);
  await assert.rejects(pipeline(client, 'none'), { code: 'PIPELINE_NOT_FOUND', status: 404, retry: false });
});

test('a log is exported as a stream', async () => {
  const text = await exportLog(client, 't', { format: 'plain', filter: { levels: ['ERROR'] } });
  assert.equal(await text.text(), 'line 1\nline 6\nline 11\nline 16\nline 21\n');
  const packed = await exportLog(client, 't', { format: 'ndjson', gzip: true });
  const lines = gunzipSync(Buffer.from(await packed.arrayBuffer())).toString();
  assert.equal(lines.trimEnd().split('\n').length, 25);
});

for (const { what, ask, code, status } of [
  { what: 'an unknown task', ask: (c: Client) => task(c, 'none'), code: 'TASK_NOT_FOUND', status: 404 },
  {
    what: 'a bad cursor',
    ask: (c: Client) => historyPage(c, 't', { cursor: 'x!' }),
    code: 'INVALID_CURSOR',
    status: 400,
  },
  { what: 'a bad size', ask: (c: Client) => historyPage(c, 't', { size: 0 }), code: 'INVALID_INPUT', status: 400 },
  {
    what: 'a bad pattern',
    ask: (c: Client) => count(c, 't', { filter: { regex: '(' } }),
    code: 'INVALID_INPUT',
    status: 400,
  },
]) {
  test(`${what} is the relay's own error`, async () => {
    await assert.rejects(ask(client), (error) => {
      assert.ok(error instanceof ClientError);
      assert.deepEqual([error.code, error.status, error.retry, typeof error.hint], [code, status, false, 'string']);
      return true;
    });
  });
}

test('a token that is refused is asked for once more', async (t) => {
  const closed = await startRelay(relayConfig({ dataDir: join(folder, 'closed'), authTokens: ['right'] }));
  t.after(() => closed.stop());
  const { url } = closed;
  const asked: (string | undefined)[] = [];
  const renewing = createClient({
    url,
    token: (rejected) => (asked.push(rejected), rejected === 'wrong' ? 'right' : 'wrong'),
  });
  assert.deepEqual((await tasksPage(renewing)).content, []);
  assert.deepEqual(asked, [undefined, 'wrong']);
  await assert.rejects(tasksPage(createClient({ url, token: () => 'wrong' })), { code: 'UNAUTHORIZED', status: 401 });
  await assert.rejects(tasksPage(createClient({ url, token: 'wrong' })), { code: 'UNAUTHORIZED', status: 401 });
  await assert.rejects(tasksPage(createClient({ url })), { code: 'UNAUTHORIZED', status: 401 });
});

/** Something that answers as it is told. */
async function serve(t: TestContext, listener: RequestListener): Promise<Client> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return createClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, timeoutMs: 200 });
}

for (const { what, listener, expected } of [
  {
    what: 'a proxy that has no relay',
    listener: (_request, response) => void response.writeHead(502).end('<h1>Bad gateway</h1>'),
    expected: { code: 'REFUSED', status: 502, retry: true },
  },
  {
    what: 'too many requests',
    listener: (_request, response) =>
      void response
        .writeHead(429, { 'retry-after': '7' })
        .end('{"error":{"code":"RATE_LIMIT_EXCEEDED","message":"too many","hint":"wait"}}'),
    expected: { code: 'RATE_LIMIT_EXCEEDED', retry: true, retryAfterMs: 7000, hint: 'wait' },
  },
  {
    what: 'an error that is only a sentence',
    listener: (_request, response) => void response.writeHead(400).end('{"error":"job_run_id is required"}'),
    expected: { code: 'REFUSED', message: 'job_run_id is required', retry: false },
  },
  {
    what: 'an answer that is no JSON',
    listener: (_request, response) => void response.end('<h1>hello</h1>'),
    expected: { code: 'INVALID_ANSWER', status: 200 },
  },
  {
    what: 'an answer that breaks off',
    listener: (_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{"content":[');
      setImmediate(() => response.destroy());
    },
    expected: { code: 'INVALID_ANSWER', retry: true },
  },
  {
    what: 'a connection that breaks',
    listener: (request) => void request.destroy(),
    expected: { code: 'UNREACHABLE', retry: true },
  },
  { what: 'silence', listener: () => undefined, expected: { code: 'UNREACHABLE', retry: true } },
] as { what: string; listener: RequestListener; expected: Partial<ClientError> }[]) {
  test(`${what} is a ClientError`, async (t) => {
    await assert.rejects(tasksPage(await serve(t, listener)), { name: 'ClientError', ...expected });
  });
}

test('an abort ends a request with its reason, and a closed client asks nothing', async (t) => {
  const silent = await serve(t, () => undefined);
  const abort = new AbortController();
  const asked = tasksPage(silent, { signal: abort.signal });
  const reason = new Error('enough');
  abort.abort(reason);
  await assert.rejects(asked, reason);
  silent.close();
  await assert.rejects(tasksPage(silent), { code: 'CLOSED' });
});

test('where a browser does not say whether a page may not ask, the error names both', async () => {
  const fetch = () => Promise.reject(new TypeError('Failed to fetch'));
  await assert.rejects(tasksPage(createClient({ url: 'http://relay.test', fetch })), {
    ...{ name: 'ClientError', code: 'UNREACHABLE', retry: true },
    message: "The relay at http://relay.test can't be reached, or does not let this page ask (Failed to fetch).",
  });
});

test('a token that never comes is not waited for beyond an abort, and one that can not be had is a ClientError', async () => {
  const never = createClient({ url: relay.url, token: () => new Promise<string>(() => undefined) });
  const abort = new AbortController();
  const asked = tasksPage(never, { signal: abort.signal });
  const reason = new Error('enough');
  abort.abort(reason);
  await assert.rejects(asked, reason);
  for (const token of [() => Promise.reject(new Error('no network')), () => assert.fail('no network')]) {
    await assert.rejects(tasksPage(createClient({ url: relay.url, token })), {
      ...{ name: 'ClientError', code: 'UNAUTHORIZED', retry: true },
      message: /^There is no token: .*no network$/,
    });
  }
});

for (const { what, ask } of [
  { what: 'no name', ask: () => task(client, '') },
  { what: 'a step of a path', ask: () => historyPage(client, '..') },
  { what: 'a Date that is none', ask: () => tasksPage(client, { since: new Date('yesterday') }) },
  { what: 'a time that is none', ask: () => historyPage(client, 't', { filter: { until: NaN } }) },
  { what: 'a time of a tail that is none', ask: () => tail(client, { task: 't' }, { filter: { since: NaN } }).next() },
]) {
  test(`${what} is refused before anything is asked`, async () => {
    await assert.rejects(ask(), { name: 'ClientError', code: 'INVALID_INPUT' });
  });
}

test('an id that is no Unicode is one that nobody knows', async () => {
  await assert.rejects(task(client, 'a\ud800'), { code: 'TASK_NOT_FOUND' });
});
