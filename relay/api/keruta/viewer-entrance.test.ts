import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { describe, type TestContext } from 'node:test';
import { KerutaError } from '../../../shared/errors.ts';
import { VIEW_SUBPROTOCOL } from '../../../shared/viewer-messages.ts';
import { Principal, type Grant } from '../../auth/principal.ts';
import type { Caller } from '../../caller.ts';
import { openReading, TestRun, until, type Reading } from '../../reading.fixture.ts';
import { storedLines } from '../../senders/senders.fixture.ts';
import { serveViewers, TestViewer } from './viewer.fixture.ts';
import type { ViewerOptions } from './viewer.ts';

const VISIT = { address: '10.0.0.1', requestId: 'r' };

const named = (grants: Grant[]): Caller => ({ ...VISIT, principal: new Principal('key:k', grants) });

interface Entering {
  reading: Reading;
  connect: (protocol?: string) => Promise<TestViewer>;
}

async function setUp(t: TestContext, options: Partial<ViewerOptions>): Promise<Entering> {
  const reading = await openReading(t);
  await (await new TestRun(reading, 't').open({ team: 'web' })).write('one');
  await (await new TestRun(reading, 'other').open({ team: 'ops' })).write('one');
  const { url } = await serveViewers(t, reading, options);
  return { reading, connect: (protocol) => new TestViewer(`${url}/t`, protocol).opened() };
}

describe('whoever brought no token', () => {
  const authenticate = (token: string): Promise<Principal> =>
    token === 'good'
      ? Promise.resolve(new Principal('key:k', [{ scope: 'read' }]))
      : Promise.reject(new KerutaError('UNAUTHORIZED', 'The token is not known.'));
  const closed = { caller: undefined, visit: VISIT, authenticate };

  test('sends it first, and then is subscribed', async (t) => {
    const { connect } = await setUp(t, closed);
    const viewer = await connect();
    viewer.say({ type: 'auth', token: 'good' });
    await viewer.saw('subscribed');
    assert.deepEqual(
      viewer.messages.map(({ type }) => type),
      ['authenticated', 'subscribed'],
    );
  });

  test('may be wrong twice', async (t) => {
    const { connect } = await setUp(t, closed);
    const viewer = await connect(VIEW_SUBPROTOCOL);
    for (const token of ['bad', 'worse', 'good']) viewer.say({ type: 'auth', token });
    await viewer.saw('authenticated');
    assert.deepEqual(
      viewer.messages.map(({ type }) => type),
      ['error', 'error', 'authenticated'],
    );
  });

  for (const { what, said } of [
    { what: 'is wrong three times', said: ['a', 'b', 'c', 'good'].map((token) => ({ type: 'auth', token })) },
    { what: 'says something else first', said: [{ type: 'subscribe', options: { from: 'start' } }] },
    { what: 'sends a log first', said: [{ type: 'log', level: 'INFO', message: 'm' }] },
    { what: 'asks for a pong first', said: [{ type: 'ping' }] },
    { what: 'speaks another language', said: ['GET / HTTP/1.1'] },
    { what: 'has a question that is costly to read', said: [{ type: 'subscribe', options: { regex: '(' } }] },
    { what: 'brings far more than a token', said: [{ type: 'auth', token: 'good', more: 'x'.repeat(16_384) }] },
  ]) {
    test(`is sent away with 4001 if it ${what}, and has seen and stored nothing`, async (t) => {
      const { reading, connect } = await setUp(t, closed);
      const viewer = await connect();
      for (const message of said) viewer.say(message);
      await until(() => viewer.closed !== undefined);
      assert.equal(viewer.closed, 4001);
      assert.ok(viewer.messages.every((message) => message.type === 'error' && message.code === 'UNAUTHORIZED'));
      assert.deepEqual(await storedLines(reading, 't'), ['1 one']);
    });
  }

  test('is sent away with 4001 if it says nothing', async (t) => {
    const { connect } = await setUp(t, { ...closed, patienceMs: 10 });
    const viewer = await connect();
    await until(() => viewer.closed !== undefined);
    assert.equal(viewer.closed, 4001);
    assert.match(viewer.of('error')[0].message, /No token came within/);
  });

  test('is not shown to be there by anything that a token could buy', async (t) => {
    const { connect } = await setUp(t, closed);
    const viewer = await connect();
    viewer.say('{"type":"auth"}');
    await viewer.saw('error');
    assert.deepEqual(
      viewer.messages.map(({ type }) => type),
      ['error'],
    );
  });
});

