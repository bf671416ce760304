import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../reading.fixture.ts';
import { storedLines } from '../../../senders/senders.fixture.ts';
import { entry, openServer } from './grpc.fixture.ts';
import { RawStream } from './raw-stream.fixture.ts';

const MISSING: { what: string; worker: string; task: string; details: string }[] = [
  { what: 'worker_id', worker: '', task: 't', details: 'worker_id is required' },
  { what: 'task_id', worker: 'w', task: '', details: 'task_id is required' },
  { what: 'a task id that can be one', worker: 'w', task: 'a\nb', details: 'The task id has control characters' },
];

for (const { what, worker, task, details } of MISSING) {
  test(`a registration without ${what} is INVALID_ARGUMENT`, async (t) => {
    const { client } = await openServer(t);
    await assert.rejects(client().register(worker, task), { code: 3, details });
  });
}

test('nobody registers for what only the relay writes', async (t) => {
  const { client } = await openServer(t);
  const pod = { pod_name: 'pod', labels: { pipeline_id: 'keruta-relay' } };
  await assert.rejects(client().register('w', 'keruta-relay'), { code: 7, details: /^Only the relay writes/ });
  await assert.rejects(client().register('w', 't', pod), { code: 7, details: /another pipeline id/ });
});

test('a worker registers once; its pod is shown with its run, and its task is running', async (t) => {
  const { client, reading } = await openServer(t);
  const worker = client();
  const labels = { app: 'build', pipeline_id: 'p1' };
  const pod = { pod_name: 'pod-1', namespace: 'ci', node_name: 'n1', created_at: '2026-01-01T00:00:00Z', labels };
  const first = await worker.register('w', 't', pod);
  assert.equal(first.status, 'SUCCESS');
  const config = { rate_limit: 0, buffer_size: 1000, max_message_size: 1024 * 1024, include_metadata: true };
  assert.deepEqual(first.config, config);
  const again = await worker.register('w', 't', pod);
  assert.equal(again.status, 'ALREADY_REGISTERED');
  assert.equal(again.session_id, first.session_id);

  const stream = worker.stream();
  stream.send(entry('hello'));
  await stream.answered(1);
  const [run] = await reading.store.runs('t');
  assert.equal(run.run, first.session_id);
  assert.equal(run.workerId, 'w');
  assert.equal(run.pipelineId, 'p1');
  const pods = { pod: 'pod-1', namespace: 'ci', node: 'n1', podCreatedAt: '2026-01-01T00:00:00Z' };
  assert.deepEqual(run.labels, { ...labels, ...pods });
  assert.equal((await reading.store.task('t'))?.status, 'running');
});

test('one worker too many is answered SERVER_FULL', async (t) => {
  const { client } = await openServer(t, { config: { maxConnections: 2 } });
  const worker = client();
  for (const id of ['a', 'b']) assert.equal((await worker.register(id, 't')).status, 'SUCCESS');
  const refused = await worker.register('c', 't');
  assert.equal(refused.status, 'SERVER_FULL');
  assert.equal(refused.session_id, '');
  assert.equal((await worker.register('a', 't')).status, 'ALREADY_REGISTERED');
});

test('a stream goes on although its worker is not registered, and takes entries once it is', async (t) => {
  const { client, reading } = await openServer(t);
  const worker = client();
  const stream = worker.stream();
  stream.send(entry('too early'));
  assert.deepEqual(await stream.answered(1), [{ status: 'DROP', message: 'Worker w not registered', sequence: 0 }]);
  await worker.register('w', 't');
  stream.send(entry('in time'));
  assert.deepEqual((await stream.answered(2)).at(-1), { status: 'ACK', message: '', sequence: 1 });
  assert.deepEqual(await storedLines(reading, 't'), ['1 in time']);
});

test('entries without a message or task are answered RETRY without a number, in their place', async (t) => {
  const { client } = await openServer(t);
  const worker = client();
  await worker.register('w', 't');
  const stream = worker.stream();
  stream.send(entry('a'), entry(''), entry('b', { task_id: '' }), entry('c'));
  assert.deepEqual(await stream.answered(4), [
    { status: 'ACK', message: '', sequence: 1 },
    { status: 'RETRY', message: 'message is required', sequence: 0 },
    { status: 'RETRY', message: 'task_id is required', sequence: 0 },
    { status: 'ACK', message: '', sequence: 2 },
  ]);
});

