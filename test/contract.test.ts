import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { startRelay, temporaryFolder, type RelayProcess } from './programs.ts';

/**
 * Every call of the REST contract, made by curl as somebody would who has only read it. They build on each other: what
 * the first ones post, the later ones read.
 */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const run = promisify(execFile);

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- whoever calls says what it expects
  json: <T = Record<string, unknown>>() => T;
}

describe('the REST contract, by curl', { timeout: 120_000 }, () => {
  let relay: RelayProcess;
  const cleaning: (() => void)[] = [];
  after(() => {
    for (const clean of cleaning.toReversed()) clean();
  });
  before(async () => {
    // It lives as long as all tests here, not as long as this hook.
    const context = { after: (clean: () => void) => void cleaning.push(clean) };
    relay = await startRelay(context, join(temporaryFolder(context), 'data'), { args: ['--log-level', 'warn'] });
  });

  const api = (path: string) => `${relay.url}/api/v1${path}`;

  async function curl(...args: string[]): Promise<Answer> {
    const { stdout } = await run('curl', ['--silent', '--show-error', '--include', ...args], { encoding: 'buffer' });
    const end = stdout.indexOf('\r\n\r\n');
    const [first, ...lines] = stdout.toString('latin1', 0, end).split('\r\n');
    const headers = lines.map((line) => [
      line.split(':', 1)[0].toLowerCase(),
      line.slice(line.indexOf(':') + 1).trim(),
    ]);
    const body = stdout.subarray(end + 4);
    return {
      status: Number(first.split(' ')[1]),
      headers: Object.fromEntries(headers) as Record<string, string>,
      body,
      // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- as above
      json: <T>() => JSON.parse(body.toString()) as T,
    };
  }

  const send = (method: string, path: string, body: unknown, ...more: string[]) =>
    curl('-X', method, '-H', 'Content-Type: application/json', '-d', JSON.stringify(body), ...more, api(path));

  async function refused(answer: Promise<Answer>, status: number, code: string): Promise<void> {
    const { status: got, json, headers } = await answer;
    const { error, meta } = json<{ error: Record<string, unknown>; meta: Record<string, unknown> }>();
    assert.deepEqual([got, error.code, error.status], [status, code, status]);
    assert.equal(typeof error.message, 'string');
    assert.match(meta.timestamp as string, TIME);
    assert.equal(typeof meta.version, 'string');
    assert.match(headers['content-type'], /^application\/json/);
  }

  interface Line {
    id: string;
    taskId: string;
    timestamp: string;
    source: string;
    level: string;
    message: string;
    lineNumber: number;
    metadata: Record<string, unknown>;
  }
  interface Page {
    content: Line[];
    totalElements: number;
    totalPages: number;
    size: number;
    number: number;
  }
  const page = async (query: string) => (await curl(api(`/tasks/t1/logs${query}`))).json<Page>();
  const messages = async (query: string) => (await page(query)).content.map(({ message }) => message);

  test('POST one log', async () => {
    const { status, json } = await send('POST', '/tasks/t1/logs', {
      level: 'INFO',
      message: 'the first',
      source: 'stdout',
      timestamp: '2026-01-02T03:04:05.678Z',
      metadata: { request: 42 },
    });
    const answer = json();
    assert.equal(status, 201);
    assert.deepEqual(Object.keys(answer).sort(), ['id', 'success', 'taskId', 'timestamp']);
    assert.deepEqual([answer.taskId, answer.success, answer.timestamp], ['t1', true, '2026-01-02T03:04:05.678Z']);
  });

  test('POST several, with the words of other programs for levels, and what is left out', async () => {
    const { status, json } = await send('POST', '/tasks/t1/logs', [
      { level: 'warning', message: 'two', source: 'stderr', timestamp: '2026-01-02T03:04:06.000Z' },
      { level: 'FATAL', message: 'three', source: 'stdout', timestamp: '2026-01-02T03:04:07.000Z' },
      { level: 'Trace', message: '=four,"quoted"', timestamp: '2026-01-02T03:04:08.000Z' },
    ]);
    assert.equal(status, 201);
    assert.deepEqual(json(), { accepted: 3 });
  });

  test('GET the list', async () => {
    const all = await page('');
    assert.deepEqual([all.totalElements, all.totalPages, all.size, all.number], [4, 1, 100, 0]);
    const [first] = all.content;
    assert.deepEqual(
      { ...first, id: typeof first.id },
      {
        id: 'string',
        taskId: 't1',
        timestamp: '2026-01-02T03:04:05.678Z',
        source: 'stdout',
        level: 'INFO',
        message: 'the first',
        lineNumber: 1,
        metadata: { request: 42 },
      },
    );
    assert.deepEqual(
      all.content.map(({ source, level, lineNumber }) => [source, level, lineNumber]),
      [
        ['stdout', 'INFO', 1],
        ['stderr', 'WARN', 2],
        ['stdout', 'ERROR', 3],
        ['agent', 'DEBUG', 4],
      ],
    );
  });

  const lists: [query: string, messages: string[]][] = [
    ['?source=stdout', ['the first', 'three']],
    ['?source=stdout,agent&level=ERROR,DEBUG', ['three', '=four,"quoted"']],
    ['?level=WARN', ['two']],
    ['?page=1&size=3', ['=four,"quoted"']],
    ['?order=desc&size=2', ['=four,"quoted"', 'three']],
    ['?from=2026-01-02T03:04:06.000Z&to=2026-01-02T03:04:07.000Z', ['two', 'three']],
    ['?q=THREE', ['three']],
    ['?regex=%5Et.o%24', ['two']],
    ['?meta.request=42', ['the first']],
    ['?q=three&context=1', ['two', 'three', '=four,"quoted"']],
    ['?after=start&size=1', ['the first']],
  ];
  for (const [query, expected] of lists) {
    test(`GET the list ${query}`, async () => assert.deepEqual(await messages(query), expected));
  }

  test('GET page by page with a cursor', async () => {
    const seen: string[] = [];
    let query = '?after=start&size=3';
    for (let pages = 0; pages < 2; pages++) {
      const { content, next } = (await curl(api(`/tasks/t1/logs${query}`))).json<Page & { next: string | null }>();
      seen.push(...content.map(({ message }) => message));
      if (next === null) break;
      query = `?after=${next}&size=3`;
    }
    assert.deepEqual(seen, ['the first', 'two', 'three', '=four,"quoted"']);
  });

  test('GET how many', async () => {
    assert.deepEqual((await curl(api('/tasks/t1/logs/count?level=WARN,ERROR'))).json(), { count: 2 });
  });

  test('GET the statistics', async () => {
    const { lastUpdated, ...rest } = (await curl(api('/tasks/t1/logs/stats'))).json();
    assert.match(lastUpdated as string, TIME);
    assert.deepEqual(rest, {
      taskId: 't1',
      totalLogs: 4,
      missing: 0,
      logCounts: { stdout: 2, stderr: 1, agent: 1 },
      levelCounts: { DEBUG: 1, INFO: 1, WARN: 1, ERROR: 1 },
      timeRange: { start: '2026-01-02T03:04:05.678Z', end: '2026-01-02T03:04:08.000Z' },
    });
  });

  const exports: [format: string, type: RegExp, body: RegExp | ((body: Buffer) => void)][] = [
    [
      'txt',
      /^text\/plain/,
      /^2026-01-02T03:04:05\.678Z stdout INFO the first\n2026-.*\n2026-.*\n2026-.* agent DEBUG =four,"quoted"\n$/,
    ],
    ['txt&plain=true', /^text\/plain/, /^the first\ntwo\nthree\n=four,"quoted"\n$/],
    [
      'csv',
      /^text\/csv/,
      /^lineNumber,timestamp,source,level,message\r\n1,2026-01-02T03:04:05\.678Z,stdout,INFO,the first\r\n[^]*,"'=four,""quoted"""\r\n$/,
    ],
    ['json', /^application\/json/, (body) => assert.equal((JSON.parse(body.toString()) as Line[]).length, 4)],
    [
      'ndjson&level=WARN',
      /^application\/x-ndjson/,
      (body) => assert.equal((JSON.parse(body.toString()) as Line).message, 'two'),
    ],
    ['txt&plain=true&gzip=true', /./, (body) => assert.match(gunzipSync(body).toString(), /^the first\n/)],
  ];
  for (const [format, type, expected] of exports) {
    test(`GET the export format=${format}`, async () => {
      const { status, headers, body } = await curl('--raw', '--http1.0', api(`/tasks/t1/logs/export?format=${format}`));
      assert.equal(status, 200);
      assert.match(headers['content-type'], type);
      const extension = format.split('&')[0];
      assert.match(
        headers['content-disposition'],
        new RegExp(`^attachment; filename="?t1-\\d{4}-\\d\\d-\\d\\d\\.${extension}`),
      );
      if (expected instanceof RegExp) assert.match(body.toString(), expected);
      else expected(body);
    });
  }

  test('GET the tasks, and one of them', async () => {
    const { content } = (await curl(api('/tasks?q=t1'))).json<{ content: Record<string, unknown>[] }>();
    assert.deepEqual([content[0].taskId, content[0].lines], ['t1', 4]);
    const one = (await curl(api('/tasks/t1'))).json();
    assert.equal(one.taskId, 't1');
  });

  const statuses: [status: string, becomes: string][] = [
    ['PROCESSING', 'running'],
    ['WAITING_FOR_INPUT', 'running'],
    ['IN_PROGRESS', 'running'],
    ['COMPLETED', 'succeeded'],
  ];
  for (const [status, becomes] of statuses) {
    test(`PUT the status ${status}`, async () => {
      const body = { status, message: `now ${status}`, progress: 40 };
      const answer = await send('PUT', '/tasks/t2/status', body);
      assert.equal(answer.status, 200, answer.body.toString());
      const task = (await curl(api('/tasks/t2'))).json();
      assert.deepEqual([task.status, task.message, task.progress], [becomes, `now ${status}`, 40]);
    });
  }
  for (const [status, becomes] of [
    ['FAILED', 'failed'],
    ['CANCELLED', 'cancelled'],
  ]) {
    test(`PUT the status ${status} of a task that nobody knew`, async () => {
      const answer = await send('PUT', `/tasks/${status}/status`, { status, errorCode: 'E7' });
      assert.equal(answer.status, 200, answer.body.toString());
      const task = (await curl(api(`/tasks/${status}`))).json();
      assert.deepEqual([task.status, task.errorCode], [becomes, 'E7']);
    });
  }

  test('DELETE what is at or before a time', async () => {
    const answer = await curl('-X', 'DELETE', api('/tasks/t1/logs?before=2026-01-02T03:04:06.000Z'));
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json(), { deletedCount: 2, message: 'ログが正常に削除されました' });
    const left = await page('');
    assert.deepEqual(
      left.content.map(({ lineNumber }) => lineNumber),
      [3, 4],
    );
    assert.equal(left.totalElements, 2);
  });

  for (const path of ['/health', '/health/live', '/health/ready']) {
    test(`GET and HEAD ${path}`, async () => {
      const { status, json } = await curl(`${relay.url}${path}`);
      const report = json<{ status: string; timestamp: string; checks: Record<string, unknown> }>();
      assert.deepEqual([status, report.status], [200, 'healthy']);
      assert.match(report.timestamp, TIME);
      for (const check of Object.values(report.checks)) {
        assert.deepEqual(Object.keys(check as object).sort(), ['healthy', 'latency', 'message']);
      }
      assert.equal((await curl('--head', `${relay.url}${path}`)).status, 200);
    });
  }

  test('GET the metrics', async () => {
    const { status, headers, body } = await curl(`${relay.url}/metrics`);
    assert.equal(status, 200);
    assert.match(headers['content-type'], /^text\/plain/);
    assert.match(body.toString(), /^keruta_logs_total\{source="stdout",level="INFO"\} \d/m);
  });

  test('OPTIONS from a page that is not allowed says nothing that would allow it', async () => {
    const origin = ['-H', 'Origin: https://elsewhere.example', '-H', 'Access-Control-Request-Method: GET'];
    const { headers } = await curl('-X', 'OPTIONS', ...origin, api('/tasks'));
    assert.equal(headers['access-control-allow-origin'], undefined);
  });

  const errors: [what: string, call: () => Promise<Answer>, status: number, code: string][] = [
    ['GET of a task that is not there', () => curl(api('/tasks/nope/logs')), 404, 'TASK_NOT_FOUND'],
    ['GET with a level that is none', () => curl(api('/tasks/t1/logs?level=LOUD')), 400, 'INVALID_INPUT'],
    ['GET with a size over the limit', () => curl(api('/tasks/t1/logs?size=1001')), 400, 'INVALID_INPUT'],
    ['GET with a bad time', () => curl(api('/tasks/t1/logs?from=yesterday')), 400, 'INVALID_INPUT'],
    ['GET with a bad cursor', () => curl(api('/tasks/t1/logs?after=xyz')), 400, 'INVALID_CURSOR'],
    ['GET of a format that is none', () => curl(api('/tasks/t1/logs/export?format=pdf')), 400, 'INVALID_INPUT'],
    [
      'POST of a log without a message',
      () => send('POST', '/tasks/t1/logs', { level: 'INFO' }),
      400,
      'INVALID_LOG_FORMAT',
    ],
    [
      'POST of something else than JSON',
      () => curl('-H', 'Content-Type: application/json', '-d', '{', api('/tasks/t1/logs')),
      400,
      'INVALID_LOG_FORMAT',
    ],
    ['PUT of a status that is none', () => send('PUT', '/tasks/t1/status', { status: 'HAPPY' }), 400, 'INVALID_INPUT'],
    ['DELETE without saying what', () => curl('-X', 'DELETE', api('/tasks/t1/logs')), 400, 'INVALID_INPUT'],
    ['the debug endpoints, which are off', () => curl('-X', 'POST', `${relay.url}/debug/gc`), 404, 'NOT_FOUND'],
  ];
  for (const [what, call, status, code] of errors) {
    test(`${what}: ${status} ${code}`, () => refused(call(), status, code));
  }

  test('an export that the client cuts off costs nothing: the relay answers on', async () => {
    const post = `yes ten-bytes | head -c 500000 | curl --silent -H 'Content-Type: text/plain' --data-binary @- ${api('/tasks/long/logs')}`;
    assert.deepEqual(JSON.parse((await run('sh', ['-c', post])).stdout), { accepted: 50_000 });
    const { stdout } = await run('sh', [
      '-c',
      `curl --silent '${api('/tasks/long/logs/export?format=txt')}' | head -c 9`,
    ]);
    assert.equal(stdout.length, 9);
    assert.equal((await curl(`${relay.url}/health`)).status, 200);
  });
});
