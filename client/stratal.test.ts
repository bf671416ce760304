import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { relayConfig } from '../relay/relay-config.fixture.ts';
import { startRelay, type Relay } from '../relay/relay.ts';
import { SYSTEM_TASK } from '../relay/system-task.ts';
import type { MergedEvent } from './events.ts';
import { log, ScriptedRelay, type Script } from './relay.fixture.ts';
import { stratalMessage, type LogMessage } from './stratal-message.ts';
import { LogStreamingService } from './stratal.ts';

const LINE = {
  ...{ type: 'log', id: 'c', taskId: 't', timestamp: '2026-01-02T03:04:05.678Z', source: 'stdout', level: 'INFO' },
  ...{ message: 'hello', lineNumber: 1, metadata: {} },
} as const;
const WORDS = { timestamp: LINE.timestamp, level: 'info', stream: 'stdout', message: 'hello' } as const;

for (const { what, event, message } of [
  {
    what: 'a line of a task in a pipeline',
    event: { ...LINE, pipelineId: 'p', taskName: 'Build', metadata: { a: 1 } },
    message: { type: 'task', job_run_id: 'p', task_run_id: 't', ...WORDS, task_name: 'Build', metadata: { a: 1 } },
  },
  {
    what: 'a line of a task that is a pipeline by itself',
    event: { ...LINE, level: 'ERROR', source: 'agent' },
    message: { type: 'job', job_run_id: 't', ...WORDS, level: 'error', stream: 'system' },
  },
  {
    what: "a line of the relay's own",
    event: { ...LINE, taskId: SYSTEM_TASK, level: 'WARN', source: 'stderr' },
    message: { type: 'system', job_run_id: '', ...WORDS, level: 'warn', stream: 'stderr' },
  },
  {
    what: 'lines that are missing',
    event: {
      type: 'gap',
      taskId: 't',
      pipelineId: 'p',
      fromLine: 3,
      toLine: 4,
      lines: 2,
      reason: 'dropped',
      cursor: 'c',
    },
    message: {
      ...{ type: 'task', job_run_id: 'p', task_run_id: 't', timestamp: '1970-01-01T00:00:00.007Z', level: 'warn' },
      ...{ stream: 'system', message: '2 lines are missing (dropped)' },
      metadata: { gap: { lines: 2, reason: 'dropped', from_line: 3, to_line: 4 } },
    },
  },
] as { what: string; event: MergedEvent; message: LogMessage }[]) {
  test(`${what} as Stratal's clients know it`, () => {
    const made = stratalMessage(event, 7);
    assert.deepEqual(made, message);
    assert.deepEqual(Object.keys(made), Object.keys(message));
  });
}

/** A stream of everything from a relay that does what it is told, and what its callbacks heard. */
function open(relay: ScriptedRelay, options: object = {}) {
  const heard: string[] = [];
  const service = new LogStreamingService('http://relay', {
    webSocket: relay.open,
    backoff: { minMs: 1, maxMs: 2 },
    onMessage: ({ message }) => heard.push(message),
    onConnect: () => heard.push('connect'),
    onDisconnect: () => heard.push('disconnect'),
    onError: ({ message }) => heard.push(`error: ${message}`),
    idleMs: 0,
    ...options,
  });
  return { service, heard };
}

const hello: Script = (socket, subscription) => socket.say({ type: 'subscribed', subscription, cursor: 'c0' });
const line = (n: number) => ({ ...LINE, ...log(n, `line ${n}`) });
const lose: Script = (socket) => socket.lose();

async function until(done: () => boolean): Promise<void> {
  while (!done()) await turn();
}

test('a stream goes on behind its last line when the connection breaks, and says what happened', async () => {
  const relay = new ScriptedRelay(
    (socket, subscription, message) => {
      hello(socket, subscription, message);
      socket.say([line(1), line(2)], subscription);
      socket.lose();
    },
    (socket, subscription, message) => {
      hello(socket, subscription, message);
      socket.say([line(3)], subscription);
    },
  );
  const { service, heard } = open(relay);
  const streamer = service.streamJobRunLogs('p');
  await until(() => heard.includes('line 3'));
  assert.equal(streamer.isConnected(), true);
  streamer.disconnect();
  assert.equal(streamer.isConnected(), false);
  const broken = 'error: the connection broke';
  assert.deepEqual(heard, ['connect', 'line 1', 'line 2', 'disconnect', broken, 'connect', 'line 3', 'disconnect']);
  assert.deepEqual(
    relay.subscribes.map(({ pipelineId, options }) => [pipelineId, options?.from, options?.after]),
    [
      ['p', 'now', undefined],
      ['p', undefined, 'id2'],
    ],
  );
});

test('a stream that was disconnected goes on where it was, however often it is told to', async () => {
  const relay = new ScriptedRelay(
    (socket, subscription, message) => {
      hello(socket, subscription, message);
      socket.say([line(1)], subscription);
    },
    (socket, subscription, message) => {
      hello(socket, subscription, message);
      socket.say([line(2)], subscription);
    },
  );
  const { service, heard } = open(relay);
  const streamer = service.streamAllLogs();
  streamer.connect();
  await until(() => heard.includes('line 1'));
  streamer.disconnect();
  streamer.disconnect();
  streamer.connect();
  streamer.connect();
  await until(() => heard.includes('line 2'));
  service.stopAllStreaming();
  assert.deepEqual(heard, ['connect', 'line 1', 'disconnect', 'connect', 'line 2', 'disconnect']);
  assert.deepEqual(
    relay.subscribes.map(({ all, options }) => [all, options?.after]),
    [
      [true, undefined],
      [true, 'id1'],
    ],
  );
});

