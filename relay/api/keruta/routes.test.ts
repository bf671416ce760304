import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { encodeCursor } from '../../../shared/cursor.ts';
import { LEVELS, SOURCES } from '../../../shared/line.ts';
import { T0, TestRun, type Reading } from '../../reading.fixture.ts';
import { openRoutes } from './routes.fixture.ts';

interface Answer {
  status: number;
  body: {
    content: { lineNumber: number; message: string; taskId: string }[];
    totalElements?: number;
    totalPages?: number;
    size: number;
    number?: number;
    next?: string | null;
    gaps?: { fromLine: number; toLine: number; reason: string }[];
    count?: number;
    error?: { code: string; message: string };
  };
}

async function setUp(t: TestContext): Promise<{ reading: Reading; get: (url: string) => Promise<Answer> }> {
  const { reading, app } = await openRoutes(t);
  const get = async (url: string): Promise<Answer> => {
    const answer = await app.inject(url);
    return { status: answer.statusCode, body: answer.json() };
  };
  return { reading, get };
}

/** 23 lines over many chunks, some of them with levels, sources and times of their own, and gaps between. */
async function writeLines(reading: Reading, { gaps }: { gaps: boolean }): Promise<WrittenLine[]> {
  const run = await new TestRun(reading, 't').open();
  const written: WrittenLine[] = [];
  let line = 1;
  for (let chunk = 0; chunk < 8; chunk++) {
    const lines = Array.from({ length: 1 + (chunk % 5) }, (_, i) => {
      const n = line + i;
      return {
        line: n,
        text: `Text ${n}`,
        level: LEVELS[(n * 7) % 4],
        source: SOURCES[n % 3],
        time: T0 + ((n * 13) % 20) * 1000,
      };
    });
    await run.write(...lines);
    written.push(...lines);
    line += lines.length;
    if (gaps && chunk % 3 === 1) {
      await run.gap(chunk);
      line += chunk;
    }
  }
  return written;
}

interface WrittenLine {
  line: number;
  text: string;
  level: string;
  source: string;
  time: number;
}

const FILTERS: { query: string; keep: (line: WrittenLine) => boolean }[] = [
  { query: '', keep: () => true },
  { query: '&level=WARN,error', keep: ({ level }) => level === 'WARN' || level === 'ERROR' },
  { query: '&level=WARNING&level=DEBUG', keep: ({ level }) => level === 'WARN' || level === 'DEBUG' },
  { query: '&source=stderr', keep: ({ source }) => source === 'stderr' },
  { query: '&source=stdout,agent&level=INFO', keep: ({ source, level }) => source !== 'stderr' && level === 'INFO' },
  { query: `&from=${new Date(T0 + 5000).toISOString()}`, keep: ({ time }) => time >= T0 + 5000 },
  {
    query: `&from=${new Date(T0 + 3000).toISOString()}&to=${new Date(T0 + 9000).toISOString()}`,
    keep: ({ time }) => time >= T0 + 3000 && time <= T0 + 9000,
  },
  { query: '&q=tEXT%201', keep: ({ text }) => text.startsWith('Text 1') },
  { query: '&q=3&q=5', keep: ({ text }) => /[35]/.test(text) },
  { query: '&regex=%5B02468%5D%24', keep: ({ text }) => /[02468]$/.test(text) },
  { query: '&q=nowhere', keep: () => false },
];

for (const { what, gaps } of [
  { what: 'a task without gaps', gaps: false },
  { what: 'a task with gaps', gaps: true },
]) {
  test(`every page of ${what} is right, by number and by cursor, forth and back, under every filter`, async (t) => {
    const { reading, get } = await setUp(t);
    const written = await writeLines(reading, { gaps });
    for (const { query, keep } of FILTERS) {
      const wanted = written.filter(keep).map(({ line, text }) => `${line} ${text}`);
      for (const size of [1, 4, 7, 100]) {
        const totalPages = Math.ceil(wanted.length / size);
        for (const order of ['asc', 'desc']) {
          const sorted = order === 'asc' ? wanted : wanted.toReversed();
          for (let page = 0; page <= totalPages; page++) {
            const { body } = await get(`/tasks/t/logs?page=${page}&size=${size}&order=${order}${query}`);
            const lines = body.content.map(({ lineNumber, message }) => `${lineNumber} ${message}`);
            assert.deepEqual(
              lines,
              sorted.slice(page * size, (page + 1) * size),
              `${query} ${order} ${page} of ${size}`,
            );
            const { totalElements, number } = body;
            assert.deepEqual(
              [totalElements, body.totalPages, body.size, number],
              [wanted.length, totalPages, size, page],
            );
          }
        }
        assert.deepEqual(await byCursor(get, `/tasks/t/logs?size=${size}${query}`, 'after'), wanted);
        assert.deepEqual(
          await byCursor(get, `/tasks/t/logs?size=${size}&order=desc${query}`, 'before'),
          wanted.toReversed(),
        );
      }
      assert.equal((await get(`/tasks/t/logs/count?${query}`)).body.count, wanted.length);
    }
  });
}

