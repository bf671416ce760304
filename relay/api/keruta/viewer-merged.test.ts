import assert from 'node:assert/strict';
import test, { describe, type TestContext } from 'node:test';
import { Random } from '../../../test/random.ts';
import { decodePosition, positionWriter } from '../../../shared/cursor.ts';
import { VIEW_SUBPROTOCOL, type MergedLogMessage, type SubscribeOptions } from '../../../shared/viewer-messages.ts';
import { Principal, type Grant } from '../../auth/principal.ts';
import { openMerged, type MergedReading } from '../../merged/merged.fixture.ts';
import { MergedReader } from '../../merged/merged-reader.ts';
import { Reader } from '../../reader.ts';
import { T0, TestRun, until } from '../../reading.fixture.ts';
import { serveViewers, TestViewer } from './viewer.fixture.ts';
import type { ViewerOptions } from './viewer.ts';

interface Viewing {
  reading: MergedReading;
  url: string;
  viewer: TestViewer;
}

/** A viewer that has subscribed to nothing yet. */
async function setUp(t: TestContext, options: Partial<ViewerOptions> = {}): Promise<Viewing> {
  const reading = await openMerged(t);
  const { url } = await serveViewers(t, reading, { merged: reading.merged, ...options });
  return { reading, url, viewer: await new TestViewer(url, VIEW_SUBPROTOCOL).opened() };
}

type Of = { pipelineId: string } | { all: true };

function subscribe(viewer: TestViewer, subscription: string, of: Of, options: SubscribeOptions = {}): void {
  viewer.say({ type: 'subscribe', subscription, ...of, options });
}

/** Whose principals are made of these grants. */
function caller(...grants: Grant[]): { caller: NonNullable<ViewerOptions['caller']> } {
  return { caller: { address: '10.0.0.1', requestId: 'r', principal: new Principal('key:k', grants) } };
}

test('a pipeline is followed in the order of the store, and its lines say where they are from', async (t) => {
  const { reading, viewer } = await setUp(t);
  const [one, two, other] = [await reading.open('one', 'p'), await reading.open('two', 'p'), await reading.open('x')];
  await one.write('before');
  subscribe(viewer, 's', { pipelineId: 'p' }, { from: 'start' });
  await viewer.saw('log');
  await other.write('of nobody');
  await two.write('second');
  await one.write({ text: 'third', source: 'stderr', level: 'WARN', metadata: '{"a":1}' });
  await viewer.saw('log', 3);
  const cursor = positionWriter(reading.store.epoch());
  const [subscribed] = viewer.of('subscribed');
  assert.deepEqual(
    { ...subscribed, timestamp: '' },
    { type: 'subscribed', subscription: 's', pipelineId: 'p', timestamp: '', cursor: cursor(0) },
  );
  assert.deepEqual(viewer.texts('s'), ['before', 'second', 'third']);
  const log = viewer.of('log')[2];
  assert.deepEqual(log, {
    ...{ type: 'log', id: cursor(3), taskId: 'one', timestamp: new Date(T0).toISOString() },
    ...{ source: 'stderr', level: 'WARN', message: 'third', lineNumber: 2, metadata: { a: 1 } },
    ...{ pipelineId: 'p', workerId: 'test' },
  });
});

test('all tasks are one stream, in frames of arrays if that is wanted', async (t) => {
  const { reading, viewer } = await setUp(t);
  const runs = [await reading.open('one', 'p'), await reading.open('two', 'q'), await reading.open('three')];
  for (let i = 0; i < 300; i++) await runs[i % 3].write(`${2 * i}`, `${2 * i + 1}`);
  subscribe(viewer, 's', { all: true }, { from: 'start', batch: true });
  await viewer.saw('log', 600);
  assert.deepEqual(
    viewer.texts('s'),
    Array.from({ length: 600 }, (_, index) => `${index}`),
  );
  assert.ok(viewer.frames.length < 320, `${viewer.frames.length} frames`);
});

