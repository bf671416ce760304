import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../reading.fixture.ts';
import { storedLines } from '../../../senders/senders.fixture.ts';
import { entry, openServer } from './grpc.fixture.ts';
import { RawStream } from './raw-stream.fixture.ts';

test('ForwardWorkerLogs takes the entries of workers that nobody has registered', async (t) => {
  const { client, reading } = await openServer(t);
  const stream = client().forward();
  const pod_metadata = { pod_name: 'pod-1', namespace: 'ci', node_name: '', created_at: '', labels: { app: 'x' } };
  stream.send(
    { ...entry('a'), ...{ pod_metadata } },
    entry('b', { worker_id: 'v', metadata: { pipeline_id: 'p' }, task_id: 'u' }),
    entry(''),
    entry('c'),
  );
  assert.deepEqual(await stream.answered(4), [
    { status: 'ACK', message: '', sequence: 1, throttle_ms: 0 },
    { status: 'ACK', message: '', sequence: 2, throttle_ms: 0 },
    { status: 'RETRY', message: 'message is required', sequence: 0, throttle_ms: 0 },
    { status: 'ACK', message: '', sequence: 3, throttle_ms: 0 },
  ]);
  assert.deepEqual(await storedLines(reading, 't'), ['1 a', '2 c']);
  const [run] = await reading.store.runs('t');
  assert.deepEqual([run.workerId, run.labels], ['w', { app: 'x', pod: 'pod-1', namespace: 'ci' }]);
  assert.equal((await reading.store.runs('u'))[0].pipelineId, 'p');
});

test('an entry without a worker id belongs to whoever sends it', async (t) => {
  const { client, reading } = await openServer(t);
  const stream = client().forward();
  stream.send(entry('a', { worker_id: '' }));
  await stream.answered(1);
  assert.match((await reading.store.runs('t'))[0].workerId, /^(127\.0\.0\.1|::1)$/);
});

const STATUSES: { status: string; task: string; message?: string }[] = [
  { status: 'CREATED', task: 'pending' },
  { status: 'RUNNING', task: 'running' },
  { status: 'COMPLETED', task: 'succeeded' },
  { status: 'FAILED', task: 'failed', message: 'out of memory' },
  { status: 'TERMINATED', task: 'cancelled', message: 'deleted' },
];

for (const { status, task, message = '' } of STATUSES) {
  test(`${status} makes a task that nobody has sent anything of ${task}`, async (t) => {
    const { client, reading } = await openServer(t);
    const ack = await client().notify({ worker_id: 'w', task_id: 't', status: status as never, reason: message });
    assert.deepEqual(ack, { status: 'RECEIVED', message: '' });
    const record = await reading.store.task('t');
    assert.equal(record?.status, task);
    assert.equal(record.message, message === '' ? null : message);
  });

  test(`${status} makes a task whose worker is sending ${task === 'pending' ? 'no other' : task}`, async (t) => {
    const { client, reading } = await openServer(t);
    const handler = client();
    const stream = handler.forward();
    stream.send(entry('a'));
    await stream.answered(1);
    await handler.notify({ worker_id: 'w', task_id: 't', status: status as never });
    assert.equal((await reading.store.task('t'))?.status, task === 'pending' ? 'running' : task);
    assert.equal((await reading.store.runs('t')).length, 1);
  });
}

test('each worker of a task has a status of its own, and the task fails with one of them', async (t) => {
  const { client, reading } = await openServer(t);
  const handler = client();
  const stream = handler.forward();
  stream.send(entry('a', { worker_id: 'v' }), entry('b', { worker_id: 'w' }));
  await stream.answered(2);
  await handler.notify({ worker_id: 'v', task_id: 't', status: 'FAILED' });
  assert.equal((await reading.store.task('t'))?.status, 'running');
  await handler.notify({ worker_id: 'w', task_id: 't', status: 'COMPLETED' });
  assert.equal((await reading.store.task('t'))?.status, 'failed');
});