/** All lines, page after page. */
async function byCursor(
  get: (url: string) => Promise<Answer>,
  url: string,
  parameter: 'after' | 'before',
): Promise<string[]> {
  const lines: string[] = [];
  let next: string | null | undefined = parameter === 'after' ? 'start' : 'now';
  while (next) {
    const { body }: Answer = await get(`${url}&${parameter}=${next}`);
    lines.push(...body.content.map(({ lineNumber, message }) => `${lineNumber} ${message}`));
    next = body.next;
  }
  return lines;
}

test('each gap is on exactly one page', async (t) => {
  const { reading, get } = await setUp(t);
  const run = await new TestRun(reading, 't').open();
  await run.write('1', '2');
  await reading.store.trim('t', 2);
  await run.write('3', '4');
  await run.gap(2);
  await run.write('7');
  await run.gap(1, 'agent-died');
  for (const query of ['', '&level=INFO', '&q=', '&regex=.']) {
    const pages = [];
    for (const page of [0, 1, 2, 3]) {
      const { body } = await get(`/tasks/t/logs?size=1&page=${page}${query}`);
      pages.push([
        ...body.content.map(({ message }) => message),
        ...(body.gaps ?? []).map((gap) => `${gap.fromLine}-${gap.toLine}`),
      ]);
    }
    assert.deepEqual(pages, [['3', '1-2'], ['4'], ['7', '5-6', '8-8'], []], query);
  }
});

test('a line has every field, its id being a cursor', async (t) => {
  const { reading, get } = await setUp(t);
  await (
    await new TestRun(reading, 't').open()
  ).write({ text: 'a"b', source: 'agent', level: 'DEBUG', metadata: '{"k":[1]}' });
  const { body } = await get('/tasks/t/logs');
  assert.deepEqual(body, {
    content: [
      {
        id: encodeCursor({ epoch: reading.store.epoch(), line: 1 }),
        ...{ taskId: 't', timestamp: '2026-01-02T03:04:05.678Z', source: 'agent', level: 'DEBUG', message: 'a"b' },
        ...{ lineNumber: 1, metadata: { k: [1] } },
      },
    ],
    ...{ totalElements: 1, totalPages: 1, size: 100, number: 0 },
  });
});

for (const { url, code } of [
  { url: '/tasks/none', code: 'TASK_NOT_FOUND' },
  { url: '/tasks/none/logs', code: 'TASK_NOT_FOUND' },
  { url: '/tasks/none/logs/count', code: 'TASK_NOT_FOUND' },
  { url: '/tasks/t/logs?size=0', code: 'INVALID_INPUT' },
  { url: '/tasks/t/logs?size=1001', code: 'INVALID_INPUT' },
  { url: '/tasks/t/logs?page=-1', code: 'INVALID_INPUT' },
  { url: '/tasks/t/logs?page=1&page=2', code: 'INVALID_INPUT' },
  { url: '/tasks/t/logs?level=LOUD', code: 'INVALID_INPUT' },
  { url: '/tasks/t/logs?source=stdin', code: 'INVALID_INPUT' },
  { url: '/tasks/t/logs?from=yesterday', code: 'INVALID_INPUT' },
  { url: '/tasks/t/logs?to=2026-13-01T00:00:00Z', code: 'INVALID_INPUT' },
  { url: '/tasks/t/logs?regex=(', code: 'INVALID_INPUT' },
  { url: '/tasks/t/logs?order=up', code: 'INVALID_INPUT' },
  { url: '/tasks/t/logs?after=1&before=2', code: 'INVALID_INPUT' },
  { url: '/tasks/t/logs?after=nonsense', code: 'INVALID_CURSOR' },
  { url: `/tasks/t/logs?before=${encodeCursor({ epoch: 'other', line: 3 })}`, code: 'INVALID_CURSOR' },
  { url: '/tasks?status=sleeping', code: 'INVALID_INPUT' },
  { url: '/tasks?label=novalue', code: 'INVALID_INPUT' },
  { url: '/tasks?after=nonsense', code: 'INVALID_CURSOR' },
]) {
  test(`GET ${url} answers ${code}`, async (t) => {
    const { reading, get } = await setUp(t);
    await (await new TestRun(reading, 't').open()).write('one');
    const { status, body } = await get(url);
    assert.deepEqual([status, body.error?.code], [code === 'TASK_NOT_FOUND' ? 404 : 400, code]);
  });
}