test('gaps say whose they are, and the end of a pipeline what became of it', async (t) => {
  const { reading, viewer } = await setUp(t);
  const [one, two] = [await reading.open('one', 'p'), await reading.open('two', 'p')];
  subscribe(viewer, 's', { pipelineId: 'p' }, { from: 'start' });
  await one.write('line');
  await two.gap(3);
  await one.end();
  await two.end(7);
  await viewer.saw('end');
  const cursor = positionWriter(reading.store.epoch());
  assert.deepEqual(
    viewer.within('s').filter(({ type }) => type === 'gap' || type === 'end'),
    [
      {
        ...{ type: 'gap', taskId: 'two', pipelineId: 'p', fromLine: 1, toLine: 3, lines: 3, reason: 'dropped' },
        cursor: cursor(4),
      },
      {
        ...{ type: 'end', pipelineId: 'p', status: 'failed', tasks: 2, runs: 2, lines: 1, missing: 3 },
        statuses: { pending: 0, running: 0, succeeded: 1, failed: 1, cancelled: 0, lost: 0 },
        cursor: cursor(4),
      },
    ],
  );
});

test('whose worker wrote a line is told of each line', async (t) => {
  const { reading, viewer } = await setUp(t);
  const open = (workerId: string): Promise<TestRun> => new TestRun(reading, 't').open({}, { workerId });
  const [a, b] = [await open('w-a'), await open('w-b')];
  for (let i = 0; i < 20; i++) await (i % 2 === 0 ? a : b).write(`${i}`);
  subscribe(viewer, 'all', { all: true }, { from: 'start' });
  subscribe(viewer, 'b', { all: true }, { from: 'start', workers: ['w-b'] });
  await viewer.saw('log', 30);
  const workers = (name: string): (string | undefined)[] =>
    viewer.within(name).flatMap((message) => (message.type === 'log' ? (message as MergedLogMessage).workerId : []));
  assert.deepEqual(
    workers('all'),
    Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? 'w-a' : 'w-b')),
  );
  assert.deepEqual(
    workers('b'),
    Array.from({ length: 10 }, () => 'w-b'),
  );
});

for (const { what, options, texts } of [
  { what: 'now', options: {}, texts: ['five'] },
  { what: 'the start', options: { from: 'start' }, texts: ['one', 'two', 'three', 'four', 'five'] },
  { what: 'the last two', options: { tail: 2 }, texts: ['three', 'four', 'five'] },
  { what: 'no line before the end', options: { tail: 0 }, texts: ['five'] },
  { what: 'more than there are', options: { tail: 9 }, texts: ['one', 'two', 'three', 'four', 'five'] },
  { what: 'the last that matches', options: { tail: 1, q: 'o' }, texts: ['four'] },
]) {
  test(`a stream of all from ${what}`, async (t) => {
    const { reading, viewer } = await setUp(t);
    const [one, two] = [await reading.open('one'), await reading.open('two')];
    await one.write('one', 'two');
    await two.write('three', 'four');
    subscribe(viewer, 's', { all: true }, options);
    await viewer.saw('subscribed');
    await one.write('five');
    await viewer.saw('log', texts.length);
    assert.deepEqual(viewer.texts('s'), texts);
  });
}

test('with realtime false it ends at the head, also if nobody has heard of the pipeline', async (t) => {
  const { reading, viewer } = await setUp(t);
  await (await reading.open('one', 'p')).write('one');
  subscribe(viewer, 's', { pipelineId: 'p' }, { from: 'start', realtime: false });
  await viewer.saw('unsubscribed');
  subscribe(viewer, 'none', { pipelineId: 'nobody' }, { from: 'start', realtime: false });
  await viewer.saw('unsubscribed', 2);
  assert.deepEqual(
    viewer
      .of('unsubscribed')
      .map(({ subscription, pipelineId, cursor = '' }) => [subscription, pipelineId, decodePosition(cursor)?.position]),
    [
      ['s', 'p', 1],
      ['none', 'nobody', 1],
    ],
  );
  assert.deepEqual([viewer.texts('s'), viewer.texts('none')], [['one'], []]);
});

