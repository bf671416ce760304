import assert from 'node:assert/strict';
import test, { describe, type TestContext } from 'node:test';
import { Random } from '../../../test/random.ts';
import { decodeCursor } from '../../../shared/cursor.ts';
import { VIEW_SUBPROTOCOL, type LogMessage, type SubscribeOptions } from '../../../shared/viewer-messages.ts';
import { openReading, TestRun, until, type Reading } from '../../reading.fixture.ts';
import { serveViewers, TestViewer } from './viewer.fixture.ts';
import type { ViewerOptions } from './viewer.ts';

interface Viewing {
  reading: Reading;
  run: TestRun;
  viewer: TestViewer;
}

/** A task `t` with an open run, and a viewer that has subscribed to nothing yet. */
async function setUp(t: TestContext, options: Partial<ViewerOptions> = {}): Promise<Viewing> {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  const { url } = await serveViewers(t, reading, options);
  return { reading, run, viewer: await new TestViewer(url, VIEW_SUBPROTOCOL).opened() };
}

function subscribe(viewer: TestViewer, subscription: string, options: SubscribeOptions = {}, taskId = 't'): void {
  viewer.say({ type: 'subscribe', subscription, taskId, options });
}

test('two subscriptions of one task each get what they asked for', async (t) => {
  const { run, viewer } = await setUp(t);
  subscribe(viewer, 'errors', { levels: ['ERROR'] });
  subscribe(viewer, 'all');
  await viewer.saw('subscribed', 2);
  await run.write('one', { text: 'two', level: 'ERROR' });
  await run.write({ text: 'three', level: 'ERROR' }, 'four');
  await viewer.saw('log', 6);
  assert.deepEqual(viewer.texts('errors'), ['two', 'three']);
  assert.deepEqual(viewer.texts('all'), ['one', 'two', 'three', 'four']);
  assert.deepEqual(viewer.texts(null), []);
});

test('the first answer says the name, the task, and the place', async (t) => {
  const { run, viewer } = await setUp(t);
  await run.write('one');
  subscribe(viewer, 's', { from: 'start', realtime: false });
  await viewer.saw('unsubscribed');
  const [subscribed] = viewer.of('subscribed');
  const [unsubscribed] = viewer.of('unsubscribed');
  assert.deepEqual(
    { ...subscribed, timestamp: '', cursor: decodeCursor(subscribed.cursor)?.line },
    { type: 'subscribed', subscription: 's', taskId: 't', timestamp: '', cursor: 1, firstLine: 1, lastLine: 1 },
  );
  assert.deepEqual(
    { ...unsubscribed, timestamp: '', cursor: decodeCursor(unsubscribed.cursor ?? '')?.line },
    { type: 'unsubscribed', subscription: 's', taskId: 't', timestamp: '', cursor: 2 },
  );
  assert.deepEqual(
    viewer.messages.map(({ type }) => type),
    ['subscribed', 'for', 'log', 'unsubscribed'],
  );
});

test('whose lines follow is said once for as long as it stays the same', async (t) => {
  const { run, viewer } = await setUp(t);
  subscribe(viewer, 'only');
  await viewer.saw('subscribed');
  for (const text of ['one', 'two', 'three']) {
    await run.write(text);
    await until(() => viewer.texts('only').includes(text));
  }
  assert.deepEqual(viewer.of('for'), [{ type: 'for', subscription: 'only' }]);
});

test('whoever names nothing is told of no names', async (t) => {
  const { reading, run, viewer } = await setUp(t);
  const other = await new TestRun(reading, 'u').open();
  for (const taskId of ['t', 'u']) viewer.say({ type: 'subscribe', taskId, options: { from: 'start' } });
  await viewer.saw('subscribed', 2);
  for (let i = 0; i < 5; i++) {
    await run.write('of t');
    await other.write('of u');
  }
  await viewer.saw('log', 10);
  viewer.say({ type: 'unsubscribe', taskId: 'u' });
  await viewer.saw('unsubscribed');
  assert.deepEqual(viewer.of('for'), []);
  assert.ok(viewer.messages.every((message) => !('subscription' in message)));
});

