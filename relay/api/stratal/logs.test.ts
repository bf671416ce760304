import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Readable } from 'node:stream';
import { openRelay, TestWriter, type Cleaning, type TestRelay } from './stratal.fixture.ts';

const run = promisify(execFile);

interface Log {
  id: number;
  type: string;
  job_run_id: string | null;
  task_run_id: string | null;
  timestamp: string;
  level: string;
  stream: string;
  message: string;
  metadata: Record<string, unknown> | null;
  created_at: string;
}

interface Page {
  logs: Log[];
  pagination?: Record<string, number>;
}

async function ask(relay: TestRelay, path: string): Promise<Page> {
  const answer = await fetch(`${relay.api}/logs${path}`);
  assert.equal(answer.status, 200, path);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/json/);
  return (await answer.json()) as Page;
}

const texts = ({ logs }: Page): string[] => logs.map(({ message }) => message);

const DAYS = [
  '2026-01-01T23:59:59.999Z',
  '2026-01-02T00:00:00.000Z',
  '2026-01-02T23:59:59.999Z',
  '2026-01-03T00:00:00.000Z',
];

/** Two tasks of a job run that write in turn, another job run, and lines of the first one's own. */
async function openFilled(t: Cleaning): Promise<TestRelay> {
  const relay = await openRelay(t, { systemLog: true });
  const { url } = relay.relay;
  const a = await TestWriter.open(url, 'a', { pipelineId: 'job/1' });
  const b = await TestWriter.open(url, 'b', { pipelineId: 'job/1', taskName: 'B' });
  const other = await TestWriter.open(url, 'other');
  for (let i = 0; i < 3; i++) {
    await a.write(`a${2 * i}`, `a${2 * i + 1}`);
    await other.write(`other ${i}`);
    await b.write(`b${i}`);
  }
  await a.gap(5);
  await a.write({ text: 'a behind', metadata: '{"k":1}' });
  const days = await TestWriter.open(url, 'days');
  for (const day of DAYS) await days.write({ text: day, time: Date.parse(day) });
  await days.write({ text: 'two\nlines', time: Date.parse(DAYS[3]), source: 'agent', level: 'WARN' });
  for (const writer of [a, b, other, days]) writer.close();
  return relay;
}