test('whoever was let in may say its token again, and is told of a wrong one', async (t) => {
  const authenticate = (token: string): Promise<Principal> =>
    token === 'more'
      ? Promise.resolve(new Principal('key:more', [{ scope: 'read' }]))
      : Promise.reject(new KerutaError('UNAUTHORIZED', 'The token is not known.'));
  const { connect } = await setUp(t, { caller: named([{ scope: 'read', tasks: ['t'] }]), authenticate });
  const viewer = await connect(VIEW_SUBPROTOCOL);
  viewer.say({ type: 'auth' });
  await viewer.saw('authenticated');
  viewer.say({ type: 'auth', token: 'wrong' });
  viewer.say({ type: 'subscribe', taskId: 'other' });
  await viewer.saw('error', 2);
  viewer.say({ type: 'auth', token: 'more' });
  viewer.say({ type: 'subscribe', taskId: 'other' });
  await viewer.saw('subscribed');
  assert.deepEqual(
    viewer.of('error').map(({ code, taskId }) => [code, taskId]),
    [
      ['UNAUTHORIZED', undefined],
      ['FORBIDDEN', 'other'],
    ],
  );
});

describe('what is watched already ends', () => {
  test('where another token does not grant it', async (t) => {
    const less = new Principal('key:less', [{ scope: 'read', tasks: ['other'] }]);
    const authenticate = (): Promise<Principal> => Promise.resolve(less);
    const { reading, connect } = await setUp(t, { caller: named([{ scope: 'read' }]), authenticate });
    const viewer = await connect(VIEW_SUBPROTOCOL);
    for (const taskId of ['t', 'other']) viewer.say({ type: 'subscribe', taskId });
    await viewer.saw('subscribed', 2);
    viewer.say({ type: 'auth', token: 'less' });
    await viewer.saw('error');
    assert.deepEqual(
      viewer.of('error').map(({ code, taskId }) => [code, taskId]),
      [['FORBIDDEN', 't']],
    );
    await (await new TestRun(reading, 't').open({ team: 'web' })).write('secret');
    await (await new TestRun(reading, 'other').open({ team: 'ops' })).write('two');
    await viewer.saw('log');
    assert.deepEqual(
      viewer.of('log').map(({ taskId, message }) => [taskId, message]),
      [['other', 'two']],
    );
  });

  test('where the task has got other labels', async (t) => {
    const caller = named([{ scope: 'read', labels: { team: 'web' } }]);
    const { reading, connect } = await setUp(t, { caller, pingEveryMs: 5 });
    const viewer = await connect();
    await viewer.saw('ping', 3);
    assert.deepEqual(viewer.of('error'), []);
    const run = await new TestRun(reading, 't').open({ team: 'ops' });
    await viewer.saw('error');
    assert.deepEqual([viewer.of('error')[0].code, viewer.of('error')[0].taskId], ['FORBIDDEN', 't']);
    await run.write('secret');
    await viewer.saw('ping', viewer.of('ping').length + 3);
    assert.deepEqual(viewer.lines, []);
  });
});

describe('a task may be watched', () => {
  const rows: [string, Grant[], { t: boolean; other: boolean; new: boolean }][] = [
    ['by whoever may read all', [{ scope: 'read' }], { t: true, other: true, new: true }],
    ['by admins', [{ scope: 'admin' }], { t: true, other: true, new: true }],
    ['by its id', [{ scope: 'read', tasks: ['t'] }], { t: true, other: false, new: false }],
    ['by its labels', [{ scope: 'read', labels: { team: 'web' } }], { t: true, other: false, new: false }],
    ['by none of these', [{ scope: 'ingest' }], { t: false, other: false, new: false }],
  ];
  for (const [what, grants, expected] of rows) {
    test(what, async (t) => {
      const { connect } = await setUp(t, { caller: named(grants) });
      const viewer = await connect(VIEW_SUBPROTOCOL);
      const tasks = Object.entries(expected);
      for (const [taskId] of tasks) viewer.say({ type: 'subscribe', taskId });
      await until(() => viewer.messages.length === tasks.length);
      const seen = Object.fromEntries(
        tasks.map(([task]) => [task, viewer.of('subscribed').some(({ taskId }) => taskId === task)]),
      );
      assert.deepEqual(seen, expected);
      assert.ok(viewer.of('error').every(({ code }) => code === 'FORBIDDEN'));
    });
  }
});

test('a bare connect of somebody who may only send is subscribed to nothing, and may send', async (t) => {
  const { reading, connect } = await setUp(t, { caller: named([{ scope: 'ingest', tasks: ['t'] }]) });
  const agent = await connect();
  agent.say({ type: 'log', message: 'two' });
  await agent.saw('ack');
  assert.deepEqual(agent.of('subscribed'), []);
  assert.deepEqual(await storedLines(reading, 't'), ['1 one', '2 two']);
  agent.say({ type: 'log', taskId: 'other', message: 'x' });
  agent.say({ type: 'status', taskId: 'other', status: 'FAILED' });
  await agent.saw('error', 2);
  assert.ok(agent.of('error').every(({ code, taskId }) => code === 'FORBIDDEN' && taskId === 'other'));
  assert.deepEqual(await storedLines(reading, 'other'), ['1 one']);
});