for (const { time, ms } of [
  { time: '2026-01-02T03:04:05.678Z', ms: T0 },
  { time: '2026-01-02T12:04:05.678+09:00', ms: T0 },
  { time: '2026-01-02T03:04:05.678', ms: T0 },
  { time: '2026-01-02', ms: Date.UTC(2026, 0, 2) },
]) {
  test(`the time ${time} is read, its + encoded or not`, async (t) => {
    const { reading, get } = await setUp(t);
    await (await new TestRun(reading, 't').open()).write({ text: 'before', time: ms - 1 }, { text: 'at', time: ms });
    for (const from of [time, encodeURIComponent(time)]) {
      const { body } = await get(`/tasks/t/logs?from=${from}`);
      assert.deepEqual(
        body.content.map(({ message }) => message),
        ['at'],
      );
    }
  });
}

test('tasks are listed by status, label, name and time, page after page', async (t) => {
  const { reading, get } = await setUp(t);
  for (let i = 0; i < 5; i++) {
    const run = await new TestRun(reading, `task ${i}`).open({ kind: i % 2 === 0 ? 'even' : 'odd', at: '12:30' });
    await run.write('one', { text: 'two', level: 'ERROR', source: 'stderr' });
    if (i < 2) await run.end(i);
  }
  const ids = async (query: string): Promise<string[]> =>
    (await get(`/tasks?${query}`)).body.content.map(({ taskId }) => taskId.replace('task ', '')).sort();
  assert.deepEqual(await ids(''), ['0', '1', '2', '3', '4']);
  assert.deepEqual(await ids('status=running'), ['2', '3', '4']);
  assert.deepEqual(await ids('status=FAILED'), ['1']);
  assert.deepEqual(await ids('label=kind:even&label=at:12:30'), ['0', '2', '4']);
  assert.deepEqual(await ids('label=kind:even,at:13:00'), []);
  assert.deepEqual(await ids('q=TASK%203'), ['3']);
  assert.deepEqual(await ids('since=2100-01-01'), []);
  const seen: string[] = [];
  let query = 'size=2';
  for (;;) {
    const { body } = await get(`/tasks?${query}`);
    seen.push(...body.content.map(({ taskId }) => taskId));
    if (!body.next) break;
    query = `size=2&after=${body.next}`;
  }
  assert.deepEqual(seen, ['task 4', 'task 3', 'task 2', 'task 1', 'task 0']);
});

test('a task says how it is and what became of its runs', async (t) => {
  const { reading, get } = await setUp(t);
  const run = await new TestRun(reading, 't').open({ team: 'blue' });
  await run.write('one', { text: 'two', level: 'ERROR', source: 'stderr' });
  await run.gap(4);
  await run.end(9);
  const { body } = (await get('/tasks/t')) as unknown as {
    body: Record<string, unknown> & { runs: Record<string, unknown>[] };
  };
  const { runs, createdAt, updatedAt, storedBytes, ...task } = body;
  assert.ok(createdAt && updatedAt && storedBytes);
  assert.deepEqual(task, {
    ...{ taskId: 't', name: null, status: 'failed', pipelineId: null, labels: { team: 'blue' } },
    ...{
      runCount: 1,
      openRuns: 0,
      exitCode: 9,
      signal: null,
      lines: 2,
      missing: 4,
      firstLine: 1,
      lastLine: 6,
      bytes: 8,
    },
    logCounts: { stdout: 1, stderr: 1, agent: 0 },
    levelCounts: { DEBUG: 0, INFO: 1, WARN: 0, ERROR: 1 },
    timeRange: { start: new Date(T0).toISOString(), end: new Date(T0).toISOString() },
    ...{ message: null, progress: null, errorCode: null, pinned: false },
  });
  const [{ run: id, status, exitCode, verified, lines, behind }] = runs;
  assert.deepEqual(
    { id, status, exitCode, verified, lines, behind },
    { id: run.run, status: 'failed', exitCode: 9, verified: true, lines: 2, behind: 0 },
  );
});