test('a task may be watched with and without a name', async (t) => {
  const { run, viewer } = await setUp(t);
  viewer.say({ type: 'subscribe', taskId: 't' });
  subscribe(viewer, 't', { q: 'o' });
  await viewer.saw('subscribed', 2);
  for (const text of ['one', 'e', 'two']) await run.write(text);
  await viewer.saw('log', 5);
  viewer.say({ type: 'unsubscribe', taskId: 't' });
  await viewer.saw('unsubscribed');
  await run.write('four');
  await viewer.saw('log', 6);
  assert.deepEqual(viewer.texts(null), ['one', 'e', 'two']);
  assert.deepEqual(viewer.texts('t'), ['one', 'two', 'four']);
});

test('the same name again replaces the filter, and goes on from its place', async (t) => {
  const { run, viewer } = await setUp(t);
  subscribe(viewer, 's');
  await viewer.saw('subscribed');
  await run.write('one', 'two');
  await viewer.saw('log', 2);
  subscribe(viewer, 's', { levels: ['ERROR'] });
  await viewer.saw('subscribed', 2);
  await run.write('three', { text: 'four', level: 'ERROR' });
  await viewer.saw('log', 3);
  subscribe(viewer, 's', { from: 2 });
  await until(() => viewer.texts('s').length === 6);
  assert.deepEqual(viewer.texts('s'), ['one', 'two', 'four', 'two', 'three', 'four']);
});

test('a place that was asked for is not forgotten because another filter came before it was found', async (t) => {
  const { run, viewer } = await setUp(t);
  subscribe(viewer, 's');
  await viewer.saw('subscribed');
  await run.write('one', { text: 'two', level: 'ERROR' });
  await viewer.saw('log', 2);
  subscribe(viewer, 's', { from: 'start' });
  subscribe(viewer, 's', { levels: ['ERROR'] });
  await until(() => viewer.texts('s').at(-1) === 'two' && viewer.of('log').length > 2);
  assert.ok(viewer.texts('s').filter((text) => text === 'two').length === 2);
});

test('the same name for another task starts anew', async (t) => {
  const { reading, run, viewer } = await setUp(t);
  const other = await new TestRun(reading, 'u').open();
  await other.write('before', 'before');
  subscribe(viewer, 's');
  await viewer.saw('subscribed');
  await run.write('one');
  await viewer.saw('log');
  subscribe(viewer, 's', {}, 'u');
  await viewer.saw('subscribed', 2);
  await run.write('unseen');
  await other.write('now');
  await viewer.saw('log', 2);
  assert.deepEqual(viewer.texts('s'), ['one', 'now']);
});

test('one of several ends by its name, and the others go on', async (t) => {
  const { run, viewer } = await setUp(t);
  subscribe(viewer, 'a');
  subscribe(viewer, 'b');
  await viewer.saw('subscribed', 2);
  viewer.say({ type: 'unsubscribe', subscription: 'a' });
  viewer.say({ type: 'unsubscribe', subscription: 'never' });
  await viewer.saw('unsubscribed', 2);
  await run.write('one');
  await viewer.saw('log');
  assert.deepEqual([viewer.texts('a'), viewer.texts('b')], [[], ['one']]);
  assert.deepEqual(
    viewer.of('unsubscribed').map(({ timestamp: _timestamp, ...said }) => said),
    [
      { type: 'unsubscribed', subscription: 'a', taskId: 't' },
      { type: 'unsubscribed', subscription: 'never' },
    ],
  );
});

test('pings say of each subscription where it is', async (t) => {
  const { run, viewer } = await setUp(t, { pingEveryMs: 5 });
  subscribe(viewer, 'needles', { q: 'needle', from: 'start' });
  subscribe(viewer, 'all', { from: 'start' });
  await run.write('hay', 'hay');
  const at = (name: string): number | undefined =>
    decodeCursor(viewer.of('ping').findLast(({ subscription }) => subscription === name)?.cursor ?? '')?.line;
  await until(() => at('needles') === 3 && at('all') === 3);
  assert.deepEqual(viewer.texts('needles'), []);
});