describe('logs that are there', () => {
  let relay: TestRelay;
  let clean: () => Promise<void>;
  before(async () => {
    relay = await openFilled({ after: (end) => (clean = end) });
  });
  after(() => clean());

  test("a job run's are those of its tasks, the oldest first, with a true total", async () => {
    const page = await ask(relay, '/job-runs/job%2F1');
    const all = [
      'a0',
      'a1',
      'b0',
      'a2',
      'a3',
      'b1',
      'a4',
      'a5',
      'b2',
      '[gap: lines 7 to 11 missing: dropped]',
      'a behind',
    ];
    assert.deepEqual(texts(page), all);
    assert.deepEqual(page.pagination, { total: 10, limit: 100, offset: 0, count: 10 });
    const [first] = page.logs;
    const { timestamp } = first;
    assert.deepEqual(Object.entries(first), [
      ...[
        ['id', first.id],
        ['type', 'task'],
        ['job_run_id', 'job/1'],
        ['task_run_id', 'a'],
        ['timestamp', timestamp],
      ],
      ...[
        ['level', 'info'],
        ['stream', 'stdout'],
        ['message', 'a0'],
        ['metadata', null],
        ['created_at', timestamp],
      ],
    ]);
    assert.equal(new Date(timestamp).toISOString(), timestamp);
    const ids = page.logs.map(({ id }) => id);
    assert.deepEqual(
      ids,
      [...new Set(ids)].sort((one, two) => one - two),
    );
    assert.deepEqual(page.logs.at(-1)?.metadata, { k: 1 });
  });

  const PAGES: { query: string; seen: string[]; pagination: number[] }[] = [
    { query: '?limit=3', seen: ['a0', 'a1', 'b0'], pagination: [3, 0, 3] },
    { query: '?limit=3&offset=1', seen: ['a1', 'b0', 'a2'], pagination: [3, 1, 3] },
    { query: '?limit=2&offset=7', seen: ['a5', 'b2'], pagination: [2, 7, 2] },
    { query: '?offset=10', seen: [], pagination: [100, 10, 0] },
    { query: '?offset=1000000000000', seen: [], pagination: [100, 1e12, 0] },
  ];
  for (const { query, seen, pagination } of PAGES) {
    test(`${query} is that part of them`, async () => {
      const page = await ask(relay, `/job-runs/job%2F1${query}`);
      assert.deepEqual(
        texts(page).filter((text) => !text.startsWith('[gap')),
        seen,
      );
      const [limit, offset, count] = pagination;
      assert.deepEqual(page.pagination, { total: 10, limit, offset, count });
    });
  }

  test("a task run's are its own, with the same ids", async () => {
    const job = await ask(relay, '/job-runs/job%2F1');
    const task = await ask(relay, '/task-runs/b');
    assert.deepEqual(task, { logs: job.logs.filter(({ task_run_id }) => task_run_id === 'b') });
    assert.deepEqual(texts(await ask(relay, '/task-runs/a?limit=2&offset=3')), ['a3', 'a4']);
  });

  test('a task without a pipeline is a job run, whose task run has no other', async () => {
    const job = await ask(relay, '/job-runs/other');
    assert.deepEqual(
      job.logs.map(({ type, job_run_id, task_run_id }) => `${type} ${job_run_id} ${task_run_id}`),
      ['job other null', 'job other null', 'job other null'],
    );
    assert.deepEqual((await ask(relay, '/task-runs/other')).logs, job.logs);
  });

  for (const path of [
    '/job-runs/none',
    '/job-runs/job',
    '/task-runs/none',
    '/task-runs/job%2F1',
    '/job-runs/%00%F0%9F%98%80',
  ]) {
    test(`${path} has none`, async () => assert.deepEqual((await ask(relay, path)).logs, []));
  }

  test("the relay's own are of type system, the newest first", async () => {
    const page = await ask(relay, '/system');
    assert.deepEqual(page.pagination, { count: page.logs.length, limit: 100, offset: 0 });
    const started = page.logs.at(-1);
    assert.deepEqual(
      [started?.type, started?.job_run_id, started?.task_run_id, started?.stream],
      ['system', null, null, 'system'],
    );
    assert.equal(started?.metadata?.event, 'relay-started');
    assert.deepEqual(await ask(relay, '/type/system'), page);
  });

  test('a type has its own, of all job runs, the newest first', async () => {
    const tasks = await ask(relay, '/type/task?limit=4');
    assert.deepEqual(texts(tasks), ['a behind', '[gap: lines 7 to 11 missing: dropped]', 'b2', 'a5', 'a4']);
    assert.deepEqual(tasks.pagination, { count: 4, limit: 4, offset: 0 });
    const jobs = await ask(relay, '/type/job?limit=3&offset=5');
    assert.deepEqual(texts(jobs), ['other 2', 'other 1', 'other 0']);
  });

  const WRONG: { path: string; status: number; error: RegExp }[] = [
    { path: '/type/other', status: 400, error: /^Invalid log type\. Must be 'system', 'job', or 'task'$/ },
    { path: '/job-runs', status: 400, error: /^job_run_id is required$/ },
    { path: '/job-runs/', status: 400, error: /^job_run_id is required$/ },
    { path: '/job-runs//download', status: 400, error: /^job_run_id is required$/ },
    { path: '/task-runs/', status: 400, error: /^task_run_id is required$/ },
    { path: '/job-runs/x/download?date=yesterday', status: 400, error: /date is "yesterday"; it must be a day/ },
    { path: '/job-runs/x/download?date=2026-02-30', status: 400, error: /must be a day, YYYY-MM-DD$/ },
  ];
  for (const { path, status, error } of WRONG) {
    test(`${path} is an error in Stratal's words`, async () => {
      const answer = await fetch(`${relay.api}/logs${path}`);
      const body = (await answer.json()) as { error: string };
      assert.deepEqual([answer.status, Object.keys(body)], [status, ['error']]);
      assert.match(body.error, error);
    });
  }

  test('a download is the whole log as a text', async () => {
    const answer = await fetch(`${relay.api}/logs/job-runs/days/download`);
    assert.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
    assert.equal(answer.headers.get('content-disposition'), 'attachment; filename="days.txt"');
    const line = (day: string): string => `[${day.replace('T', ' ').replace('Z', '')}] [job] [info] [stdout] ${day}\n`;
    const last = '[2026-01-03 00:00:00.000] [job] [warn] [system] two\n\tlines\n';
    assert.equal(await answer.text(), DAYS.map(line).join('') + last);
  });

  test('a download of a day is all of that day in UTC', async () => {
    const { stdout } = await run('curl', ['-si', `${relay.api}/logs/job-runs/days/download?date=2026-01-02`]);
    const [head, body] = stdout.split('\r\n\r\n');
    assert.match(head, /^content-disposition: attachment; filename="days-2026-01-02.txt"$/im);
    assert.deepEqual(body.match(/\S+$/gm), DAYS.slice(1, 3));
  });

  test('a download shows what is missing, and its name is one for every system', async () => {
    const answer = await fetch(`${relay.api}/logs/job-runs/job%2F1/download`);
    assert.equal(answer.headers.get('content-disposition'), 'attachment; filename="job_1.txt"');
    const text = await answer.text();
    assert.equal(text.match(/\n/g)?.length, 11);
    assert.match(text, /^\[.*\] \[task\] \[warn\] \[system\] \[gap: lines 7 to 11 missing: dropped\]$/m);
  });

  test('the name of a download may have letters of any script, and no more than letters', async () => {
    const id = encodeURIComponent('ログ"\r\n;../x');
    const answer = await fetch(`${relay.api}/logs/job-runs/${id}/download`);
    const expected = `attachment; filename="??_.._x.txt"; filename*=UTF-8''${encodeURIComponent('ログ_.._x.txt')}`;
    assert.equal(answer.headers.get('content-disposition'), expected);
  });

  test('a download of what is not there is an empty text; HEAD has the same headers and no body', async () => {
    const answer = await fetch(`${relay.api}/logs/job-runs/none/download`);
    assert.deepEqual([answer.status, await answer.text()], [200, '']);
    const head = await fetch(`${relay.api}/logs/job-runs/days/download`, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('content-disposition')], [200, 'attachment; filename="days.txt"']);
  });
});

