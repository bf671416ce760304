import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import { decodeCursor, encodeCursor } from '../../../shared/cursor.ts';
import { KIND_MORE, KIND_REST } from '../../../shared/line.ts';
import { VIEW_SUBPROTOCOL, type SubscribeOptions } from '../../../shared/viewer-messages.ts';
import { openReading, T0, TestRun, until, type Reading } from '../../reading.fixture.ts';
import { serveViewers, TestViewer, type ViewerServer } from './viewer.fixture.ts';

async function setUp(t: TestContext): Promise<{ reading: Reading; run: TestRun; server: ViewerServer }> {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  return { reading, run, server: await serveViewers(t, reading) };
}

/** A viewer that says itself what it wants. */
async function subscribe({ url }: ViewerServer, options: SubscribeOptions = {}, taskId = 't'): Promise<TestViewer> {
  const viewer = await new TestViewer(`${url}/${taskId}`, VIEW_SUBPROTOCOL).opened();
  viewer.say({ type: 'subscribe', taskId, options });
  return viewer;
}

test('a bare connect is subscribed from now on, and every field is there', async (t) => {
  const { reading, run, server } = await setUp(t);
  await run.write('before');
  const viewer = await new TestViewer(`${server.url}/t`).opened();
  await viewer.saw('subscribed');
  const epoch = reading.store.epoch();
  const [subscribed] = viewer.of('subscribed');
  assert.deepEqual(subscribed, {
    type: 'subscribed',
    taskId: 't',
    timestamp: subscribed.timestamp,
    cursor: encodeCursor({ epoch, line: 2 }),
    firstLine: 1,
    lastLine: 1,
  });
  await run.write({ text: 'tab\t"quote" 日本語 \x1b[31m', source: 'stderr', level: 'WARN', metadata: '{"a":1}' }, '');
  await viewer.saw('log', 2);
  const line = { type: 'log', taskId: 't', timestamp: new Date(T0).toISOString() };
  assert.deepEqual(viewer.of('log'), [
    {
      ...line,
      id: encodeCursor({ epoch, line: 2 }),
      source: 'stderr',
      level: 'WARN',
      message: 'tab\t"quote" 日本語 \x1b[31m',
      lineNumber: 2,
      metadata: { a: 1 },
    },
    {
      ...line,
      id: encodeCursor({ epoch, line: 3 }),
      source: 'stdout',
      level: 'INFO',
      message: '',
      lineNumber: 3,
      metadata: {},
    },
  ]);
  assert.ok(viewer.frames.every((frame) => !frame.startsWith('[')));
});

test('metadata that is no JSON object is shown as what it is', async (t) => {
  const { run, server } = await setUp(t);
  await run.write({ text: 'x', metadata: '{broken' }, { text: 'y', metadata: '[1]' });
  const viewer = await subscribe(server, { from: 'start' });
  await viewer.saw('log', 2);
  assert.deepEqual(
    viewer.of('log').map((log) => log.metadata),
    [{ unreadable: '{broken' }, { unreadable: '[1]' }],
  );
});

test('pieces of a longer line say so, and whose they are', async (t) => {
  const { run, server } = await setUp(t);
  await run.write(
    { text: 'ab', flags: KIND_MORE },
    { text: 'cd', flags: KIND_REST | KIND_MORE },
    { text: 'ef', flags: KIND_REST },
    'g',
  );
  const viewer = await subscribe(server, { from: 'start' });
  await viewer.saw('log', 4);
  assert.deepEqual(
    viewer.of('log').map(({ message, more, rest, run: whose }) => ({ message, more, rest, whose })),
    [
      { message: 'ab', more: true, rest: undefined, whose: run.run },
      { message: 'cd', more: true, rest: true, whose: run.run },
      { message: 'ef', more: undefined, rest: true, whose: run.run },
      { message: 'g', more: undefined, rest: undefined, whose: undefined },
    ],
  );
});