test('what is wrong with a subscription is said with its name, and the others go on', async (t) => {
  const { run, viewer } = await setUp(t);
  subscribe(viewer, 'good');
  viewer.say({ type: 'subscribe', subscription: 'type', taskId: 't', options: { batch: 'yes' } });
  viewer.say({ type: 'subscribe', subscription: 'value', taskId: 't', options: { regex: '(' } });
  subscribe(viewer, 'cursor', { after: 'none' });
  subscribe(viewer, 'unknown', { realtime: false }, 'unknown');
  viewer.say({ type: 'subscribe', subscription: 'nothing' });
  subscribe(viewer, 'no task', {}, '');
  viewer.say({ type: 'subscribe', subscription: 'no pipeline', pipelineId: 'x'.repeat(1025) });
  viewer.say({ type: 'subscribe', subscription: 'no text', taskId: 5 });
  await viewer.saw('error', 8);
  await run.write('one');
  await viewer.saw('log');
  assert.deepEqual(viewer.texts('good'), ['one']);
  assert.deepEqual(
    viewer
      .of('error')
      .map(({ code, subscription, taskId }) => [code, subscription, taskId])
      .sort(),
    [
      ['INVALID_CURSOR', 'cursor', 't'],
      ['INVALID_INPUT', 'no pipeline', undefined],
      ['INVALID_INPUT', 'no task', undefined],
      ['INVALID_INPUT', 'nothing', undefined],
      ['INVALID_INPUT', 'value', 't'],
      ['INVALID_MESSAGE_FORMAT', 'no text', undefined],
      ['INVALID_MESSAGE_FORMAT', 'type', 't'],
      ['TASK_NOT_FOUND', 'unknown', 'unknown'],
    ],
  );
});

describe('a message that can be no subscription is refused, and the socket stays:', () => {
  for (const { what, message, code } of [
    { what: 'a name that is a number', message: { subscription: 1, taskId: 't' }, code: 'INVALID_MESSAGE_FORMAT' },
    { what: 'a name that is null', message: { subscription: null, taskId: 't' }, code: 'INVALID_MESSAGE_FORMAT' },
    { what: 'an empty name', message: { subscription: '', taskId: 't' }, code: 'INVALID_INPUT' },
    { what: 'a name that is too long', message: { subscription: 'x'.repeat(65), taskId: 't' }, code: 'INVALID_INPUT' },
    { what: 'two targets', message: { subscription: 's', taskId: 't', all: true }, code: 'INVALID_INPUT' },
    { what: 'all without a name', message: { all: true }, code: 'INVALID_INPUT' },
    { what: 'a pipeline without a name', message: { pipelineId: 'p' }, code: 'INVALID_INPUT' },
    { what: 'an empty pipeline id', message: { subscription: 's', pipelineId: '' }, code: 'INVALID_INPUT' },
    { what: 'a long pipeline id', message: { subscription: 's', pipelineId: 'x'.repeat(1025) }, code: 'INVALID_INPUT' },
    {
      what: 'a pipeline id of another type',
      message: { subscription: 's', pipelineId: 5 },
      code: 'INVALID_MESSAGE_FORMAT',
    },
    { what: 'all that is no boolean', message: { subscription: 's', all: 'yes' }, code: 'INVALID_MESSAGE_FORMAT' },
    { what: 'nothing on a path without a task', message: {}, code: 'INVALID_INPUT' },
    { what: 'all: false and nothing else', message: { subscription: 's', all: false }, code: 'INVALID_INPUT' },
    {
      what: 'a line number for more than one task',
      message: { subscription: 's', all: true, options: { from: 3 } },
      code: 'INVALID_INPUT',
    },
    {
      what: 'runs that are waited for of more than one task',
      message: { subscription: 's', all: true, options: { expectRuns: 2 } },
      code: 'INVALID_INPUT',
    },
    {
      what: 'very many last lines of more than one task',
      message: { subscription: 's', all: true, options: { tail: 1001 } },
      code: 'INVALID_INPUT',
    },
    {
      what: 'the cursor of a line number for more than one task',
      message: { subscription: 's', all: true, options: { after: 'MDFLQS4x' } },
      code: 'INVALID_CURSOR',
    },
    { what: 'an unsubscribe that says nothing', message: { type: 'unsubscribe' }, code: 'INVALID_INPUT' },
    { what: 'a log that says no task', message: { type: 'log', message: 'm' }, code: 'INVALID_INPUT' },
  ]) {
    test(what, async (t) => {
      const { viewer } = await setUp(t);
      viewer.say({ type: 'subscribe', ...message });
      await viewer.saw('error');
      assert.equal(viewer.of('error')[0].code, code);
      viewer.say({ type: 'ping' });
      await viewer.saw('pong');
      assert.equal(viewer.of('subscribed').length, 0);
    });
  }
});

