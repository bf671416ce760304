import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { Principal, type Grant } from '../../auth/principal.ts';
import { T0, TestRun, type Reading } from '../../reading.fixture.ts';
import { openRoutes } from './routes.fixture.ts';

interface Answer {
  status: number;
  body: {
    content: { pipelineId: string; taskCount: number }[];
    next: string | null;
    pipelineId: string;
    taskCount: number;
    tasks: { taskId: string }[];
    error: { code: string; message: string };
  };
}

async function setUp(
  t: TestContext,
  grants?: readonly Grant[],
): Promise<{ reading: Reading; get: (url: string) => Promise<Answer> }> {
  const { reading, app } = await openRoutes(t, grants && { principal: new Principal('somebody', grants) });
  const get = async (url: string): Promise<Answer> => {
    const answer = await app.inject(url);
    return { status: answer.statusCode, body: answer.json() };
  };
  return { reading, get };
}

/** A run of a task of a pipeline that wrote a line. */
async function write(reading: Reading, pipelineId: string, task: string, labels = {}): Promise<TestRun> {
  const run = await new TestRun(reading, task).open(labels, { pipelineId });
  await run.write('a');
  return run;
}

const ids = ({ body }: Answer): string[] => body.content.map(({ pipelineId }) => pipelineId);

test('shows a pipeline with its progress and its tasks, the oldest first', async (t) => {
  const { reading, get } = await setUp(t);
  await (await write(reading, 'p', 'build')).end();
  await (await write(reading, 'p', 'check')).end(3);
  await write(reading, 'p', 'deploy');
  await reading.store.annotate('deploy', { progress: 55 }, T0);
  await reading.store.annotate('check', { message: 'two tests failed' }, T0);
  await new TestRun(reading, 'p').open();
  const { status, body } = await get('/pipelines/p');
  assert.equal(status, 200);
  const { tasks, ...pipeline } = body;
  assert.deepEqual(
    tasks.map(({ taskId }) => taskId),
    ['build', 'check', 'deploy'],
  );
  const [first] = await reading.store.tasks({ limit: 9, q: 'build' });
  assert.deepEqual(tasks[0], (await get('/tasks?q=build')).body.content[0]);
  const { createdAt, updatedAt, startedAt, ...rest } = pipeline as unknown as Record<string, unknown>;
  assert.deepEqual(
    [createdAt, startedAt],
    [first.createdAt, first.startedAt].map((time) => new Date(time ?? 0).toISOString()),
  );
  assert.ok(String(updatedAt) > String(createdAt));
  assert.deepEqual(rest, {
    ...{ pipelineId: 'p', status: 'running', progress: 85, taskCount: 3, runCount: 3, openRuns: 1 },
    statusCounts: { pending: 0, running: 1, succeeded: 1, failed: 1, cancelled: 0, lost: 0 },
    ...{ lines: 3, missing: 0, bytes: 6, endedAt: null, errorMessage: 'check: two tests failed', tasksLeftOut: 0 },
  });
});

test('lists pipelines, the newest first, page by page', async (t) => {
  const { reading, get } = await setUp(t);
  assert.deepEqual((await get('/pipelines')).body, { content: [], size: 100, next: null });
  for (const pipeline of ['one', 'two', 'three']) await write(reading, pipeline, `t-${pipeline}`);
  await write(reading, 'one', 'later');
  await new TestRun(reading, 'alone').open();
  const first = await get('/pipelines?size=2');
  assert.deepEqual(ids(first), ['three', 'two']);
  const second = await get(`/pipelines?size=2&after=${first.body.next}`);
  assert.deepEqual([ids(second), second.body.next], [['one'], null]);
  assert.equal(second.body.content[0].taskCount, 2);
  assert.deepEqual(ids(await get('/pipelines?q=O')), ['two', 'one']);
  assert.deepEqual((await get('/pipelines?size=3')).body.next, null);
});

for (const id of ['a b/c', '100%', 'größe', '?q=1#x', '..x']) {
  test(`shows the pipeline ${JSON.stringify(id)} by its encoded id`, async (t) => {
    const { reading, get } = await setUp(t);
    await write(reading, id, 't');
    assert.equal((await get(`/pipelines/${encodeURIComponent(id)}`)).body.pipelineId, id);
    const list = await get(`/pipelines?size=1`);
    assert.deepEqual(ids(list), [id]);
  });
}

const READ_BUILD: Grant = { scope: 'read', tasks: ['build-*'] };
const READ_LABELLED: Grant = { scope: 'read', labels: { team: 'a' } };

for (const [what, grants] of [
  ['by their names', [READ_BUILD]],
  ['by their labels', [READ_LABELLED]],
] as const) {
  test(`who may read some tasks, ${what}, sees them and the pipelines that have any`, async (t) => {
    const { reading, get } = await setUp(t, grants);
    await write(reading, 'p', 'build-1', { team: 'a' });
    await write(reading, 'p', 'secret', { team: 'b' });
    await write(reading, 'hidden', 'other');
    await write(reading, 'q', 'build-2', { team: 'a' });
    const { body } = await get('/pipelines/p');
    assert.deepEqual([body.taskCount, body.tasks.map(({ taskId }) => taskId)], [1, ['build-1']]);
    const list = await get('/pipelines?size=1');
    assert.deepEqual(ids(list), ['q']);
    const rest = await get(`/pipelines?size=5&after=${list.body.next}`);
    assert.deepEqual([ids(rest), rest.body.content[0].taskCount, rest.body.next], [['p'], 1, null]);
    const [hidden, unknown] = [await get('/pipelines/hidden'), await get('/pipelines/unknown')];
    assert.deepEqual([hidden.status, hidden.body.error.code], [404, 'PIPELINE_NOT_FOUND']);
    assert.equal(hidden.body.error.message.replace('hidden', 'unknown'), unknown.body.error.message);
  });
}

const REFUSED: [what: string, url: string, grants: readonly Grant[] | undefined, code: string][] = [
  ['a pipeline that is none', '/pipelines/unknown', undefined, 'PIPELINE_NOT_FOUND'],
  ['a task without a pipeline', '/pipelines/alone', undefined, 'PIPELINE_NOT_FOUND'],
  ['a list for who may only write', '/pipelines', [{ scope: 'ingest' }], 'FORBIDDEN'],
  ['a pipeline for who may only write', '/pipelines/p', [{ scope: 'ingest' }], 'FORBIDDEN'],
  [
    'a cursor of another list',
    `/pipelines?after=${Buffer.from('t.p').toString('base64url')}`,
    undefined,
    'INVALID_CURSOR',
  ],
  ['a cursor that is none', '/pipelines?after=%00', undefined, 'INVALID_CURSOR'],
  ['a size that is none', '/pipelines?size=0', undefined, 'INVALID_INPUT'],
  ['two searches', '/pipelines?q=a&q=b', undefined, 'INVALID_INPUT'],
];

for (const [what, url, grants, code] of REFUSED) {
  test(`refuses ${what}`, async (t) => {
    const { reading, get } = await setUp(t, grants);
    await write(reading, 'p', 't');
    await new TestRun(reading, 'alone').open();
    assert.equal((await get(url)).body.error.code, code);
  });
}