for (const { what, options, lines } of [
  { what: 'start', options: { from: 'start' }, lines: ['1 one', '2 two', '3 three', '4 four'] },
  { what: 'a line number', options: { from: 3 }, lines: ['3 three', '4 four'] },
  { what: 'a line number as text', options: { from: '3' }, lines: ['3 three', '4 four'] },
  { what: 'now', options: { from: 'now' }, lines: ['4 four'] },
  { what: 'nothing', options: {}, lines: ['4 four'] },
  { what: 'the last two lines', options: { tail: 2 }, lines: ['2 two', '3 three', '4 four'] },
  { what: 'no lines before the end', options: { tail: 0 }, lines: ['4 four'] },
  {
    what: 'more lines before the end than there are',
    options: { tail: 9 },
    lines: ['1 one', '2 two', '3 three', '4 four'],
  },
  { what: 'the last line that matches', options: { tail: 1, q: 'O' }, lines: ['2 two', '4 four'] },
]) {
  test(`a subscription from ${what}`, async (t) => {
    const { run, server } = await setUp(t);
    await run.write('one', 'two', 'three');
    const viewer = await subscribe(server, options);
    await viewer.saw('subscribed');
    await run.write('four');
    await viewer.saw('log', lines.length);
    assert.deepEqual(viewer.lines, lines);
  });
}

test('a subscription from a cursor starts with its line, one after it behind it', async (t) => {
  const { reading, run, server } = await setUp(t);
  await run.write('one', 'two', 'three');
  const cursor = encodeCursor({ epoch: reading.store.epoch(), line: 2 });
  const from = await subscribe(server, { from: cursor });
  const after = await subscribe(server, { after: cursor });
  await Promise.all([from.saw('log', 2), after.saw('log')]);
  assert.deepEqual([from.lines, after.lines], [['2 two', '3 three'], ['3 three']]);
});

test('a cursor of another store is refused with what there is instead, and the socket stays', async (t) => {
  const { run, server } = await setUp(t);
  await run.write('one', 'two');
  const viewer = await subscribe(server, { from: encodeCursor({ epoch: 'other', line: 2 }) });
  await viewer.saw('error');
  const [error] = viewer.of('error');
  assert.deepEqual([error.code, error.taskId], ['INVALID_CURSOR', 't']);
  assert.match(error.message, /the lines 1 to 2/);
  viewer.say({ type: 'subscribe', options: { from: 1 } });
  await viewer.saw('log', 2);
});

test('a new subscribe replaces the filter and goes on where the lines were', async (t) => {
  const { run, server } = await setUp(t);
  const viewer = await new TestViewer(`${server.url}/t`).opened();
  await viewer.saw('subscribed');
  await run.write('one', { text: 'two', level: 'ERROR' });
  await viewer.saw('log', 2);
  viewer.say({ type: 'subscribe', taskId: 't', options: { levels: ['ERROR'] } });
  await viewer.saw('subscribed', 2);
  await run.write('three', { text: 'four', level: 'ERROR' });
  await viewer.saw('log', 3);
  viewer.say({ type: 'subscribe', taskId: 't' });
  await viewer.saw('subscribed', 3);
  await run.write('five');
  await viewer.saw('log', 4);
  assert.deepEqual(viewer.lines, ['1 one', '2 two', '4 four', '5 five']);
});

test('replacing the filter during a flood leaves nothing out and sends nothing twice', async (t) => {
  const { run, server } = await setUp(t);
  const viewer = await new TestViewer(`${server.url}/t`).opened();
  await viewer.saw('subscribed');
  for (let i = 1; i <= 300; i++) {
    await run.write(`${i}`);
    if (i % 10 === 0) viewer.say({ type: 'subscribe', taskId: 't', options: i % 20 === 0 ? { batch: true } : {} });
  }
  await viewer.saw('log', 300);
  assert.deepEqual(
    viewer.lines,
    Array.from({ length: 300 }, (_, i) => `${i + 1} ${i + 1}`),
  );
});

test('a second task is a subscription beside the first, until it is unsubscribed', async (t) => {
  const { reading, run, server } = await setUp(t);
  const other = await new TestRun(reading, 'u/ö').open();
  const viewer = await new TestViewer(`${server.url}/t`).opened();
  viewer.say({ type: 'subscribe', taskId: 'u/ö', options: { from: 'start' } });
  await viewer.saw('subscribed', 2);
  await run.write('of t');
  await other.write('of u');
  await viewer.saw('log', 2);
  viewer.say({ type: 'unsubscribe', taskId: 't' });
  await viewer.saw('unsubscribed');
  await run.write('unseen');
  await other.write('more of u');
  await viewer.saw('log', 3);
  assert.deepEqual(
    viewer
      .of('log')
      .map((log) => `${log.taskId}: ${log.message}`)
      .sort(),
    ['t: of t', 'u/ö: more of u', 'u/ö: of u'],
  );
});

