import assert from 'node:assert/strict';
import test from 'node:test';
import { T0, TestRun } from '../../reading.fixture.ts';
import { openRoutes, type Routes } from './routes.fixture.ts';

const START = new Date(T0).toISOString();

async function bodyOf({ app }: Routes, url: string): Promise<Record<string, unknown>> {
  const answer = await app.inject(url);
  assert.equal(answer.statusCode, 200, answer.body);
  return answer.json();
}

test('stats count lines by source and level, and say when they were written', async (t) => {
  const routes = await openRoutes(t);
  const run = await new TestRun(routes.reading, 't').open();
  await run.write('a', { text: 'b', source: 'stderr', level: 'ERROR' }, { text: 'c', level: 'WARN', time: T0 + 1500 });
  await run.gap(3);
  const { lastUpdated, ...stats } = await bodyOf(routes, '/tasks/t/logs/stats');
  assert.match(String(lastUpdated), /^\d{4}-\d\d-\d\dT.*Z$/);
  assert.deepEqual(stats, {
    taskId: 't',
    totalLogs: 3,
    logCounts: { stdout: 2, stderr: 1, agent: 0 },
    levelCounts: { DEBUG: 0, INFO: 1, WARN: 1, ERROR: 1 },
    timeRange: { start: START, end: new Date(T0 + 1500).toISOString() },
    missing: 3,
  });
});

test('stats of a task without lines are zeros and no time range', async (t) => {
  const routes = await openRoutes(t);
  await new TestRun(routes.reading, 't').open();
  const { totalLogs, logCounts, levelCounts, timeRange } = await bodyOf(routes, '/tasks/t/logs/stats');
  assert.deepEqual([totalLogs, timeRange], [0, null]);
  assert.deepEqual(logCounts, { stdout: 0, stderr: 0, agent: 0 });
  assert.deepEqual(levelCounts, { DEBUG: 0, INFO: 0, WARN: 0, ERROR: 0 });
});

test('lines around a match come with it, marked, and do not count', async (t) => {
  const routes = await openRoutes(t);
  await (await new TestRun(routes.reading, 't').open()).write('a', 'b', 'hit 1', 'c', 'd', 'e', 'hit 2');
  for (const [query, order] of [
    ['context=1', ['b~', 'hit 1', 'c~', 'e~', 'hit 2']],
    ['context=1&order=desc', ['hit 2', 'e~', 'c~', 'hit 1', 'b~']],
    ['context=1&size=1', ['b~', 'hit 1', 'c~']],
    ['context=100&after=start', ['a~', 'b~', 'hit 1', 'c~', 'd~', 'e~', 'hit 2']],
    ['context=0', ['hit 1', 'hit 2']],
  ] as const) {
    const { content, totalElements } = (await bodyOf(routes, `/tasks/t/logs?q=hit&${query}`)) as {
      content: { message: string; context?: boolean }[];
      totalElements?: number;
    };
    const shown = content.map(({ message, context }) => (context === true ? `${message}~` : message));
    assert.deepEqual(shown, order, query);
    if (!query.includes('after')) assert.equal(totalElements, 2);
  }
});

test('lines are found by their metadata, over lists, counts and exports', async (t) => {
  const routes = await openRoutes(t);
  const lines = [
    { text: 'one', metadata: '{"request":"42","user":{"name":"a"}}' },
    { text: 'two', metadata: '{"request":"43","user":{"name":"a"}}' },
  ];
  await (await new TestRun(routes.reading, 't').open()).write('none', ...lines);
  for (const [query, found] of [
    ['meta.request=42', ['one']],
    ['meta.user.name=a', ['one', 'two']],
    ['meta.request=43&meta.user.name=a', ['two']],
    ['meta.request=', []],
  ] as const) {
    const { content } = (await bodyOf(routes, `/tasks/t/logs?${query}`)) as { content: { message: string }[] };
    assert.deepEqual(
      content.map(({ message }) => message),
      found,
    );
    assert.equal((await bodyOf(routes, `/tasks/t/logs/count?${query}`)).count, found.length);
    const { body } = await routes.app.inject(`/tasks/t/logs/export?plain=true&${query}`);
    assert.equal(body, found.map((line) => `${line}\n`).join(''));
  }
});

