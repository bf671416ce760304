import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { TestRun, until } from '../../reading.fixture.ts';
import { serveSocketIo, TestClient, type Served } from './socket-io/socket-io.fixture.ts';

/** A task of some lines, `1` and so on, and a client that has connected. */
async function watched(t: TestContext, lines = 3): Promise<{ served: Served; run: TestRun; client: TestClient }> {
  const served = await serveSocketIo(t);
  const run = await new TestRun(served, 't1').open();
  if (lines > 0) await run.write(...numbers(1, lines));
  const client = new TestClient(t, served.url);
  await client.saw('connected');
  return { served, run, client };
}

function numbers(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, index) => String(first + index));
}

for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
  test(`a client with ${transports.join(' and ')} gets history and what follows, each line once`, async (t) => {
    const served = await serveSocketIo(t);
    const run = await new TestRun(served, 't1').open();
    await run.write(...numbers(1, 2000));
    const client = new TestClient(t, served.url, { transports });
    client.socket.emit('subscribe-to-logs', { taskId: 't1' });
    await client.saw('log-entry', 2000);
    await run.write('2001');
    await run.end();
    await client.saw('stream-complete');
    assert.deepEqual(client.messages, numbers(1, 2001));
    assert.deepEqual(
      client.events.slice(0, 3).map(({ event }) => event),
      ['connected', 'subscription_success', 'log-entry'],
    );
  });
}

test('events have the members of the contract', async (t) => {
  const { served, run, client } = await watched(t, 1);
  client.socket.emit('subscribe-to-logs', { taskId: 't1' });
  await client.saw('log-entry');
  await run.gap(2);
  await run.end(3);
  const { timestamp: endedAt, ...end } = await client.saw('stream-complete');
  const { timestamp: gapAt, ...gap } = await client.saw('log-entry', 2);
  const { timestamp: connectedAt, ...connected } = await client.saw('connected');
  const { timestamp: subscribedAt, ...subscribed } = await client.saw('subscription_success');
  for (const time of [endedAt, gapAt, connectedAt, subscribedAt])
    assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const cursors = served.reader.cursors();
  assert.deepEqual(connected, {
    sessionId: client.socket.id,
    message: 'Connected to the log stream.',
    features: ['real-time-logs', 'pipeline-progress', 'log-filtering', 'task-subscription'],
  });
  assert.deepEqual(subscribed, {
    event: 'subscribe-to-logs',
    taskId: 't1',
    message: 'Subscribed to the log of t1.',
    roomName: 'task:t1',
    cursor: cursors(1),
  });
  assert.deepEqual(await client.saw('log-entry'), {
    workerId: 'test',
    taskId: 't1',
    timestamp: '2026-01-02T03:04:05.678Z',
    level: 'INFO',
    source: 'stdout',
    message: '1',
    metadata: {},
    cursor: cursors(2),
  });
  assert.deepEqual(gap, {
    workerId: '',
    taskId: 't1',
    level: 'WARN',
    source: 'agent',
    message: '2 lines are missing here (dropped)',
    metadata: { gap: { fromLine: 2, toLine: 3, reason: 'dropped' } },
    cursor: cursors(4),
  });
  assert.deepEqual(end, {
    taskId: 't1',
    status: 'failed',
    exitCode: 3,
    signal: null,
    lines: 1,
    missing: 2,
    message: 'The task has ended: failed.',
    cursor: cursors(4),
  });
});