test('gaps and the end are said, and another run goes on', async (t) => {
  const { reading, run, server } = await setUp(t);
  const viewer = await subscribe(server, { from: 'start' });
  await run.write('one');
  await run.gap(3);
  await run.end(3);
  await viewer.saw('end');
  const next = await new TestRun(reading, 't').open();
  await next.write('five');
  await next.end();
  await viewer.saw('end', 2);
  const epoch = reading.store.epoch();
  assert.deepEqual(viewer.of('gap'), [
    { type: 'gap', taskId: 't', fromLine: 2, toLine: 4, reason: 'dropped', cursor: encodeCursor({ epoch, line: 5 }) },
  ]);
  assert.deepEqual(viewer.of('end')[0], {
    ...{ type: 'end', taskId: 't', status: 'failed', exitCode: 3, signal: null, durationMs: 1000 },
    ...{ lines: 1, missing: 3, runs: 1, verified: true, cursor: encodeCursor({ epoch, line: 5 }) },
  });
  assert.deepEqual(viewer.lines, ['1 one', '5 five']);
});

test('with realtime false it ends at the head', async (t) => {
  const { run, server } = await setUp(t);
  await run.write('one', 'two');
  const viewer = await subscribe(server, { from: 'start', realtime: false });
  await viewer.saw('unsubscribed');
  await run.write('three');
  assert.deepEqual(
    viewer.messages.map((message) => message.type),
    ['subscribed', 'log', 'log', 'unsubscribed'],
  );
  const unknown = await subscribe(server, { realtime: false }, 'unknown');
  await unknown.saw('error');
  assert.equal(unknown.of('error')[0].code, 'TASK_NOT_FOUND');
});

test('with batch a frame holds an array of messages', async (t) => {
  const { run, server } = await setUp(t);
  await run.write(...Array.from({ length: 5000 }, (_, i) => `line ${i}`));
  const viewer = await subscribe(server, { from: 'start', batch: true });
  await viewer.saw('log', 5000);
  assert.equal(viewer.lines[4999], '5000 line 4999');
  assert.ok(viewer.frames.length < 20, `${viewer.frames.length} frames`);
});

for (const { what, frame, code } of [
  { what: 'what is not JSON', frame: '{', code: 'INVALID_MESSAGE_FORMAT' },
  { what: 'no object', frame: '[]', code: 'INVALID_MESSAGE_FORMAT' },
  { what: 'an unknown type', frame: '{"type":"shout"}', code: 'INVALID_MESSAGE_FORMAT' },
  {
    what: 'options of the wrong type',
    frame: '{"type":"subscribe","options":{"batch":"yes"}}',
    code: 'INVALID_MESSAGE_FORMAT',
  },
  { what: 'an unknown level', frame: '{"type":"subscribe","options":{"levels":["LOUD"]}}', code: 'INVALID_INPUT' },
  {
    what: 'a regular expression that is none',
    frame: '{"type":"subscribe","options":{"regex":"("}}',
    code: 'INVALID_INPUT',
  },
  { what: 'two places to start', frame: '{"type":"subscribe","options":{"from":1,"tail":1}}', code: 'INVALID_INPUT' },
  { what: 'a task id that can be none', frame: '{"type":"subscribe","taskId":"a\\u0000"}', code: 'INVALID_INPUT' },
  { what: 'a cursor that is none', frame: '{"type":"subscribe","options":{"after":"12"}}', code: 'INVALID_CURSOR' },
]) {
  test(`${what} is answered with an error, and the socket stays`, async (t) => {
    const { server } = await setUp(t);
    const viewer = await new TestViewer(`${server.url}/t`, VIEW_SUBPROTOCOL).opened();
    viewer.say(frame);
    await viewer.saw('error');
    assert.equal(viewer.of('error')[0].code, code);
    viewer.say({ type: 'ping' });
    await viewer.saw('pong');
  });
}