test('deleting forgets the oldest lines up to a time, says how many, and leaves a gap; again it forgets none', async (t) => {
  const routes = await openRoutes(t);
  const run = await new TestRun(routes.reading, 't').open();
  for (const i of [0, 1, 2, 3]) await run.write({ text: `${i}`, time: T0 + i * 1000 });
  const before = new Date(T0 + 1000).toISOString();
  const remove = async (): Promise<unknown> => {
    const answer = await routes.app.inject({ method: 'DELETE', url: `/tasks/t/logs?before=${before}` });
    assert.equal(answer.statusCode, 200, answer.body);
    return answer.json();
  };
  assert.deepEqual(await remove(), { deletedCount: 2, message: 'ログが正常に削除されました' });
  assert.deepEqual(await remove(), { deletedCount: 0, message: 'ログが正常に削除されました' });
  const { content, totalElements, gaps } = (await bodyOf(routes, '/tasks/t/logs')) as {
    content: { message: string; lineNumber: number }[];
    totalElements: number;
    gaps: unknown;
  };
  assert.deepEqual(
    content.map(({ message, lineNumber }) => `${lineNumber} ${message}`),
    ['3 2', '4 3'],
  );
  assert.equal(totalElements, 2);
  assert.deepEqual(gaps, [{ fromLine: 1, toLine: 2, reason: 'trimmed' }]);
});

test('deletions at the same moment forget each line once', async (t) => {
  const routes = await openRoutes(t);
  const run = await new TestRun(routes.reading, 't').open();
  for (let i = 0; i < 20; i++) await run.write({ text: `${i}`, time: T0 + i });
  const answers = await Promise.all(
    [5, 9, 3, 9, 7].map((i) =>
      routes.app.inject({ method: 'DELETE', url: `/tasks/t/logs?before=${new Date(T0 + i).toISOString()}` }),
    ),
  );
  const counts = answers.map((answer) => answer.json<{ deletedCount: number }>().deletedCount);
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    10,
  );
  assert.equal((await bodyOf(routes, '/tasks/t/logs/count')).count, 10);
});

test('what was deleted is not read again, also while somebody follows the task', async (t) => {
  const routes = await openRoutes(t);
  const gone = new AbortController();
  const follower = routes.reading.reader.follow('t', { from: 1, signal: gone.signal });
  const run = await new TestRun(routes.reading, 't').open();
  const first = follower.next();
  await run.write({ text: 'secret', time: T0 });
  await first;
  await run.write({ text: 'later', time: T0 + 5000 });
  await routes.app.inject({ method: 'DELETE', url: `/tasks/t/logs?before=${START}` });
  for (const query of ['?q=e', '/export?plain=true', '?level=INFO']) {
    const { body } = await routes.app.inject(`/tasks/t/logs${query}`);
    assert.ok(!body.includes('secret') && body.includes('later'), `${query}: ${body}`);
  }
  gone.abort();
  await follower.return();
});

test('a task is pinned and let go again', async (t) => {
  const routes = await openRoutes(t);
  await new TestRun(routes.reading, 't').open();
  for (const pinned of [true, true, false]) {
    const answer = await routes.app.inject({ method: 'PUT', url: '/tasks/t/pin', payload: { pinned } });
    assert.deepEqual(answer.json(), { taskId: 't', pinned });
    assert.equal((await bodyOf(routes, '/tasks/t')).pinned, pinned);
  }
});

test('HEAD answers as GET does, without a body', async (t) => {
  const routes = await openRoutes(t);
  await (await new TestRun(routes.reading, 't').open()).write('a');
  for (const path of ['/tasks', '/tasks/t', '/tasks/t/logs', '/tasks/t/logs/count', '/tasks/t/logs/export']) {
    const [get, head] = await Promise.all([routes.app.inject(path), routes.app.inject({ method: 'HEAD', url: path })]);
    assert.deepEqual([head.statusCode, head.rawPayload.length], [200, 0], path);
    assert.equal(head.headers['content-type'], get.headers['content-type']);
    assert.equal(head.headers['cache-control'], 'no-store');
  }
});