describe('subscribing', () => {
  test('twice on one connection, as a client does that asked before it was connected, is one stream', async (t) => {
    const served = await serveSocketIo(t);
    const run = await new TestRun(served, 't1').open();
    await run.write(...numbers(1, 600));
    const client = new TestClient(t, served.url);
    const payload = { taskId: 't1', from: 'start', filter: { levels: ['INFO'] } };
    client.socket.emit('subscribe-to-logs', payload);
    client.socket.on('connect', () => client.socket.emit('subscribe-to-logs', payload));
    await client.saw('subscription_success', 2);
    await run.end();
    await client.saw('stream-complete');
    assert.deepEqual(client.messages, numbers(1, 600));
  });

  test('again with another filter goes on with that, where it is', async (t) => {
    const { run, client } = await watched(t);
    client.socket.emit('subscribe-to-logs', { taskId: 't1' });
    await client.saw('log-entry', 3);
    client.socket.emit('subscribe-to-logs', { taskId: 't1', filter: { keywords: ['five'] } });
    await client.saw('subscription_success', 2);
    await run.write('four', 'five');
    await run.end();
    await client.saw('stream-complete');
    assert.deepEqual(client.messages, ['1', '2', '3', 'five']);
  });

  test('again with another start begins there', async (t) => {
    const { served, run, client } = await watched(t);
    client.socket.emit('subscribe-to-logs', { taskId: 't1' });
    await client.saw('log-entry', 3);
    client.socket.emit('subscribe-to-logs', { taskId: 't1', cursor: served.reader.cursors()(3) });
    await client.saw('log-entry', 4);
    await run.end();
    await client.saw('stream-complete');
    assert.deepEqual(client.messages, ['1', '2', '3', '3']);
  });

  test('to what does not exist yet waits for it', async (t) => {
    const served = await serveSocketIo(t);
    const client = new TestClient(t, served.url);
    client.socket.emit('subscribe-to-logs', { taskId: 'later' });
    await client.saw('subscription_success');
    await (await new TestRun(served, 'later').open()).write('here');
    assert.equal((await client.saw('log-entry')).message, 'here');
  });

  for (const [from, messages] of [
    [undefined, ['1', '2', '3', 'new']],
    ['start', ['1', '2', '3', 'new']],
    ['now', ['new']],
    [3, ['3', 'new']],
    ['2', ['2', '3', 'new']],
    [1000, []],
  ] as const) {
    test(`from ${from} begins there`, async (t) => {
      const { run, client } = await watched(t);
      client.socket.emit('subscribe-to-logs', { taskId: 't1', from });
      await client.saw('subscription_success');
      await run.write('new');
      await run.end();
      await (messages.length === 0 ? client.socket.emitWithAck('nothing', {}) : client.saw('stream-complete'));
      assert.deepEqual(client.messages, messages);
    });
  }

  test('has a limit for one connection', async (t) => {
    const served = await serveSocketIo(t);
    const client = new TestClient(t, served.url);
    for (let task = 0; task < 101; task++) client.socket.emit('subscribe-to-logs', { taskId: `t${task}` });
    const error = await client.saw('subscription_error');
    assert.deepEqual([error.message, error.taskId], ['One connection may have 100 such subscriptions.', 't100']);
    client.socket.emit('unsubscribe-from-logs', { taskId: 't5' });
    client.socket.emit('subscribe-to-logs', { taskId: 't100' });
    await client.saw('subscription_success', 101);
  });

  test('ends by unsubscribing, and not for other tasks', async (t) => {
    const { served, run, client } = await watched(t);
    const other = await new TestRun(served, 't2').open();
    client.socket.emit('subscribe-to-logs', { taskId: 't1' });
    client.socket.emit('subscribe-to-logs', { taskId: 't2' });
    await client.saw('log-entry', 3);
    client.socket.emit('unsubscribe-from-logs', { taskId: 't1' });
    const { timestamp, ...unsubscribed } = await client.saw('unsubscription_success');
    assert.equal(typeof timestamp, 'string');
    assert.deepEqual(unsubscribed, {
      event: 'unsubscribe-from-logs',
      taskId: 't1',
      message: 'Unsubscribed from the log of t1.',
    });
    await run.write('unheard');
    await other.write('heard');
    await client.saw('log-entry', 4);
    assert.deepEqual(client.messages, ['1', '2', '3', 'heard']);
    assert.equal(served.reader.followed.readers, 1);
  });
});

describe('a filter', () => {
  test('is its client’s own', async (t) => {
    const { served, run, client } = await watched(t, 0);
    const other = new TestClient(t, served.url);
    client.socket.emit('subscribe-to-logs', { taskId: 't1', filter: { levels: ['error'], sources: ['STDERR'] } });
    other.socket.emit('subscribe-to-logs', { taskId: 't1', filter: { keywords: ['DISK', 'net'], levels: [] } });
    await run.write(
      { text: 'the disk is full', level: 'ERROR', source: 'stderr' },
      { text: 'the network is down', level: 'WARN', source: 'stderr' },
      { text: 'oops', level: 'ERROR', source: 'stdout' },
    );
    await run.end();
    await client.saw('stream-complete');
    await other.saw('stream-complete');
    assert.deepEqual(client.messages, ['the disk is full']);
    assert.deepEqual(other.messages, ['the disk is full', 'the network is down']);
  });

  test('by workers and times holds, and one by other tasks lets nothing through', async (t) => {
    const { run, client } = await watched(t, 0);
    const time = Date.parse('2026-02-03T00:00:00Z');
    const filters = [
      { workerIds: ['test'] },
      { workerIds: ['somebody-else'] },
      { startTime: '2026-02-03T00:00:00Z', endTime: '2026-02-03T00:00:00Z' },
      { taskIds: ['t1', 't2'], keywords: ['b'] },
      { taskIds: ['t2'] },
    ];
    const answers: string[][] = [];
    await run.write({ text: 'a', time: time - 1 }, { text: 'b', time }, { text: 'c', time: time + 1 });
    await run.end();
    for (const [at, filter] of filters.entries()) {
      const before = client.messages.length;
      client.socket.emit('subscribe-to-logs', { taskId: 't1', filter });
      await client.saw('stream-complete', at + 1);
      answers.push(client.messages.slice(before) as string[]);
      await client.socket.emitWithAck('unsubscribe-from-logs', { taskId: 't1' });
    }
    assert.deepEqual(answers, [['a', 'b', 'c'], [], ['b'], ['b'], []]);
  });

  test('is replaced where the stream is: nothing is lost or comes twice', async (t) => {
    const { run, client } = await watched(t, 0);
    const both = { levels: ['INFO', 'WARN'] };
    client.socket.emit('subscribe-to-logs', { taskId: 't1', filter: both });
    await client.saw('subscription_success');
    const writing = (async () => {
      for (let line = 1; line <= 2000; line += 10)
        await run.write(...numbers(line, line + 9).map((text) => ({ text, level: 'WARN' as const })));
      await run.end();
    })();
    for (let round = 0; round < 20; round++) {
      const filter = round % 2 === 0 ? { levels: ['warn'] } : both;
      await client.socket.emitWithAck('update-log-filter', { taskId: 't1', filter });
    }
    await writing;
    await client.saw('stream-complete');
    await until(() => client.messages.length >= 2000);
    assert.deepEqual(client.messages, numbers(1, 2000));
    const { timestamp, cursor, ...updated } = await client.saw('filter_update_success');
    assert.deepEqual([typeof timestamp, typeof cursor], ['string', 'string']);
    assert.deepEqual(updated, {
      event: 'update-log-filter',
      taskId: 't1',
      filter: { levels: ['warn'] },
      message: 'The filter on t1 was replaced.',
    });
  });
});