test('another filter goes on from the place, another target does not', async (t) => {
  const { reading, viewer } = await setUp(t);
  const [one, two] = [await reading.open('one', 'p'), await reading.open('two', 'q')];
  subscribe(viewer, 's', { pipelineId: 'p' });
  await viewer.saw('subscribed');
  await one.write('one');
  await viewer.saw('log');
  subscribe(viewer, 's', { pipelineId: 'p' }, { levels: ['ERROR'] });
  await viewer.saw('subscribed', 2);
  await one.write('info', { text: 'error', level: 'ERROR' });
  await two.write('before');
  await viewer.saw('log', 2);
  subscribe(viewer, 's', { pipelineId: 'q' });
  await viewer.saw('subscribed', 3);
  await two.write('after');
  await viewer.saw('log', 3);
  assert.deepEqual(viewer.texts('s'), ['one', 'error', 'after']);
});

test('a cursor goes on where another relay process on the same store stopped, and one of another store is refused', async (t) => {
  const { reading, url, viewer } = await setUp(t);
  const runs = [await reading.open('one', 'p'), await reading.open('two', 'p'), await reading.open('x')];
  for (let i = 0; i < 60; i++) await runs[i % 3].write(`${i}`);
  subscribe(viewer, 's', { pipelineId: 'p' }, { from: 'start' });
  await viewer.saw('log', 40);
  viewer.socket.terminate();
  const reader = new Reader({ store: reading.store });
  const again = await serveViewers(
    t,
    { ...reading, reader },
    { merged: new MergedReader({ store: reading.store, reader }) },
  );
  assert.notEqual(again.url, url);
  const texts = viewer.texts('s');
  const next = await new TestViewer(again.url, VIEW_SUBPROTOCOL).opened();
  for (const [index, { id }] of viewer.of('log').entries()) {
    subscribe(next, `after ${index}`, { pipelineId: 'p' }, { after: id, realtime: false });
    subscribe(next, `from ${index}`, { pipelineId: 'p' }, { from: id, realtime: false });
  }
  await next.saw('unsubscribed', 80);
  for (const index of texts.keys()) {
    assert.deepEqual(next.texts(`after ${index}`), texts.slice(index + 1));
    assert.deepEqual(next.texts(`from ${index}`), texts.slice(index));
  }
  subscribe(next, 'foreign', { all: true }, { from: positionWriter('another')(3) });
  await next.saw('error');
  const [{ code, subscription, all }] = next.of('error');
  assert.deepEqual([code, subscription, all], ['INVALID_CURSOR', 'foreign', true]);
});

test('who comes back to lines that were trimmed meanwhile is told of them, and goes on behind them', async (t) => {
  const { reading, url, viewer } = await setUp(t);
  const [one, two] = [await reading.open('one', 'p'), await reading.open('two', 'p')];
  for (const text of ['a', 'b', 'c']) for (const run of [one, two]) await run.write(text);
  subscribe(viewer, 'all', { all: true }, { from: 'start' });
  await viewer.saw('log', 6);
  // The first has seen nothing but the first line, the others more and more of what is trimmed then.
  const ids = viewer.within('all').flatMap((message) => (message.type === 'log' ? message.id : []));
  viewer.socket.terminate();
  await reading.reader.deleteUntil('one', T0);
  await one.write('d');
  const next = await new TestViewer(url, VIEW_SUBPROTOCOL).opened();
  const shown = (name: string): string[] =>
    next.within(name).flatMap((message) => {
      if (message.type === 'log') return `${message.taskId} ${message.message}`;
      if (message.type !== 'gap') return [];
      return `gap ${message.taskId ?? 'nobody'} ${message.reason}`;
    });
  for (const [index, id] of ids.entries()) {
    subscribe(next, `all ${index}`, { all: true }, { after: id, realtime: false });
    subscribe(next, `p ${index}`, { pipelineId: 'p' }, { after: id, realtime: false });
  }
  await next.saw('unsubscribed', 2 * ids.length);
  const hole = 'gap nobody trimmed';
  const all = ['two a', hole, 'two b', hole, 'two c', 'one d'];
  const p = ['two a', 'two b', 'gap one trimmed', 'two c', 'one d'];
  assert.deepEqual(
    ids.map((_, index) => [shown(`all ${index}`), shown(`p ${index}`)]),
    [
      [all, p],
      [all.slice(1), p.slice(1)],
      [all.slice(2), p.slice(1)],
      [all.slice(3), p.slice(2)],
      [all.slice(4), p.slice(3)],
      [all.slice(5), p.slice(4)],
    ],
  );
});

