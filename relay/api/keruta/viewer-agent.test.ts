import assert from 'node:assert/strict';
import test, { describe, type TestContext } from 'node:test';
import { KerutaError } from '../../../shared/errors.ts';
import { VIEW_SUBPROTOCOL } from '../../../shared/viewer-messages.ts';
import { openReading, until, type Reading } from '../../reading.fixture.ts';
import { StoreError, type Store } from '../../store/store.ts';
import { UNLIMITED } from '../../senders/sender-limits.ts';
import type { Senders, SendersOptions } from '../../senders/senders.ts';
import { openSenders, storedLines, storeWith } from '../../senders/senders.fixture.ts';
import { serveViewers, TestViewer } from './viewer.fixture.ts';

/** Agents that send flat messages on `/ws/tasks/{taskId}`. */
interface Sending {
  reading: Reading;
  senders: Senders;
  clock: { now: number };
  connect: (task?: string, protocol?: string) => Promise<TestViewer>;
}

async function setUp(
  t: TestContext,
  { replaced = () => ({}), ...options }: Partial<SendersOptions> & { replaced?: (store: Store) => Partial<Store> } = {},
): Promise<Sending> {
  const reading = await openReading(t);
  const clock = { now: Date.parse('2026-01-02T03:04:05.678Z') };
  const store = storeWith(reading.store, replaced(reading.store));
  const senders = await openSenders(t, { store, tail: reading.tail }, { now: () => clock.now, ...options });
  const { url } = await serveViewers(t, reading, { senders, now: () => clock.now });
  return {
    ...{ reading, senders, clock },
    connect: (task = 't', protocol) => new TestViewer(`${url}/${task}`, protocol).opened(),
  };
}

const runsOf = async ({ reading }: Sending, task = 't'): Promise<string[]> =>
  (await reading.store.runs(task)).map(
    ({ status, reason, lines, verified }) => `${status} ${reason ?? '-'} ${lines} ${verified}`,
  );

/** Resolves when the task's runs look so. */
async function untilRuns(sending: Sending, expected: string[]): Promise<void> {
  while ((await runsOf(sending)).join() !== expected.join());
}

const log = (message: string) => ({ type: 'log', level: 'INFO', message });

test('what a flat agent sends is stored, acknowledged, and shown to others, but not to itself', async (t) => {
  const sending = await setUp(t);
  const viewer = await sending.connect();
  await viewer.saw('subscribed');
  const agent = await sending.connect();
  agent.say({
    type: 'log',
    taskId: 't',
    timestamp: '2026-01-02T03:00:00Z',
    source: 'stderr',
    level: 'ERROR',
    message: 'a',
    metadata: { k: 1 },
  });
  agent.say({ type: 'log', message: 'b' });
  await until(() => agent.of('ack').at(-1)?.count === 2);
  await viewer.saw('log', 2);
  const [a, b] = viewer.of('log');
  assert.deepEqual(
    { ...a, id: '' },
    {
      type: 'log',
      id: '',
      taskId: 't',
      timestamp: '2026-01-02T03:00:00.000Z',
      source: 'stderr',
      level: 'ERROR',
      message: 'a',
      lineNumber: 1,
      metadata: { k: 1 },
    },
  );
  assert.deepEqual([b.source, b.level, b.timestamp], ['agent', 'INFO', '2026-01-02T03:04:05.678Z']);
  const ack = agent.of('ack').at(-1);
  assert.deepEqual([ack?.taskId, ack?.lastLine, ack?.id], ['t', 2, b.id]);
  assert.equal(agent.of('log').length, 0);
});

test('an agent that has subscribed by itself hears its own lines', async (t) => {
  const { connect } = await setUp(t);
  const agent = await connect('t', VIEW_SUBPROTOCOL);
  agent.say({ type: 'subscribe' });
  await agent.saw('subscribed');
  agent.say(log('a'));
  await agent.saw('log');
});

test('a thousand lines at once arrive in order, in few chunks', async (t) => {
  const sending = await setUp(t);
  const agent = await sending.connect();
  for (let i = 1; i <= 1000; i++) agent.say(log(`${i}`));
  await until(() => agent.of('ack').at(-1)?.count === 1000);
  assert.deepEqual(
    await storedLines(sending.reading, 't'),
    Array.from({ length: 1000 }, (_, i) => `${i + 1} ${i + 1}`),
  );
  assert.ok(agent.of('ack').length < 500, `${agent.of('ack').length} acks`);
});