describe('a pipeline', () => {
  test('may have any name that an agent can give it', async (t) => {
    const served = await serveSocketIo(t);
    const client = new TestClient(t, served.url);
    for (const pipelineId of ['.', 'a\tb', '파'.repeat(1024)]) {
      await new TestRun(served, `task of ${pipelineId.length}`).open({}, { pipelineId });
      const { success } = (await client.socket.emitWithAck('subscribe-to-pipeline', { pipelineId })) as {
        success: boolean;
      };
      assert.ok(success, pipelineId);
      await until(() => client.of('pipeline-progress').some((progress) => progress.pipelineId === pipelineId));
    }
  });

  test('is pushed as it is, and when it changes, however often it was asked for', async (t) => {
    const served = await serveSocketIo(t);
    const run = new TestRun(served, 'build');
    const client = new TestClient(t, served.url);
    client.socket.emit('subscribe-to-pipeline', { pipelineId: 'build' });
    client.socket.emit('subscribe-to-pipeline', { pipelineId: 'build' });
    const { timestamp, ...subscribed } = await client.saw('subscription_success', 2);
    assert.equal(typeof timestamp, 'string');
    assert.deepEqual(subscribed, {
      event: 'subscribe-to-pipeline',
      pipelineId: 'build',
      message: 'Subscribed to the progress of build.',
      roomName: 'pipeline:build',
    });
    await run.open();
    const running = await client.saw('pipeline-progress');
    assert.deepEqual([running.pipelineId, running.stageId, running.status], ['build', 'build', 1]);
    await run.end();
    await until(() => client.of('pipeline-progress').some(({ status, stageId }) => status === 2 && stageId === ''));
    const said = client.of('pipeline-progress').map(({ stageId, status }) => `${String(stageId)} ${String(status)}`);
    assert.deepEqual([...new Set(said)], said);
    client.socket.emit('unsubscribe-from-pipeline', { pipelineId: 'build' });
    await client.saw('unsubscription_success');
  });
});

describe('an answer', () => {
  test('comes as an acknowledgement, too', async (t) => {
    const { client } = await watched(t);
    const good = (await client.socket.emitWithAck('subscribe-to-logs', { taskId: 't1' })) as Record<string, unknown>;
    assert.deepEqual([good.success, good.event, good.roomName], [true, 'subscribe-to-logs', 'task:t1']);
    const bad = (await client.socket.emitWithAck('update-log-filter', { taskId: 't2', filter: {} })) as object;
    assert.deepEqual(bad, {
      success: false,
      message: 'There is no subscription to t2 yet.',
      details: 'INVALID_INPUT: Correct the request as the message says.',
      event: 'update-log-filter',
      taskId: 't2',
    });
    const unknown = (await client.socket.emitWithAck('subscribe-to-everything')) as Record<string, unknown>;
    assert.equal(unknown.message, 'There is no event "subscribe-to-everything".');
  });

  test('about the server has its numbers', async (t) => {
    const served = await serveSocketIo(t, {
      connections: () => 7,
      meter: { failed: () => undefined, averageLatencyMs: () => Promise.resolve(2.5) },
    });
    const run = await new TestRun(served, 't1').open();
    await run.write(...numbers(1, 20));
    const client = new TestClient(t, served.url);
    client.socket.emit('subscribe-to-logs', { taskId: 't1' });
    client.socket.emit('update-log-filter', { taskId: 't1' });
    await client.saw('log-entry', 20);
    await client.saw('filter_update_error');
    client.socket.emit('get-server-stats');
    const { memoryUsage, timestamp, ...stats } = await client.saw('server-stats');
    assert.ok(Number(memoryUsage) > 1024 * 1024);
    assert.equal(typeof timestamp, 'string');
    assert.deepEqual(stats, {
      event: 'get-server-stats',
      connectedClients: 1,
      activeConnections: 7,
      messagesPerSecond: 2,
      averageLatency: 2.5,
      errorRate: 0.5,
    });
  });
});