test('who does not read a download costs no more than a part of it', async (t) => {
  const { relay, api } = await openRelay(t);
  const writer = await TestWriter.open(relay.url, 'large');
  const line = 'y'.repeat(10_000);
  for (let i = 0; i < 40; i++) await writer.write(...Array.from({ length: 100 }, () => line));
  const { port } = new URL(relay.url);
  const socket = connect(Number(port), '127.0.0.1');
  socket.write('GET /api/v1/logs/job-runs/large/download HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(socket, 'readable');
  const before = process.memoryUsage().external;
  for (let i = 0; i < 20; i++) await (await fetch(`${api}/logs/stream/status`)).text();
  assert.ok(process.memoryUsage().external - before < 40_000_000);
  socket.destroy();
  const answer = await fetch(`${api}/logs/job-runs/large/download`);
  let bytes = 0;
  for await (const part of Readable.fromWeb(answer.body as never)) bytes += (part as Buffer).length;
  assert.equal(bytes, 4000 * (10_000 + '[2026-01-02 03:04:05.678] [job] [info] [stdout] \n'.length));
  writer.close();
});

test('the longest id that a job run can have has its pages, in every script; a longer one has none', async (t) => {
  const { api, relay } = await openRelay(t);
  for (const character of ['x', '日', '/', '%']) {
    const id = character.repeat(1024);
    const writer = await TestWriter.open(relay.url, 'a', { pipelineId: id });
    await writer.write('of it');
    writer.close();
    const job = encodeURIComponent(id);
    const page = (await (await fetch(`${api}/logs/job-runs/${job}`)).json()) as Page;
    assert.deepEqual(texts(page).slice(-1), ['of it']);
    const text = await (await fetch(`${api}/logs/job-runs/${job}/download`)).text();
    assert.match(text, /of it\n$/);
    const pipeline = (await (await fetch(`${api}/pipelines/${job}`)).json()) as { pipelineId: string };
    assert.equal(pipeline.pipelineId, id);
  }
  const longer = await fetch(`${api}/logs/job-runs/${'x'.repeat(5000)}`);
  assert.deepEqual([longer.status, ((await longer.json()) as Page).logs], [200, []]);
});

test('a page is no larger than the relay can hold for each who asks: of very long lines there may be fewer', async (t) => {
  const relay = await openRelay(t);
  const writer = await TestWriter.open(relay.relay.url, 'long');
  const filler = 'x'.repeat(256 * 1024 - 10);
  for (let i = 0; i < 130; i++) await writer.write(`${i} ${filler}`);
  writer.close();
  for (const path of ['/job-runs/long', '/type/job']) {
    const refused = await fetch(`${relay.api}/logs${path}?limit=1000`);
    assert.equal(refused.status, 413);
    const error = 'The page has more than 32 MiB of text; ask for fewer lines at once.';
    assert.deepEqual(await refused.json(), { error });
    assert.equal((await ask(relay, `${path}?limit=100&offset=30`)).logs.length, 100);
  }
});