test('nothing is acknowledged before the store has committed', async (t) => {
  const commit: PromiseWithResolvers<void> = Promise.withResolvers();
  const { reading, connect } = await setUp(t, {
    replaced: (store) => ({
      append: async (append) => {
        const outcome = await store.append(append);
        await commit.promise;
        return outcome;
      },
    }),
  });
  const agent = await connect();
  agent.say(log('a'));
  while ((await reading.store.head('t'))?.nextLine !== 2);
  agent.say({ type: 'ping' });
  await agent.saw('pong');
  assert.equal(agent.of('ack').length, 0);
  commit.resolve();
  await agent.saw('ack');
});

describe('a message that is wrong is answered in band, and the next one counts', () => {
  const rows: [string, object | string, string, RegExp][] = [
    ['that is not JSON', '{', 'INVALID_MESSAGE_FORMAT', /not JSON/],
    [
      'of an unknown type',
      { type: 'hello' },
      'INVALID_MESSAGE_FORMAT',
      /^type: it may be subscribe, .*, log, status\.$/,
    ],
    ['without a message', { type: 'log', level: 'INFO' }, 'INVALID_LOG_FORMAT', /^The entry: message is missing/],
    ['with an unknown level', { type: 'log', level: 'LOUD', message: '' }, 'INVALID_LOG_FORMAT', /level is "LOUD"/i],
    ['with a task id that is a number', { type: 'log', taskId: 7, message: '' }, 'INVALID_MESSAGE_FORMAT', /taskId/],
    ['with a task id that can be none', { type: 'log', taskId: '..', message: '' }, 'INVALID_INPUT', /path step/],
    ['with an unknown status', { type: 'status', status: 'DONE' }, 'INVALID_INPUT', /status is "DONE"/],
    [
      'that is deeply nested',
      `{"type":"log","message":"a","metadata":{"x":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`,
      'INVALID_LOG_FORMAT',
      /metadata/i,
    ],
    ['with keys of the prototype', '{"__proto__":{"type":"log"},"constructor":1}', 'INVALID_MESSAGE_FORMAT', /./],
  ];
  for (const [what, message, code, text] of rows) {
    test(what, async (t) => {
      const { reading, connect } = await setUp(t);
      const agent = await connect();
      agent.say(message);
      await agent.saw('error');
      const [error] = agent.of('error');
      assert.equal(error.code, code);
      assert.match(error.message, text);
      agent.say(log('good'));
      await agent.saw('ack');
      assert.deepEqual(await storedLines(reading, 't'), ['1 good']);
    });
  }
});

describe('the run of a socket', () => {
  test('ends well when the socket is closed in order', async (t) => {
    const sending = await setUp(t);
    const agent = await sending.connect();
    agent.say(log('a'));
    agent.socket.close(1000);
    await untilRuns(sending, ['succeeded exited 1 true']);
  });

  for (const [status, ended] of [
    ['COMPLETED', 'succeeded exited'],
    ['FAILED', 'failed exited'],
    ['CANCELLED', 'cancelled cancelled'],
  ]) {
    test(`ends as ${status} says, with the line that comes behind it, when the socket is cut`, async (t) => {
      const sending = await setUp(t);
      const agent = await sending.connect();
      agent.say(log('a'));
      agent.say({ type: 'status', status, message: 'm' });
      agent.say(log('late'));
      await until(() => agent.of('ack').at(-1)?.count === 2);
      agent.socket.terminate();
      await untilRuns(sending, [`${ended} 2 true`]);
      assert.equal((await sending.reading.store.task('t'))?.message, 'm');
    });
  }

  test('ends soon after the last status, and a line that comes later is stored and ends alike', async (t) => {
    const sending = await setUp(t);
    const agent = await sending.connect();
    agent.say({ type: 'status', status: 'FAILED' });
    await untilRuns(sending, ['running - 0 null']);
    sending.clock.now += 1000;
    await sending.senders.sweep();
    await untilRuns(sending, ['failed exited 0 true']);
    agent.say(log('late'));
    await agent.saw('ack');
    agent.socket.terminate();
    await untilRuns(sending, ['failed exited 0 true', 'failed exited 1 true']);
  });

  test('waits for a sender that was cut off, which goes on with it', async (t) => {
    const sending = await setUp(t);
    const first = await sending.connect();
    first.say(log('a'));
    await first.saw('ack');
    first.socket.terminate();
    await until(() => sending.senders.orphans.size === 1);
    sending.clock.now += 59_000;
    await sending.senders.sweep();
    const second = await sending.connect();
    second.say(log('b'));
    await second.saw('ack');
    assert.equal(second.of('ack')[0].count, 1);
    second.socket.close(1000);
    await untilRuns(sending, ['succeeded exited 2 true']);
  });

  test('has died if that sender does not come back', async (t) => {
    const sending = await setUp(t);
    const agent = await sending.connect();
    agent.say(log('a'));
    await agent.saw('ack');
    agent.socket.terminate();
    await until(() => sending.senders.orphans.size === 1);
    sending.clock.now += 60_000;
    await sending.senders.sweep();
    assert.deepEqual(await runsOf(sending), ['failed agent-died 1 true']);
  });

  test('is gone on with by a sender that comes back after a restart of the relay', async (t) => {
    const sending = await setUp(t);
    const agent = await sending.connect();
    agent.say(log('a'));
    await agent.saw('ack');
    agent.socket.terminate();
    await until(() => sending.senders.orphans.size === 1);
    await sending.senders.stop();
    const senders = await openSenders(t, sending.reading);
    const { url } = await serveViewers(t, sending.reading, { senders });
    const again = await new TestViewer(`${url}/t`).opened();
    again.say(log('b'));
    again.socket.close(1000);
    await untilRuns(sending, ['succeeded exited 2 true']);
  });
});

