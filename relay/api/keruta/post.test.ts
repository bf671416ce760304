import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { describe, type TestContext } from 'node:test';
import { SignJWT } from 'jose';
import { request } from 'undici';
import { newUlid } from '../../../shared/ulid.ts';
import { relayConfig } from '../../relay-config.fixture.ts';
import { startRelay } from '../../relay.ts';
import type { RelayConfig } from '../../../shared/options/relay-options.ts';

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Record<string, unknown> & { error?: { code: string; message: string } };
}

interface Api {
  call: (
    method: 'GET' | 'POST' | 'PUT',
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<Answer>;
  /** The task's lines, `number source level message`. */
  lines: (task?: string) => Promise<string[]>;
  restart: () => Promise<void>;
}

async function startApi(t: TestContext, config: Partial<RelayConfig> = {}): Promise<Api> {
  const dataDir = await mkdtemp(join(tmpdir(), 'keruta-post-'));
  let relay = await startRelay(relayConfig({ dataDir, ...config }));
  t.after(async () => {
    await relay.stop();
    await rm(dataDir, { recursive: true });
  });
  const call: Api['call'] = async (method, path, body, headers = {}) => {
    const asIs = typeof body === 'string' || Buffer.isBuffer(body) || body === undefined;
    const answer = await request(`${relay.url}/api/v1${path}`, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: asIs ? body : JSON.stringify(body) }),
    });
    return { status: answer.statusCode, headers: answer.headers, body: (await answer.body.json()) as Answer['body'] };
  };
  return {
    call,
    lines: async (task = 't') => {
      const { body } = await call('GET', `/tasks/${task}/logs?size=1000`);
      const content = (body.content ?? []) as { lineNumber: number; source: string; level: string; message: string }[];
      return content.map(({ lineNumber, source, level, message }) => `${lineNumber} ${source} ${level} ${message}`);
    },
    restart: async () => {
      await relay.stop();
      relay = await startRelay(relayConfig({ dataDir, ...config }));
    },
  };
}

const A = { level: 'INFO', message: 'a' };

