import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Principal } from '../../auth/principal.ts';
import { TestRun } from '../../reading.fixture.ts';
import { dataOf, field, openStreams, RawStream, type RawEvent } from './otto.fixture.ts';

const stages = (events: RawEvent[]): unknown[] =>
  events.map((event) => {
    const { stageId, status, progressPercentage } = dataOf(event);
    return [stageId, status, progressPercentage];
  });

test('a pipeline that is not there yet shows its tasks as they come, then itself as a whole', async (t) => {
  const { base, reading } = await openStreams(t);
  const stream = await RawStream.open(`${base}/pipelines/p%2F1/progress`);
  assert.equal(stream.response.headers['content-type'], 'text/event-stream');
  const build = await new TestRun(reading, 'build').open({ pod: 'pod-1' }, { pipelineId: 'p/1' });
  const [stage, whole] = await stream.take(2);
  assert.equal(stage[0], 'event: progress');
  assert.deepEqual(Object.keys(dataOf(stage)), [
    ...['pipelineId', 'stageId', 'status', 'progressPercentage', 'message', 'timestamp', 'startedAt', 'completedAt'],
    ...['workerPodNames', 'errorMessage'],
  ]);
  assert.deepEqual([dataOf(stage).pipelineId, dataOf(stage).workerPodNames], ['p/1', ['pod-1']]);
  assert.deepEqual(stages([stage, whole]), [
    ['build', 1, 0],
    ['', 1, 0],
  ]);

  await build.write('lines alone are no progress');
  await reading.store.annotate('build', { progress: 50 }, Date.now());
  assert.deepEqual(stages(await stream.take(2)), [
    ['build', 1, 50],
    ['', 1, 50],
  ]);

  const check = await new TestRun(reading, 'check').open({}, { pipelineId: 'p/1' });
  assert.deepEqual(stages(await stream.take(2)), [
    ['check', 1, 0],
    ['', 1, 25],
  ]);
  await build.end();
  assert.deepEqual(stages(await stream.take(2)), [
    ['build', 2, 100],
    ['', 1, 50],
  ]);
  await check.end(1);
  assert.deepEqual(stages(await stream.take(2)), [
    ['check', 3, 100],
    ['', 3, 100],
  ]);
  const end = await stream.next();
  assert.equal(field(end, 'event'), 'complete');
  assert.deepEqual(Object.keys(dataOf(end)), ['message', 'timestamp', 'clientId']);
  assert.equal(await stream.next(), undefined);
});

test('who comes again gets all of it again, but not after the end', async (t) => {
  const { base, reading } = await openStreams(t);
  const open = (task: string): Promise<TestRun> => new TestRun(reading, task).open({}, { pipelineId: 'p' });
  const [a, b] = [await open('a'), await open('b')];
  await a.end();
  const url = `${base}/pipelines/p/progress?unnamed=true`;
  const first = await RawStream.open(url);
  const seen = await first.take(3);
  assert.deepEqual(stages(seen), [
    ['a', 2, 100],
    ['b', 1, 0],
    ['', 1, 50],
  ]);
  assert.deepEqual(
    seen.map((event) => field(event, 'event')),
    [undefined, undefined, undefined],
  );
  first.close();
  const second = await RawStream.open(url);
  assert.deepEqual(await second.take(3), seen);

  await b.end();
  const ends = await second.rest();
  assert.deepEqual(stages(ends).slice(0, -1), [
    ['b', 2, 100],
    ['', 2, 100],
  ]);
  const headers = { 'last-event-id': field(ends.at(-1), 'id') ?? '' };
  assert.equal((await RawStream.open(url, headers)).response.statusCode, 204);

  const retried = await open('b');
  const third = await RawStream.open(url, headers);
  assert.deepEqual(stages(await third.take(3)), [
    ['a', 2, 100],
    ['b', 1, 0],
    ['', 1, 50],
  ]);
  await retried.end();
  assert.equal(field((await third.rest()).at(-1), 'event'), 'complete');
});

test('a last id that means nothing here, or is of another pipeline, is no end', async (t) => {
  const { base, reading } = await openStreams(t);
  const run = await new TestRun(reading, 'a').open({}, { pipelineId: 'p' });
  for (const id of ['1.1', 'nonsense', '~', '']) {
    for (const pipeline of ['p', 'none']) {
      const stream = await RawStream.open(`${base}/pipelines/${pipeline}/progress`, { 'last-event-id': id });
      assert.equal(stream.response.statusCode, 200, id);
      stream.close();
    }
  }
  await run.end();
});

test('a lone task is a pipeline of its own', async (t) => {
  const { base, reading } = await openStreams(t);
  const run = await new TestRun(reading, 'alone').open();
  const stream = await RawStream.open(`${base}/pipelines/alone/progress`);
  assert.deepEqual(stages(await stream.take(2)), [
    ['alone', 1, 0],
    ['', 1, 0],
  ]);
  await run.end(2);
  assert.deepEqual(stages(await stream.take(2)), [
    ['alone', 3, 100],
    ['', 3, 100],
  ]);
  assert.match(String(dataOf(await stream.next()).message), /완료/);
});

test('of a pipeline, one sees what one may read', async (t) => {
  const principal = new Principal('p', [{ scope: 'read', tasks: ['a'] }]);
  const { base, reading } = await openStreams(t, { principal });
  await new TestRun(reading, 'b').open({}, { pipelineId: 'p' });
  const stream = await RawStream.open(`${base}/pipelines/p/progress`);
  const run = await new TestRun(reading, 'a').open({}, { pipelineId: 'p' });
  assert.deepEqual(stages(await stream.take(2)), [
    ['a', 1, 0],
    ['', 1, 0],
  ]);
  await run.end();
  assert.deepEqual(stages(await stream.take(2)), [
    ['a', 2, 100],
    ['', 2, 100],
  ]);
  assert.equal(field(await stream.next(), 'event'), 'complete');
});

test('a request that can’t be read is refused', async (t) => {
  const { base } = await openStreams(t);
  const answer = await fetch(`${base}/pipelines/p/progress?unnamed=perhaps`);
  assert.equal(answer.status, 400);
  assert.match(((await answer.json()) as { message: string }).message, /perhaps/);
});