test('an end that is said twice is ignored the second time', async (t) => {
  const { client, reading } = await openServer(t);
  const handler = client();
  const notification = { worker_id: 'w', task_id: 't', status: 'FAILED' as const };
  assert.equal((await handler.notify(notification)).status, 'RECEIVED');
  assert.equal((await handler.notify(notification)).status, 'IGNORED');
  assert.equal((await reading.store.runs('t')).length, 1);
});

test('what a worker still sends after its end is stored, and the end stays what it was', async (t) => {
  let now = Date.now();
  const { client, reading, senders } = await openServer(t, { senders: { now: () => now } });
  const handler = client();
  const stream = handler.forward();
  stream.send(entry('a'));
  await stream.answered(1);
  await handler.notify({ worker_id: 'w', task_id: 't', status: 'FAILED' });
  stream.send(entry('late'));
  await stream.answered(2);
  now += 3000;
  await senders.sweep();
  assert.equal((await reading.store.task('t'))?.status, 'failed');
  assert.deepEqual(await storedLines(reading, 't'), ['1 a', '2 late']);
});

test('a failure that is said after the stream was closed in order counts more than that', async (t) => {
  let now = Date.now();
  const { client, reading, senders, api } = await openServer(t, { senders: { now: () => now } });
  const handler = client();
  const stream = handler.forward();
  stream.send(entry('a'));
  stream.call.end();
  await stream.ended;
  await until(() => api.connections() === 0);
  now += 5000;
  await senders.sweep();
  assert.equal((await reading.store.task('t'))?.status, 'succeeded');
  await handler.notify({ worker_id: 'w', task_id: 't', status: 'FAILED' });
  assert.equal((await reading.store.task('t'))?.status, 'failed');
});

const WRONG: { what: string; notification: object; details: string }[] = [
  { what: 'no worker', notification: { task_id: 't' }, details: 'worker_id is required' },
  { what: 'no task', notification: { worker_id: 'w' }, details: 'task_id is required' },
];

for (const { what, notification, details } of WRONG) {
  test(`a status with ${what} is INVALID_ARGUMENT`, async (t) => {
    const { client } = await openServer(t);
    await assert.rejects(client().notify(notification), { code: 3, details });
  });
}

test('a status that is not in the table is ignored', async (t) => {
  const { client, reading } = await openServer(t);
  const ack = await client().notify({ worker_id: 'w', task_id: 't', status: 17 });
  assert.deepEqual(ack, { status: 'IGNORED', message: 'There is no status 17' });
  assert.equal(await reading.store.task('t'), undefined);
});

test('a worker that is said to run, and of which nobody says more, is given up after half an hour', async (t) => {
  let now = Date.now();
  const { client, reading, senders } = await openServer(t, { senders: { now: () => now } });
  const handler = client();
  await handler.notify({ worker_id: 'w', task_id: 't', status: 'RUNNING' });
  now += 29 * 60 * 1000;
  await senders.sweep();
  assert.equal((await reading.store.task('t'))?.status, 'running');
  now += 2 * 60 * 1000;
  await senders.sweep();
  assert.equal((await reading.store.runs('t'))[0].reason, 'agent-died');
  await handler.notify({ worker_id: 'w', task_id: 't', status: 'COMPLETED' });
  assert.equal((await reading.store.task('t'))?.status, 'succeeded');
});

test('a handler that goes at its deadline, which ours is just behind, leaves its workers running', async (t) => {
  let now = Date.now();
  const { reading, senders, api } = await openServer(t, { senders: { now: () => now } });
  const stream = await RawStream.open(t, api.port, { 'grpc-timeout': '5S' });
  await stream.send(entry('a'));
  stream.cut();
  await until(() => api.connections() === 0);
  now += 29 * 60 * 1000;
  await senders.sweep();
  assert.equal((await reading.store.task('t'))?.status, 'running');
});