test('a binary frame is answered with an error', async (t) => {
  const { server } = await setUp(t);
  const viewer = await new TestViewer(`${server.url}/t`).opened();
  viewer.socket.send(Buffer.from('{}'));
  await viewer.saw('error');
  assert.equal(viewer.of('error')[0].code, 'INVALID_MESSAGE_FORMAT');
});

test('pings carry the place up to which was searched', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  const server = await serveViewers(t, reading, { pingEveryMs: 5 });
  const viewer = await subscribe(server, { from: 'start', q: 'needle' });
  await run.write('hay', 'hay', 'hay');
  await until(() => viewer.of('ping').some(({ cursor }) => decodeCursor(cursor ?? '')?.line === 4));
  assert.equal(viewer.of('log').length, 0);
});

test('two viewers of one task get what each of them asked for', async (t) => {
  const { run, server } = await setUp(t);
  const [errors, all, stderr] = await Promise.all([
    subscribe(server, { levels: ['ERROR'], from: 'start' }),
    subscribe(server, { from: 'start' }),
    subscribe(server, { sources: ['stderr'], q: ['1', '2'], from: 'start' }),
  ]);
  const levels = ['INFO', 'ERROR'] as const;
  const sources = ['stdout', 'stderr'] as const;
  const written = Array.from({ length: 100 }, (_, i) => ({
    text: `${i}`,
    level: levels[i % 2],
    source: sources[(i >> 1) % 2],
  }));
  for (let i = 0; i < 100; i += 5) await run.write(...written.slice(i, i + 5));
  const wanted = (keep: (line: (typeof written)[number]) => boolean): string[] =>
    written.flatMap((line, i) => (keep(line) ? [`${i + 1} ${line.text}`] : []));
  await all.saw('log', 100);
  await errors.saw('log', 50);
  await stderr.saw('log', wanted((line) => line.source === 'stderr' && /[12]/.test(line.text)).length);
  assert.deepEqual(
    all.lines,
    wanted(() => true),
  );
  assert.deepEqual(
    errors.lines,
    wanted((line) => line.level === 'ERROR'),
  );
  assert.deepEqual(
    stderr.lines,
    wanted((line) => line.source === 'stderr' && /[12]/.test(line.text)),
  );
});

test('a viewer that does not read holds nobody up, costs little, and gets everything later', async (t) => {
  const { run, server } = await setUp(t);
  const slow = await subscribe(server, { from: 'start', batch: true });
  await slow.saw('subscribed');
  slow.socket.pause();
  const fast = await subscribe(server, { from: 'start', batch: true });
  const text = 'x'.repeat(1000);
  for (let i = 0; i < 60; i++)
    await run.write(...Array.from({ length: 200 }, (_, line) => `${i * 200 + line} ${text}`));
  await fast.saw('log', 12_000);
  const sockets = [...server.server.clients];
  const held = Math.max(...sockets.map((socket) => socket.bufferedAmount));
  assert.ok(held > 0 && held < 2 * 1024 * 1024, `${held} bytes are held for the slow one`);
  slow.socket.resume();
  await slow.saw('log', 12_000);
  assert.deepEqual(slow.lines, fast.lines);
});

test('what is unsubscribed from ends at once, whether or not its viewer reads', async (t) => {
  const { reading, run, server } = await setUp(t);
  for (let i = 0; i < 100; i++) await run.write(...Array.from({ length: 200 }, () => 'x'.repeat(1000)));
  const stuck = await subscribe(server, { from: 'start' });
  stuck.socket.pause();
  const [{ _socket: wire }] = [...server.server.clients] as unknown as { _socket: Socket }[];
  await until(() => wire.writableNeedDrain);
  const { followed } = reading.reader;
  assert.equal(followed.readers, 1);
  stuck.say({ type: 'unsubscribe' });
  await until(() => followed.readers === 0);
  assert.ok(wire.writableNeedDrain);
});

test('a viewer that closes leaves nothing behind', async (t) => {
  const { reading, run, server } = await setUp(t);
  const viewer = await subscribe(server, { from: 'start' });
  await run.write('one');
  await viewer.saw('log');
  viewer.socket.close();
  await until(() => viewer.closed !== undefined && reading.tail.bytes === 0);
});