test('who may only read sends nothing', async (t) => {
  const { reading, connect } = await setUp(t, { caller: named([{ scope: 'read' }]) });
  const viewer = await connect();
  viewer.say({ type: 'log', message: 'two' });
  viewer.say({ type: 'status', status: 'FAILED' });
  await viewer.saw('error', 2);
  assert.ok(viewer.of('error').every(({ code }) => code === 'FORBIDDEN'));
  assert.deepEqual(await storedLines(reading, 't'), ['1 one']);
});

test('whoever may do nothing with the task is sent away with 4003', async (t) => {
  const { connect } = await setUp(t, { caller: named([{ scope: 'read', tasks: ['else'] }]) });
  const viewer = await connect();
  await until(() => viewer.closed !== undefined);
  assert.equal(viewer.closed, 4003);
});

describe('a socket on which nothing is said', () => {
  const sessionTimeoutMs = 20;

  test('is closed with 4103 if it watches and sends nothing', async (t) => {
    const { connect } = await setUp(t, { sessionTimeoutMs });
    const viewer = await connect(VIEW_SUBPROTOCOL);
    await until(() => viewer.closed !== undefined);
    assert.equal(viewer.closed, 4103);
    assert.equal(viewer.of('error')[0].code, 'IDLE');
  });

  test('stays open while it watches a quiet task, and is closed when it watches none', async (t) => {
    const { connect } = await setUp(t, { sessionTimeoutMs, pingEveryMs: 5 });
    const viewer = await connect();
    // Many times as long as the timeout.
    await viewer.saw('ping', 40);
    assert.equal(viewer.closed, undefined);
    viewer.say({ type: 'unsubscribe' });
    await until(() => viewer.closed !== undefined);
    assert.equal(viewer.closed, 4103);
  });

  test('stays open while its run is open', async (t) => {
    const { connect } = await setUp(t, { sessionTimeoutMs, pingEveryMs: 5 });
    const agent = await connect();
    agent.say({ type: 'log', message: 'two' });
    await agent.saw('ping', 40);
    assert.equal(agent.closed, undefined);
  });
});

test('a message over 1 MiB is refused with 4009', async (t) => {
  const { reading, connect } = await setUp(t, {});
  const agent = await connect();
  agent.say({ type: 'log', message: 'x'.repeat(1024 * 1024) });
  agent.say({ type: 'log', message: 'behind it' });
  await until(() => agent.closed !== undefined);
  assert.equal(agent.closed, 4009);
  assert.deepEqual(await storedLines(reading, 't'), ['1 one']);
});

test('whoever speaks another language is sent away with 4004 in the end', async (t) => {
  const { connect } = await setUp(t, {});
  const viewer = await connect(VIEW_SUBPROTOCOL);
  for (let i = 0; i < 150; i++) viewer.say('GET / HTTP/1.1');
  await until(() => viewer.closed !== undefined);
  assert.equal(viewer.closed, 4004);
  assert.equal(viewer.of('error').length, 100);
});

test('thousands of subscribes leave one subscription, and nothing is sent twice', async (t) => {
  const { reading, connect } = await setUp(t, {});
  const viewer = await connect(VIEW_SUBPROTOCOL);
  for (let i = 0; i < 3000; i++)
    viewer.say({ type: 'subscribe', options: { from: 'start', q: i % 2 === 0 ? 'o' : 'n' } });
  viewer.say({ type: 'ping' });
  await viewer.saw('pong');
  const run = await new TestRun(reading, 't').open();
  await run.write('none');
  await until(() => viewer.lines.includes('2 none'));
  assert.ok(viewer.lines.filter((line) => line === '2 none').length === 1);
});

test('who asks without reading the answers is not read on', async (t) => {
  const { connect } = await setUp(t, {});
  const viewer = await connect(VIEW_SUBPROTOCOL);
  viewer.socket.pause();
  const question = JSON.stringify({ type: 'unsubscribe', taskId: 'x'.repeat(256) });
  // Until the questions pile up here: the relay has stopped reading.
  while (viewer.socket.bufferedAmount < 1024 * 1024) {
    for (let i = 0; i < 1000; i++) viewer.say(question);
    await new Promise((resolve) => setImmediate(resolve));
  }
  viewer.socket.resume();
  viewer.say({ type: 'ping' });
  await viewer.saw('pong');
  viewer.socket.close();
  await once(viewer.socket, 'close');
});