describe('POST …/logs', () => {
  test('one entry is answered with its id, once it can be read', async (t) => {
    const api = await startApi(t);
    const entry = {
      level: 'Warning',
      message: 'tab\t\n日本語',
      source: 'stderr',
      timestamp: '2026-01-02T03:04:05.678Z',
      metadata: { k: 'v' },
    };
    const { status, body } = await api.call('POST', '/tasks/t/logs', entry);
    assert.equal(status, 201);
    const { body: page } = await api.call('GET', '/tasks/t/logs');
    const [line] = page.content as Record<string, unknown>[];
    assert.deepEqual(body, { id: line.id, taskId: 't', timestamp: '2026-01-02T03:04:05.678Z', success: true });
    assert.deepEqual(line, {
      ...line,
      level: 'WARN',
      source: 'stderr',
      message: 'tab\t\n日本語',
      metadata: { k: 'v' },
      lineNumber: 1,
    });
  });

  test('lists, an entry a line, and plain text are answered with how many they were', async (t) => {
    const api = await startApi(t);
    assert.deepEqual(await api.call('POST', '/tasks/t/logs', [A, { ...A, level: 'FATAL' }]).then(({ body }) => body), {
      accepted: 2,
    });
    const ndjson = await api.call('POST', '/tasks/t/logs', `${JSON.stringify(A)}\n\n${JSON.stringify(A)}\n`, {
      'content-type': 'application/x-ndjson',
    });
    assert.deepEqual([ndjson.status, ndjson.body], [201, { accepted: 2 }]);
    const text = await api.call('POST', '/tasks/t/logs', 'x\r\ny\n', { 'content-type': 'text/plain; charset=utf-8' });
    assert.deepEqual([text.status, text.body], [201, { accepted: 2 }]);
    assert.deepEqual(await api.call('POST', '/tasks/t/logs', []).then(({ body }) => body), { accepted: 0 });
    assert.deepEqual(await api.lines(), [
      ...['1 agent INFO a', '2 agent ERROR a', '3 agent INFO a', '4 agent INFO a'],
      ...['5 stdout INFO x', '6 stdout INFO y'],
    ]);
  });

  test('an empty list makes no task', async (t) => {
    const api = await startApi(t);
    await api.call('POST', '/tasks/t/logs', []);
    assert.equal((await api.call('GET', '/tasks/t')).status, 404);
  });

  test('many at once are stored whole, each list in its order', async (t) => {
    const api = await startApi(t);
    const posts = Array.from({ length: 50 }, (_, post) =>
      Array.from({ length: 10 }, (_, i) => ({ level: 'INFO', message: `${post}.${i}` })),
    );
    const answers = await Promise.all(posts.map((post) => api.call('POST', '/tasks/t/logs', post)));
    assert.ok(answers.every(({ status }) => status === 201));
    const lines = (await api.lines()).map((line) => line.split(' ')[3].split('.').map(Number));
    assert.equal(lines.length, 500);
    for (let at = 0; at < lines.length; at += 10) {
      assert.deepEqual(
        lines.slice(at, at + 10),
        Array.from({ length: 10 }, (_, i) => [lines[at][0], i]),
      );
    }
  });

  const run = newUlid(1);
  const refusals: [
    string,
    { path?: string; body?: unknown; headers?: Record<string, string> },
    number,
    string,
    RegExp,
  ][] = [
    ['that is not JSON', { body: '{' }, 400, 'INVALID_LOG_FORMAT', /not JSON/],
    [
      'with one wrong entry among good ones',
      { body: [A, { ...A, level: 'LOUD' }, A] },
      400,
      'INVALID_LOG_FORMAT',
      /^Entry 1: level is "LOUD"/,
    ],
    ['with a number for an entry', { body: 7 }, 400, 'INVALID_LOG_FORMAT', /no JSON object/],
    ['over 1 MiB', { body: { ...A, message: 'x'.repeat(1024 * 1024) } }, 413, 'TOO_LARGE', /./],
    [
      'without a body',
      { headers: { 'content-type': 'application/json' } },
      400,
      'INVALID_LOG_FORMAT',
      /^The body is not JSON\.$/,
    ],
    ['without a body and its type', {}, 400, 'INVALID_INPUT', /^The request has no body\.$/],
    [
      'of another type',
      { body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      400,
      'INVALID_INPUT',
      /Content-Type is "application\/x-www-form-urlencoded"; it may be application\/json/,
    ],
    ['that is compressed', { body: 'x', headers: { 'content-encoding': 'gzip' } }, 400, 'INVALID_INPUT', /"gzip"/],
    ['for a task that can be none', { path: '/tasks/a%00b/logs', body: A }, 400, 'INVALID_INPUT', /control characters/],
    [
      'with a key of spaces',
      { body: A, headers: { 'idempotency-key': 'a b' } },
      400,
      'INVALID_INPUT',
      /Idempotency-Key/,
    ],
    [
      'with a key and a seq',
      { path: `/tasks/t/logs?run=${run}&seq=0`, body: A, headers: { 'idempotency-key': 'a' } },
      400,
      'INVALID_INPUT',
      /not both/,
    ],
    [
      'with a run that is none',
      { path: '/tasks/t/logs?run=x&seq=0', body: A },
      400,
      'INVALID_INPUT',
      /run must be a ULID/,
    ],
    [
      'with a seq that is negative',
      { path: `/tasks/t/logs?run=${run}&seq=-1`, body: A },
      400,
      'INVALID_INPUT',
      /seq must be/,
    ],
    [
      'with a seq beyond all lines',
      { path: `/tasks/t/logs?run=${run}&seq=999999999999999`, body: A },
      400,
      'INVALID_INPUT',
      /seq must be/,
    ],
    [
      'with two runs',
      { path: `/tasks/t/logs?run=${run}&run=${run}&seq=0`, body: A },
      400,
      'INVALID_INPUT',
      /given once/,
    ],
    ['with a run without a seq', { path: `/tasks/t/logs?run=${run}`, body: A }, 400, 'INVALID_INPUT', /seq must be/],
  ];
  describe('refuses a body', () => {
    for (const [what, { path = '/tasks/t/logs', body, headers = {} }, status, code, message] of refusals) {
      test(`${what}, and stores nothing`, async (t) => {
        const api = await startApi(t);
        const answer = await api.call('POST', path, body, headers);
        assert.deepEqual([answer.status, answer.body.error?.code], [status, code]);
        assert.match(answer.body.error?.message ?? '', message);
        assert.deepEqual(await api.lines(), []);
      });
    }
  });

  test('with an Idempotency-Key it is stored once, also across a restart', async (t) => {
    const api = await startApi(t);
    const post = (body: unknown) => api.call('POST', '/tasks/t/logs', body, { 'idempotency-key': 'k-1' });
    const [first, again] = await Promise.all([post(A), post(A)]);
    assert.equal(first.status, 201);
    assert.deepEqual(again.body, first.body);
    await api.restart();
    assert.deepEqual((await post(A)).body, first.body);
    const other = await post({ ...A, message: 'b' });
    assert.deepEqual([other.status, other.body.error?.code], [409, 'CONFLICT']);
    assert.deepEqual(await api.lines(), ['1 agent INFO a']);
  });

  test('with run and seq it is stored once, and a refusal says what is expected', async (t) => {
    const api = await startApi(t);
    const post = (seq: number, ...messages: string[]) =>
      api.call(
        'POST',
        `/tasks/t/logs?run=${run}&seq=${seq}`,
        messages.map((message) => ({ level: 'INFO', message })),
      );
    assert.equal((await post(0, 'a', 'b')).status, 201);
    assert.equal((await post(0, 'a', 'b')).status, 201);
    const early = await post(5, 'f');
    assert.deepEqual([early.status, early.body.error?.message], [409, 'The run expects seq 2, and 5 came.']);
    assert.equal((await post(1, 'b', 'c')).status, 201);
    await api.restart();
    assert.equal((await post(2, 'c')).status, 201);
    assert.equal((await post(3, 'd')).status, 201);
    assert.deepEqual(await api.lines(), ['1 agent INFO a', '2 agent INFO b', '3 agent INFO c', '4 agent INFO d']);
    await api.call('PUT', '/tasks/t/status', { status: 'COMPLETED' });
    const late = await post(4, 'e');
    assert.deepEqual([late.status, late.body.error?.message], [409, 'The run has ended with 4 lines.']);
    assert.equal((await post(3, 'd')).status, 201, 'what is there already is known after the end, too');
    assert.equal((await api.lines()).length, 4);
  });
});

describe('PUT …/status', () => {
  const words: [string, string][] = [
    ['PENDING', 'pending'],
    ['PROCESSING', 'running'],
    ['WAITING_FOR_INPUT', 'running'],
    ['COMPLETED', 'succeeded'],
    ['FAILED', 'failed'],
    ['CANCELLED', 'cancelled'],
  ];
  for (const [word, status] of words) {
    test(`${word} shows a task that was not there as ${status}, with what was said of it`, async (t) => {
      const api = await startApi(t);
      const put = await api.call('PUT', '/tasks/t/status', { status: word, message: 'm', progress: 5, errorCode: 'E' });
      assert.equal(put.status, 200);
      assert.deepEqual(put.body, (await api.call('GET', '/tasks/t')).body);
      const { status: shown, message, progress, errorCode } = put.body;
      assert.deepEqual(
        { shown, message, progress, errorCode },
        { shown: status, message: 'm', progress: 5, errorCode: 'E' },
      );
    });
  }

  test('a task lives through its statuses, and its log is complete', async (t) => {
    const api = await startApi(t);
    const put = async (body: object) => (await api.call('PUT', '/tasks/t/status', body)).body;
    await put({ status: 'PENDING' });
    await put({ status: 'PROCESSING', progress: 10 });
    await api.call('POST', '/tasks/t/logs', [A, A]);
    const waiting = await put({ status: 'WAITING_FOR_INPUT', message: 'really?' });
    assert.deepEqual([waiting.status, waiting.message, waiting.progress], ['running', 'really?', 10]);
    const done = await put({ status: 'COMPLETED', progress: 100 });
    assert.deepEqual([done.status, done.message, done.progress, done.runCount], ['succeeded', null, 100, 1]);
    const [run] = done.runs as Record<string, unknown>[];
    assert.deepEqual([run.status, run.verified, run.lines], ['succeeded', true, 2]);
    // Said again, it changes nothing.
    assert.equal((await put({ status: 'COMPLETED' })).runCount, 1);
    assert.equal((await put({ status: 'FAILED', errorCode: 'E' })).status, 'failed');
    assert.equal((await put({ status: 'PROCESSING' })).status, 'running');
  });

  test('after a restart the run of posted lines goes on', async (t) => {
    const api = await startApi(t);
    await api.call('PUT', '/tasks/t/status', { status: 'PROCESSING' });
    await api.call('POST', '/tasks/t/logs', A);
    await api.restart();
    assert.equal((await api.call('GET', '/tasks/t')).body.status, 'running');
    await api.call('POST', '/tasks/t/logs', A);
    const { body } = await api.call('PUT', '/tasks/t/status', { status: 'COMPLETED' });
    const runs = body.runs as Record<string, unknown>[];
    assert.deepEqual(
      runs.map(({ status, verified, lines }) => [status, verified, lines]),
      [['succeeded', true, 2]],
    );
  });

  const refusals: [string, unknown, RegExp][] = [
    ['that is not JSON', '{', /not JSON/],
    ['that nobody knows', { status: 'DONE' }, /status is "DONE"; it may be PENDING/],
    ['with progress over 100', { status: 'PROCESSING', progress: 101 }, /progress must be/],
  ];
  for (const [what, body, message] of refusals) {
    test(`refuses a status ${what}, and makes no task`, async (t) => {
      const api = await startApi(t);
      const answer = await api.call('PUT', '/tasks/t/status', body);
      assert.deepEqual([answer.status, answer.body.error?.code], [400, 'INVALID_INPUT']);
      assert.match(answer.body.error?.message ?? '', message);
      assert.equal((await api.call('GET', '/tasks/t')).status, 404);
    });
  }
});

test('a full disk takes nothing, and says so', async (t) => {
  const api = await startApi(t, { minFreeBytes: Number.MAX_SAFE_INTEGER });
  for (const answer of [
    await api.call('POST', '/tasks/t/logs', A),
    await api.call('PUT', '/tasks/t/status', { status: 'FAILED' }),
  ]) {
    assert.deepEqual([answer.status, answer.body.error?.code], [507, 'STORE_FULL']);
  }
  assert.equal((await api.call('GET', '/tasks/t')).status, 404);
});

test('a task that gets too many lines is refused with the time to wait, and nothing of it is stored', async (t) => {
  const api = await startApi(t, { taskLinesPerSecond: 1 });
  const many = Array.from({ length: 100 }, () => A);
  assert.equal((await api.call('POST', '/tasks/t/logs', many)).status, 201);
  const refused = await api.call('POST', '/tasks/t/logs', A);
  assert.deepEqual([refused.status, refused.body.error?.code], [429, 'RATE_LIMIT_EXCEEDED']);
  assert.ok(Number(refused.headers['retry-after']) >= 1);
  assert.equal((await api.lines()).length, 100);
  assert.equal((await api.call('POST', '/tasks/other/logs', A)).status, 201);
});

describe('a token', () => {
  const SECRET = 'a secret of thirty-two bytes, or more';
  const rows: [string, Record<string, unknown> | undefined, number, string | undefined][] = [
    ['that is missing', undefined, 401, 'UNAUTHORIZED'],
    ['that only reads', { scope: 'read' }, 403, 'FORBIDDEN'],
    ['for another task', { scope: 'ingest', tasks: 'u' }, 403, 'FORBIDDEN'],
    ['for tasks with a label, where there is none', { scope: 'ingest', labels: { a: 'b' } }, 403, 'FORBIDDEN'],
    ['that has expired', { scope: 'ingest', exp: 1 }, 401, 'UNAUTHORIZED'],
    ['for this task', { scope: 'ingest', tasks: 't' }, 201, undefined],
  ];
  for (const [what, claims, status, code] of rows) {
    test(`${what}: ${status}, for lines and for the status`, async (t) => {
      const api = await startApi(t, { jwtSecret: SECRET });
      const headers: Record<string, string> = {};
      if (claims !== undefined) {
        const jwt = new SignJWT({ exp: Math.floor(Date.now() / 1000) + 60, ...claims }).setProtectedHeader({
          alg: 'HS256',
        });
        headers.authorization = `Bearer ${await jwt.sign(Buffer.from(SECRET))}`;
      }
      const put = await api.call('PUT', '/tasks/t/status', { status: 'PROCESSING' }, headers);
      const post = await api.call('POST', '/tasks/t/logs', A, headers);
      assert.deepEqual([post.status, post.body.error?.code], [status, code]);
      assert.deepEqual([put.status, put.body.error?.code], [status === 201 ? 200 : status, code]);
    });
  }
});