test('viewers that come back in a loop, and go without a word, leave nothing behind', async (t) => {
  const { reading, url, viewer } = await setUp(t);
  const run = await reading.open('one', 'p');
  await run.write('one');
  for (let i = 0; i < 20; i++) {
    const one = await new TestViewer(url, VIEW_SUBPROTOCOL).opened();
    subscribe(one, 'all', { all: true }, { from: 'start' });
    subscribe(one, 'pipeline', { pipelineId: 'p' }, { tail: 1, q: 'o' });
    one.say({ type: 'subscribe', subscription: 'task', taskId: 'one', options: { from: 'start' } });
    if (i % 2 === 0) await one.saw('log', 3);
    one.socket.terminate();
  }
  viewer.socket.close();
  await until(() => reading.reader.followed.readers === 0);
  assert.deepEqual([reading.merged.tail.bytes, reading.tail.bytes], [0, 0]);
});

describe('of many tasks a viewer sees', () => {
  test('those that its token grants, and of the end no more than those', async (t) => {
    const { reading, viewer } = await setUp(t, caller({ scope: 'read', tasks: ['mine-*'] }));
    const [mine, yours] = [await reading.open('mine-1', 'p'), await reading.open('yours', 'p')];
    subscribe(viewer, 'p', { pipelineId: 'p' }, { from: 'start' });
    subscribe(viewer, 'all', { all: true }, { from: 'start' });
    await yours.write('secret');
    await yours.gap(2);
    await mine.write('seen');
    await yours.end(1);
    await mine.end();
    await viewer.saw('end');
    assert.deepEqual([viewer.texts('p'), viewer.texts('all')], [['seen'], ['seen']]);
    assert.deepEqual(viewer.of('gap'), []);
    const [end] = viewer.within('p').filter(({ type }) => type === 'end');
    const { status, tasks, lines, missing } = end as unknown as Record<string, unknown>;
    assert.deepEqual([status, tasks, lines, missing], ['succeeded', 1, 1, 0]);
  });

  test('nothing of a pipeline in which it may read nothing, not even its end', async (t) => {
    const { reading, viewer } = await setUp(t, caller({ scope: 'read', tasks: ['mine-*'] }));
    const yours = await reading.open('yours', 'p');
    await yours.write('secret');
    await yours.end();
    subscribe(viewer, 'p', { pipelineId: 'p' }, { from: 'start', realtime: false });
    await viewer.saw('unsubscribed');
    assert.deepEqual(
      viewer.messages.map(({ type }) => type),
      ['subscribed', 'unsubscribed'],
    );
  });

  test('those whose labels its token grants', async (t) => {
    const { reading, viewer } = await setUp(t, caller({ scope: 'read', labels: { team: 'web' } }));
    const [web, ops] = [
      await reading.open('web', 'p', { team: 'web' }),
      await reading.open('ops', 'p', { team: 'ops' }),
    ];
    subscribe(viewer, 's', { all: true }, { from: 'start' });
    for (let i = 0; i < 3; i++) {
      await ops.write('secret');
      await web.write(`${i}`);
    }
    await viewer.saw('log', 3);
    assert.deepEqual(viewer.texts('s'), ['0', '1', '2']);
  });

  test('nothing without read', async (t) => {
    const { viewer } = await setUp(t, caller({ scope: 'ingest' }));
    subscribe(viewer, 's', { all: true });
    await viewer.saw('error');
    const [{ code, subscription }] = viewer.of('error');
    assert.deepEqual([code, subscription], ['FORBIDDEN', 's']);
  });

  test('no more than the token of now grants', async (t) => {
    const tokens: Record<string, Grant[]> = {
      less: [{ scope: 'read', tasks: ['mine-*'] }],
      none: [{ scope: 'ingest' }],
    };
    const authenticate = (token: string): Promise<Principal> => Promise.resolve(new Principal('key:k', tokens[token]));
    const { reading, viewer } = await setUp(t, { ...caller({ scope: 'read' }), authenticate });
    const [mine, yours] = [await reading.open('mine-1'), await reading.open('yours')];
    subscribe(viewer, 's', { all: true });
    await viewer.saw('subscribed');
    await yours.write('one');
    await viewer.saw('log');
    viewer.say({ type: 'auth', token: 'less' });
    await viewer.saw('authenticated');
    await yours.write('secret');
    await mine.write('two');
    await viewer.saw('log', 2);
    viewer.say({ type: 'auth', token: 'none' });
    await viewer.saw('error');
    await mine.write('secret');
    viewer.say({ type: 'ping' });
    await viewer.saw('pong');
    assert.deepEqual(viewer.texts('s'), ['one', 'two']);
    assert.deepEqual(
      viewer.of('error').map(({ code, subscription }) => [code, subscription]),
      [['FORBIDDEN', 's']],
    );
  });
});