test('the numbers of a session go on over its streams', async (t) => {
  const { client } = await openServer(t);
  const worker = client();
  await worker.register('w', 't');
  const first = worker.stream();
  first.send(entry('a'), entry('b'));
  await first.answered(2);
  first.call.end();
  assert.equal((await first.ended).code, 0);
  const second = worker.stream();
  second.send(entry('c'));
  assert.deepEqual((await second.answered(1)).at(0)?.sequence, 3);
});

test('a stream belongs to the worker of its first entry', async (t) => {
  const { client, reading } = await openServer(t);
  const worker = client();
  await worker.register('w', 't');
  const stream = worker.stream();
  stream.send(entry('mine'), entry('whose?', { worker_id: 'other' }));
  await stream.answered(2);
  const runs = await reading.store.runs('t');
  assert.deepEqual(
    runs.map(({ workerId, lines }) => [workerId, lines]),
    [['w', 2]],
  );
});

test('a stream may carry several tasks, each with a run of its own', async (t) => {
  const { client, reading } = await openServer(t);
  const worker = client();
  await worker.register('w', 't0');
  const stream = worker.stream();
  stream.send(...['t1', 't2', 't1'].map((task, i) => entry(`line ${i}`, { task_id: task })));
  await stream.answered(3);
  assert.deepEqual(await storedLines(reading, 't1'), ['1 line 0', '2 line 2']);
  assert.deepEqual(await storedLines(reading, 't2'), ['1 line 1']);
});

test('a run ends well some time after its stream was closed in order', async (t) => {
  let now = Date.now();
  const { client, reading, senders, api } = await openServer(t, { senders: { now: () => now } });
  const worker = client();
  await worker.register('w', 't');
  const stream = worker.stream();
  stream.send(entry('a'));
  stream.call.end();
  await stream.ended;
  await until(() => api.connections() === 0);
  now += 1000;
  await senders.sweep();
  assert.equal((await reading.store.task('t'))?.status, 'running');
  now += 2000;
  await senders.sweep();
  assert.equal((await reading.store.task('t'))?.status, 'succeeded');
  const [run] = await reading.store.runs('t');
  assert.equal(run.verified, true);
});

test('a registered worker that went without a word has half an hour to come back', async (t) => {
  let now = Date.now();
  const { client, reading, senders, api } = await openServer(t, { senders: { now: () => now } });
  await client().register('w', 't');
  // Clients of Node half-close before they cancel.
  const stream = await RawStream.open(t, api.port, { ':path': '/ottoscaler.v1.LogStreamingService/StreamLogs' });
  await stream.send(entry('a'));
  stream.cut();
  await until(() => api.connections() === 0);
  now += 29 * 60 * 1000;
  await senders.sweep();
  assert.equal((await reading.store.task('t'))?.status, 'running');
  now += 2 * 60 * 1000;
  await senders.sweep();
  assert.equal((await reading.store.task('t'))?.status, 'failed');
  assert.equal((await reading.store.runs('t'))[0].reason, 'agent-died');
});

test('after a restart of the relay a worker is still registered, with the same session and run', async (t) => {
  const before = await openServer(t);
  const { session_id: session } = await before.client().register('w', 't');
  const stream = before.client().stream();
  stream.send(entry('before'));
  await stream.answered(1);
  await before.api.stop();
  await before.senders.stop();

  const after = await openServer(t, { reading: before.reading });
  const again = after.client().stream();
  again.send(entry('after'));
  assert.equal((await again.answered(1))[0].status, 'ACK');
  const known = await after.client().register('w', 't');
  assert.deepEqual([known.status, known.session_id], ['ALREADY_REGISTERED', session]);
  assert.deepEqual(await storedLines(after.reading, 't'), ['1 before', '2 after']);
  assert.equal((await after.reading.store.runs('t')).length, 1);
});

test('a worker that is through makes room for another one', async (t) => {
  const { client } = await openServer(t, { config: { maxConnections: 2 } });
  const worker = client();
  for (const id of ['a', 'b']) await worker.register(id, 't');
  assert.equal((await worker.register('c', 't')).status, 'SERVER_FULL');
  await worker.notify({ worker_id: 'a', task_id: 't', status: 'COMPLETED' });
  assert.equal((await worker.register('c', 't')).status, 'SUCCESS');
  assert.equal((await worker.register('b', 't')).status, 'ALREADY_REGISTERED');
});

test('an answer does not repeat a worker id of any length', async (t) => {
  const { client } = await openServer(t);
  const stream = client().stream();
  stream.send(entry('a', { worker_id: 'x'.repeat(500_000) }));
  const [{ status, message }] = await stream.answered(1);
  assert.equal(status, 'DROP');
  assert.equal(message, `Worker ${'x'.repeat(1024)}… not registered`);
});