test('a socket has a hundred subscriptions at most, and one that ends makes room', async (t) => {
  const { viewer } = await setUp(t);
  for (let i = 0; i <= 100; i++) subscribe(viewer, `s${i}`);
  await viewer.saw('error');
  const [{ code, subscription }] = viewer.of('error');
  assert.deepEqual([code, subscription], ['INVALID_INPUT', 's100']);
  await viewer.saw('subscribed', 100);
  subscribe(viewer, 's7', { levels: ['ERROR'] });
  await viewer.saw('subscribed', 101);
  viewer.say({ type: 'unsubscribe', subscription: 's7' });
  subscribe(viewer, 's100');
  await viewer.saw('subscribed', 102);
  assert.equal(viewer.of('error').length, 1);
});

test('many subscriptions of a socket that does not read cost what one does, and all get everything later', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  const { url, server } = await serveViewers(t, reading);
  const viewer = await new TestViewer(url, VIEW_SUBPROTOCOL).opened();
  for (let i = 0; i < 30; i++) subscribe(viewer, `s${i}`, { from: 'start', batch: true });
  await viewer.saw('subscribed', 30);
  viewer.socket.pause();
  const text = 'x'.repeat(1000);
  for (let i = 0; i < 20; i++)
    await run.write(...Array.from({ length: 200 }, (_, line) => `${i * 200 + line} ${text}`));
  const [socket] = server.clients;
  await until(() => socket.bufferedAmount > 0);
  for (let turns = 0; turns < 1000; turns++) await new Promise(setImmediate);
  assert.ok(socket.bufferedAmount < 2 * 1024 * 1024, `${socket.bufferedAmount} bytes are held`);
  viewer.socket.resume();
  await viewer.saw('log', 30 * 4000);
  for (let i = 0; i < 30; i++) {
    const numbers = viewer.within(`s${i}`).flatMap((message) => (message.type === 'log' ? message.lineNumber : []));
    assert.deepEqual(
      numbers,
      [...Array(4000).keys()].map((index) => index + 1),
    );
  }
});

test('a flood finds each line in its subscription, once and in order, whatever is subscribed and replaced meanwhile', async (t) => {
  const random = new Random(20261121);
  const reading = await openReading(t);
  const tasks = ['a', 'b', 'c'];
  const runs = await Promise.all(tasks.map((task) => new TestRun(reading, task).open()));
  const { url } = await serveViewers(t, reading);
  const viewer = await new TestViewer(url, VIEW_SUBPROTOCOL).opened();
  const words = ['alpha', 'beta', 'gamma'];
  const written = new Map(tasks.map((task) => [task, [] as string[]]));
  const open = new Map<string, { task: string; q: string }>();
  for (let step = 0; step < 400; step++) {
    const run = random.pick(runs);
    const lines = Array.from({ length: 1 + random.below(20) }, () => `${random.pick(words)} ${step}`);
    written.get(run.task)?.push(...lines);
    await run.write(...lines);
    if (step % 4 !== 0) continue;
    const name = `s${random.below(12)}`;
    if (random.below(4) === 0 && open.has(name)) {
      open.delete(name);
      viewer.say({ type: 'unsubscribe', subscription: name });
      continue;
    }
    // The name says what it is to get, so that each line can be judged by itself.
    const [task, q] = [random.pick(tasks), random.pick(words)];
    open.set(name, { task, q });
    subscribe(viewer, name, { from: 'start', q, batch: random.below(2) === 0 }, task);
  }
  const last = (name: string): LogMessage[] => {
    const within = viewer.within(name);
    const from = within.findLastIndex(({ type }) => type === 'subscribed' || type === 'unsubscribed');
    return within.slice(from + 1).filter((message): message is LogMessage => message.type === 'log');
  };
  const wanted = ({ task, q }: { task: string; q: string }): string[] =>
    (written.get(task) ?? []).filter((text) => text.startsWith(q));
  for (const [name, one] of open)
    await until(() => last(name).length >= wanted(one).length && last(name).at(0)?.taskId === one.task);
  for (const [name, one] of open) {
    assert.deepEqual(
      last(name).map(({ message }) => message),
      wanted(one),
      name,
    );
    assert.ok(last(name).every(({ taskId }) => taskId === one.task));
  }
});