test('named tasks, pipelines and all on one socket during a flood: every line where it belongs, once and in order', async (t) => {
  const random = new Random(4);
  const { reading, viewer } = await setUp(t);
  const runs = await Promise.all(
    ['a', 'b', 'c', 'd'].map((task, i) => reading.open(task, ['p', 'p', 'q', undefined][i])),
  );
  const groups: Record<string, string[]> = { all: ['a', 'b', 'c', 'd'], p: ['a', 'b'], q: ['c'], d: ['d'] };
  const written: { task: string; text: string }[] = [];
  for (let step = 0; step < 200; step++) {
    if (step % 20 === 0) {
      const from = { from: 'start' };
      subscribe(viewer, `all ${step}`, { all: true }, { ...from, q: `${step % 3}`, batch: step % 40 === 0 });
      for (const pipelineId of ['p', 'q', 'd']) subscribe(viewer, `${pipelineId} ${step}`, { pipelineId }, from);
      viewer.say({ type: 'subscribe', subscription: `a ${step}`, taskId: 'a', options: from });
    }
    const run = random.pick(runs);
    const lines = Array.from({ length: 1 + random.below(9) }, (_, i) => `${step} ${i}`);
    written.push(...lines.map((text) => ({ task: run.task, text })));
    await run.write(...lines);
  }
  const wanted = (name: string): string[] => {
    const [group, step] = name.split(' ');
    const tasks = groups[group] ?? [group];
    const texts = written.filter(({ task }) => tasks.includes(task)).map(({ text }) => text);
    return group === 'all' ? texts.filter((text) => text.includes(`${Number(step) % 3}`)) : texts;
  };
  for (let step = 0; step < 200; step += 20) {
    for (const group of ['all', 'p', 'q', 'd', 'a']) {
      const name = `${group} ${step}`;
      await until(() => viewer.texts(name).length >= wanted(name).length);
      assert.deepEqual(viewer.texts(name), wanted(name), name);
    }
  }
});