test('one socket may send several tasks', async (t) => {
  const { reading, connect } = await setUp(t);
  const agent = await connect();
  for (const task of ['t', 'u', 'v']) agent.say({ ...log(task), taskId: task });
  await agent.saw('ack', 3);
  for (const task of ['t', 'u', 'v']) assert.deepEqual(await storedLines(reading, task), [`1 ${task}`]);
});

test('a store that fails closes the socket to be tried again, and nothing behind the failure is stored', async (t) => {
  let calls = 0;
  const { reading, connect } = await setUp(t, {
    replaced: (store) => ({
      append: (append) =>
        ++calls === 2 ? Promise.reject(new StoreError('other', 'the store is busy')) : store.append(append),
    }),
  });
  const agent = await connect();
  agent.say(log('a'));
  await agent.saw('ack');
  for (let i = 0; i < 100; i++) agent.say(log(`${i}`));
  await until(() => agent.closed !== undefined);
  assert.equal(agent.closed, 4104);
  assert.equal(agent.of('error')[0].code, 'DATABASE_ERROR');
  assert.deepEqual(await storedLines(reading, 't'), ['1 a']);
});

test('a full disk takes nothing', async (t) => {
  const state = { room: false, freeBytes: 0, problem: 'no room' };
  const { reading, connect } = await setUp(t, { disk: { state, full: () => undefined } });
  const agent = await connect();
  agent.say(log('a'));
  await until(() => agent.closed !== undefined);
  assert.equal(agent.closed, 4105);
  assert.deepEqual(await storedLines(reading, 't'), []);
});

test('a sender over its rate is not read for as long as it has to wait', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const counted: number[] = [];
  const limits = { ...UNLIMITED, lines: (_from: unknown, lines: number) => counted.push(lines) * 1000 };
  const { connect } = await setUp(t, { limits });
  const agent = await connect();
  agent.say(log('a'));
  agent.say(log('b'));
  await agent.saw('ack');
  assert.equal(counted.length, 1);
  t.mock.timers.tick(1000);
  await until(() => counted.length === 2);
});

test('a token that writes to too many tasks is sent away to come back', async (t) => {
  const limits = {
    ...UNLIMITED,
    task: () => {
      throw new KerutaError('RATE_LIMIT_EXCEEDED', 'too many tasks');
    },
  };
  const { connect } = await setUp(t, { limits });
  const agent = await connect();
  agent.say(log('a'));
  await until(() => agent.closed !== undefined);
  assert.equal(agent.closed, 4101);
});

test('whoever cancels a task tells those who send it', async (t) => {
  const { senders, connect } = await setUp(t);
  const agent = await connect();
  agent.say(log('a'));
  await agent.saw('ack');
  senders.cancel('u', 'not this one');
  senders.cancel('t', 'enough');
  await agent.saw('cancel');
  assert.deepEqual(
    agent.of('cancel').map(({ taskId, reason }) => [taskId, reason]),
    [['t', 'enough']],
  );
});