for (const { what, options, attempts } of [
  { what: 'after as many attempts as it may make', options: { maxReconnectAttempts: 3 }, attempts: 4 },
  { what: 'at once if it may not connect again', options: { autoReconnect: false }, attempts: 1 },
]) {
  test(`a stream gives up ${what}, and can be told to try again`, async () => {
    const relay = new ScriptedRelay(...Array.from({ length: attempts }, () => lose), hello);
    const { service, heard } = open(relay, options);
    const streamer = service.streamAllLogs();
    await until(() => heard.length === attempts);
    for (let i = 0; i < 20; i++) await turn();
    assert.equal(relay.sockets.length, attempts);
    assert.equal(streamer.isConnected(), false);
    streamer.connect();
    await until(() => streamer.isConnected());
    service.stopAllStreaming();
  });
}

test('a callback that throws loses no other message', async () => {
  const relay = new ScriptedRelay((socket, subscription) => socket.say([line(1), line(2)], subscription));
  const seen: string[] = [];
  const onMessage = ({ message }: LogMessage): void => {
    seen.push(message);
    if (seen.length === 1) throw new Error('oops');
  };
  const { service, heard } = open(relay, { onMessage });
  service.streamAllLogs();
  await until(() => seen.length === 2);
  service.stopAllStreaming();
  assert.deepEqual(heard, ['error: oops']);
});

test('neither does one that hears of connections, and who does not hear of errors leaves them to the page', async (t) => {
  const uncaught: (() => void)[] = [];
  const relay = new ScriptedRelay((socket, subscription, message) => {
    hello(socket, subscription, message);
    socket.say([line(1), line(2)], subscription);
  });
  const seen: string[] = [];
  const fail = (): never => assert.fail('oops');
  const { service } = open(relay, {
    onConnect: fail,
    onMessage: ({ message }: LogMessage) => (seen.push(message) === 1 ? fail() : undefined),
    onError: undefined,
  });
  t.mock.method(globalThis, 'queueMicrotask', (act: () => void) => uncaught.push(act));
  service.streamAllLogs();
  await until(() => seen.length === 2);
  t.mock.restoreAll();
  service.stopAllStreaming();
  assert.equal(uncaught.length, 2);
  for (const act of uncaught) assert.throws(act, /oops/);
});

test('a second stream of the same job run ends the first one', async () => {
  const relay = new ScriptedRelay(hello, hello);
  const { service } = open(relay);
  const first = service.streamJobRunLogs('p');
  await until(() => first.isConnected());
  const second = service.streamJobRunLogs('p');
  await until(() => second.isConnected());
  assert.equal(first.isConnected(), false);
  service.stopStreaming('job-p');
  assert.equal(second.isConnected(), false);
});

test('a refusal ends a stream with an error', async () => {
  const relay = new ScriptedRelay((socket, subscription) =>
    socket.say({ type: 'error', subscription, code: 'FORBIDDEN', message: 'not yours' }),
  );
  const { service, heard } = open(relay);
  service.streamAllLogs();
  await until(() => heard.length > 0);
  assert.deepEqual(heard, ['error: not yours']);
});

const folder = mkdtempSync(join(tmpdir(), 'keruta-stratal-'));
let relay: Relay;
before(async () => {
  relay = await startRelay(relayConfig({ dataDir: folder }));
});
after(async () => {
  await relay.stop();
  rmSync(folder, { recursive: true });
});

async function post(...messages: string[]): Promise<void> {
  const response = await fetch(`${relay.url}/api/v1/tasks/job/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(messages.map((message) => ({ level: 'INFO', message }))),
  });
  assert.equal(response.status, 201);
}

test('against a relay: history by its requests, then what comes by its stream', async () => {
  await post('one', 'two');
  const service = new LogStreamingService(`${relay.url}/api/v1`);
  const { logs, pagination } = await service.getJobRunLogs('job', 1, 1);
  assert.deepEqual(
    [logs.map(({ message }) => message), pagination],
    [['two'], { total: 2, limit: 1, offset: 1, count: 1 }],
  );
  assert.equal((await service.getTaskRunLogs('job')).logs.length, 2);
  assert.deepEqual((await service.getJobRunLogs('none')).logs, []);
  const seen: LogMessage[] = [];
  const streamer = service.streamJobRunLogs('job', { onMessage: (message) => seen.push(message) });
  await until(() => streamer.isConnected());
  await post('three');
  await until(() => seen.length > 0);
  service.stopAllStreaming();
  assert.deepEqual(
    seen.map(({ type, job_run_id, message }) => [type, job_run_id, message]),
    [['job', 'job', 'three']],
  );
  assert.equal((await service.getStreamingStatus()).status, 'active');
  assert.equal((await service.getLogsByType('job', 1)).logs[0].message, 'three');
  assert.deepEqual((await service.getSystemLogs()).logs, []);
});

test('what only a page can do is refused elsewhere', async () => {
  const service = new LogStreamingService(relay.url);
  await assert.rejects(service.downloadJobRunLogs('job'), { code: 'INVALID_INPUT' });
});

test('a download that breaks off saves nothing', async () => {
  const body = new ReadableStream({ pull: (part) => part.error(new Error('gone')) });
  const service = new LogStreamingService('http://relay', {
    token: 'token',
    fetch: () => Promise.resolve(new Response(body)),
  });
  await assert.rejects(service.downloadJobRunLogs('job'), { name: 'ClientError', code: 'INVALID_ANSWER' });
});
