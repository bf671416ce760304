import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { decodePosition, positionWriter } from '../../../shared/cursor.ts';
import { until } from '../../reading.fixture.ts';
import { openRelay, SocketClient, SseClient, TestWriter } from './stratal.fixture.ts';

const run = promisify(execFile);
const STAMP = '2026-01-02T03:04:05.678Z';

test('a WebSocket gets a confirmation, then one frame a log, JSON and a line end, as the contract has it', async (t) => {
  const { relay, api } = await openRelay(t);
  const build = await TestWriter.open(relay.url, 'build', { pipelineId: 'job 1', taskName: 'Build' });
  await build.write('before');
  const client = new SocketClient(t, `${api}/logs/stream/ws?job_run_id=job%201`);
  const [confirmation] = await client.saw(1);
  const { timestamp } = confirmation;
  assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const words = { level: 'info', stream: 'system', message: 'Connected to log stream' };
  assert.equal(client.frames[0], `${JSON.stringify({ type: '', job_run_id: 'job 1', timestamp, ...words })}\n`);

  await build.write('hi', { text: 'oh', source: 'stderr', level: 'ERROR', metadata: '{"a":1}' });
  await build.gap(2);
  await build.write('end');
  await client.saw(5);
  const ids = `"job_run_id":"job 1","task_run_id":"build","timestamp":"${STAMP}"`;
  assert.deepEqual(client.frames.slice(1, 3), [
    `{"type":"task",${ids},"level":"info","stream":"stdout","message":"hi","task_name":"Build"}\n`,
    `{"type":"task",${ids},"level":"error","stream":"stderr","message":"oh","task_name":"Build","metadata":{"a":1}}\n`,
  ]);
  const [gap, last] = client.messages.slice(3);
  assert.deepEqual(
    [gap.type, gap.job_run_id, gap.task_run_id, gap.level, gap.stream],
    ['task', 'job 1', 'build', 'warn', 'system'],
  );
  assert.deepEqual([gap.message, last.message], ['[gap: lines 4 to 5 missing: dropped]', 'end']);
  assert.deepEqual(gap.metadata, { gap: { reason: 'dropped', from_line: 4, to_line: 5, from_id: 3, to_id: 4 } });
  build.close();
});

test('without a job run, or with an empty one, everything comes; with one, only what is its own', async (t) => {
  const { relay, api } = await openRelay(t);
  const ws = `${api}/logs/stream/ws`;
  const paths = [ws, `${ws}?job_run_id=`, `${ws}?job_run_id=p`, `${ws}?job_run_id=solo`, `${ws}?job_run_id=none`];
  const clients = paths.map((path) => new SocketClient(t, path));
  await Promise.all(clients.map((client) => client.saw(1)));
  const writers = [
    await TestWriter.open(relay.url, 'a', { pipelineId: 'p' }),
    await TestWriter.open(relay.url, 'solo'),
    await TestWriter.open(relay.url, 'p', { pipelineId: 'p' }),
  ];
  for (const [i, writer] of writers.entries()) await writer.write(`line ${i}`);
  for (const [i, count] of [4, 4, 3, 2].entries()) await clients[i].saw(count);
  const seen = clients.map(({ messages }) =>
    messages.map(({ type, job_run_id, message }) => `${type}/${job_run_id}/${message}`),
  );
  const all = ['task/p/line 0', 'job/solo/line 1', 'job/p/line 2'];
  const hello = (job: string): string => `/${job}/Connected to log stream`;
  assert.deepEqual(seen, [
    [hello(''), ...all],
    [hello(''), ...all],
    [hello('p'), all[0], all[2]],
    [hello('solo'), all[1]],
    [hello('none')],
  ]);
  for (const writer of writers) writer.close();
});

test('whatever a client says on its WebSocket is ignored', async (t) => {
  const { relay, api } = await openRelay(t);
  const client = new SocketClient(t, `${api}/logs/stream/ws`);
  await client.saw(1);
  const said = ['', '{"type":"subscribe"}', '{"type":"auth","token":"x"}', '{', 'null', 'x'.repeat(1024 * 1024)];
  for (const text of said) client.socket.send(text);
  client.socket.send(Buffer.alloc(1024 * 1024, 0xff));
  client.socket.ping();
  await once(client.socket, 'pong');
  const writer = await TestWriter.open(relay.url, 't');
  await writer.write('still here');
  assert.deepEqual(
    (await client.saw(2)).map(({ message }) => message),
    ['Connected to log stream', 'still here'],
  );
  writer.close();
});

test('who asks a WebSocket for a place gets places, and goes on from them', async (t) => {
  const { relay, api } = await openRelay(t);
  const writer = await TestWriter.open(relay.url, 't');
  await writer.write('1', '2', '3');
  const first = new SocketClient(t, `${api}/logs/stream/ws?from=start`);
  const messages = await first.saw(4);
  assert.deepEqual(
    messages.slice(1).map(({ message }) => message),
    ['1', '2', '3'],
  );
  assert.equal(Object.keys(messages[1]).at(-1), 'cursor');
  const second = new SocketClient(t, `${api}/logs/stream/ws?job_run_id=t&cursor=${messages[2].cursor}`);
  await second.saw(2);
  await writer.write('4');
  const onward = (await second.saw(3)).slice(1).map(({ message }) => message);
  assert.deepEqual(onward, ['3', '4']);
  writer.close();
});

const NO_PLACES = ['nonsense', 'from-nowhere', positionWriter('another-epoch')(5)];
for (const place of NO_PLACES) {
  test(`a WebSocket that asks for ${place} is closed, and told why`, async (t) => {
    const { api } = await openRelay(t);
    const client = new SocketClient(t, `${api}/logs/stream/ws?cursor=${place}`);
    const [code, reason] = (await once(client.socket, 'close')) as [number, Buffer];
    assert.equal(code, 4004);
    assert.match(reason.toString(), /is no place in the merged streams/);
    assert.deepEqual(client.frames, []);
  });

  test(`a stream of events that asks for ${place} is refused in Stratal's words`, async (t) => {
    const { api } = await openRelay(t);
    const answer = await fetch(`${api}/logs/stream/sse?cursor=${place}`);
    const body = (await answer.json()) as { error: string };
    assert.deepEqual([answer.status, Object.keys(body)], [400, ['error']]);
    assert.match(body.error, /is no place in the merged streams of this store.*"now"/);
  });

  test(`an EventSource that comes back with ${place} is not turned away for ever: it is told, and goes on`, async (t) => {
    const { relay, api } = await openRelay(t);
    const writer = await TestWriter.open(relay.url, 't');
    await writer.write('before');
    const client = new SseClient(t, `${api}/logs/stream/sse`, { 'last-event-id': place });
    await client.saw('log');
    await writer.write('after');
    await client.saw('log', 2);
    const [gap, line] = client.logs;
    assert.deepEqual([gap.type, gap.level, gap.metadata], ['system', 'warn', { gap: { reason: 'unknown-place' } }]);
    assert.match(gap.message, /^\[gap: .* goes on from now\]$/);
    assert.equal(line.message, 'after');
    writer.close();
  });
}

test('curl gets the events as the contract writes them, each with an id', async (t) => {
  const { relay, api } = await openRelay(t);
  const writer = await TestWriter.open(relay.url, 't');
  const curl = execFile('curl', ['-sNi', '--no-buffer', `${api}/logs/stream/sse?job_run_id=t`]);
  t.after(() => curl.kill());
  let text = '';
  curl.stdout?.on('data', (chunk: string) => (text += chunk));
  await until(() => text.includes('event: connected'));
  await writer.write('one', { text: 'two\nlines', level: 'WARN' });
  await until(() => text.includes('two'));
  const [head, body] = text.split('\r\n\r\n');
  for (const header of [
    'Content-Type: text/event-stream',
    'Cache-Control: no-cache',
    'Connection: keep-alive',
    'X-Accel-Buffering: no',
  ]) {
    assert.ok(head.toLowerCase().split('\r\n').includes(header.toLowerCase()), `${header} is not in ${head}`);
  }
  const ids = [...body.matchAll(/^id: (.*)$/gm)].map(([, id]) => id);
  assert.deepEqual(
    ids.map((id) => decodePosition(id)?.position),
    [0, 1, 2],
  );
  const log = `"job_run_id":"t","timestamp":"${STAMP}","level"`;
  assert.equal(
    body,
    `event: connected\ndata: {"message":"Connected to log stream","job_run_id":"t"}\nid: ${ids[0]}\n\n` +
      `event: log\ndata: {"type":"job",${log}:"info","stream":"stdout","message":"one"}\nid: ${ids[1]}\n\n` +
      `event: log\ndata: {"type":"job",${log}:"warn","stream":"stdout","message":"two\\nlines"}\nid: ${ids[2]}\n\n`,
  );
  writer.close();
});

test('an event stream that comes back gets what it has not seen, from a job run and from everything', async (t) => {
  const { relay, api } = await openRelay(t);
  const writers = [await TestWriter.open(relay.url, 'a', { pipelineId: 'p' }), await TestWriter.open(relay.url, 'b')];
  const write = async (text: string): Promise<void> => {
    for (const writer of writers) await writer.write(`${text}a`, `${text}b`);
  };
  for (const [path, seen, missed] of [
    ['/logs/stream/sse', ['1a', '1b', '1a', '1b'], ['2a', '2b', '2a', '2b', '3a', '3b', '3a', '3b']],
    ['/logs/stream/sse?job_run_id=p', ['1a', '1b'], ['2a', '2b', '3a', '3b']],
  ] as const) {
    const first = new SseClient(t, api + path);
    await first.saw('connected');
    await write('1');
    await first.saw('log', seen.length);
    assert.deepEqual(first.texts, seen);
    first.source.close();
    await write('2');
    const last = first.events.at(-1)?.id ?? '';
    // The header goes before the address: that is from before the first connection.
    const again = new SseClient(t, `${api}${path}${path.includes('?') ? '&' : '?'}from=start`, {
      'last-event-id': last,
    });
    await again.saw('connected');
    await write('3');
    await again.saw('log', missed.length);
    assert.deepEqual(again.texts, missed);
    again.source.close();
  }
  for (const writer of writers) writer.close();
});

test('who goes before the first log misses nothing', async (t) => {
  const { relay, api } = await openRelay(t);
  const first = new SseClient(t, `${api}/logs/stream/sse`);
  await first.saw('connected');
  first.source.close();
  const writer = await TestWriter.open(relay.url, 't');
  await writer.write('meanwhile');
  const again = new SseClient(t, `${api}/logs/stream/sse`, { 'last-event-id': first.events[0].id });
  await again.saw('log');
  assert.deepEqual(again.texts, ['meanwhile']);
  writer.close();
});

test('a cursor beyond the end waits for what comes there', async (t) => {
  const { relay, api } = await openRelay(t);
  const writer = await TestWriter.open(relay.url, 't');
  await writer.write('1');
  const [, { cursor = '' }] = await new SocketClient(t, `${api}/logs/stream/ws?from=start`).saw(2);
  const epoch = decodePosition(cursor)?.epoch ?? '';
  const client = new SseClient(t, `${api}/logs/stream/sse?cursor=${positionWriter(epoch)(3)}`);
  await client.saw('connected');
  await writer.write('2', '3');
  await writer.write('4', '5');
  await client.saw('log', 2);
  assert.deepEqual(client.texts, ['4', '5']);
  writer.close();
});

test('a client that does not read is 10,000 logs behind and gets all of them when it does', async (t) => {
  const { relay, api } = await openRelay(t);
  const slow = new SocketClient(t, `${api}/logs/stream/ws`);
  await slow.saw(1);
  slow.socket.pause();
  const raw = await speak(relay.url, 'GET /api/v1/logs/stream/sse HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(raw, 'readable');
  raw.pause();
  const fast = new SocketClient(t, `${api}/logs/stream/ws`);
  await fast.saw(1);
  const writer = await TestWriter.open(relay.url, 't');
  const filler = 'x'.repeat(1000);
  for (let i = 0; i < 10_000; i += 500) {
    await writer.write(...Array.from({ length: 500 }, (_, j) => `${i + j} ${filler}`));
  }
  await fast.saw(10_001);
  assert.ok(slow.frames.length < 10_001);
  slow.socket.resume();
  await slow.saw(10_001);
  const numbers = slow.messages.slice(1).map(({ message }) => parseInt(message, 10));
  assert.deepEqual(numbers, Array.from(numbers.keys()));
  let text = '';
  raw.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  raw.resume();
  await until(() => text.includes('"message":"9999 '));
  assert.equal(text.match(/^event: log$/gm)?.length, 10_000);
  raw.destroy();
  writer.close();
});

async function speak(url: string, text: string): Promise<Socket> {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

test('the status counts streams by job run and transport, and forgets those that have gone', async (t) => {
  const { api, relay } = await openRelay(t);
  const status = async (): Promise<unknown> => (await fetch(`${api}/logs/stream/status`)).json();
  const none = { status: 'active', connections: { global: { websocket: 0, sse: 0 }, jobs: {} } };
  assert.deepEqual(await status(), none);
  const ws = (query: string): SocketClient => new SocketClient(t, `${api}/logs/stream/ws${query}`);
  const sockets = [ws(''), ws('?job_run_id=a%2Fb'), ws('?job_run_id=a%2Fb')];
  const raw = await speak(relay.url, 'GET /api/v1/logs/stream/sse?job_run_id=c HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const sources = [
    new SseClient(t, `${api}/logs/stream/sse`),
    new SseClient(t, `${api}/logs/stream/sse?job_run_id=a/b`),
  ];
  await Promise.all([
    ...sockets.map((one) => one.saw(1)),
    ...sources.map((one) => one.saw('connected')),
    once(raw, 'data'),
  ]);
  assert.deepEqual(await status(), {
    status: 'active',
    connections: {
      global: { websocket: 1, sse: 1 },
      jobs: { 'a/b': { websocket: 2, sse: 1 }, c: { websocket: 0, sse: 1 } },
    },
  });
  for (const { socket } of sockets) socket.close();
  for (const { source } of sources) source.close();
  // It has said all that it will say, and listens on.
  raw.end();
  let last: unknown;
  while (JSON.stringify(last) !== JSON.stringify(none)) last = await status();
});

test('who comes back to logs that were deleted meanwhile is told, and goes on behind them', async (t) => {
  const { relay, api } = await openRelay(t);
  const writer = await TestWriter.open(relay.url, 't');
  await writer.write('1', '2');
  const first = new SseClient(t, `${api}/logs/stream/sse?from=start`);
  await first.saw('log', 2);
  first.source.close();
  await writer.write('3', '4');
  const deleted = await fetch(`${api}/tasks/t/logs?before=${STAMP}`, { method: 'DELETE' });
  assert.equal(deleted.status, 200);
  await writer.write('5');
  for (const path of ['/logs/stream/sse', '/logs/stream/sse?job_run_id=t']) {
    const again = new SseClient(t, api + path, { 'last-event-id': first.events.at(-1)?.id ?? '' });
    await again.saw('log', 2);
    const [gap, line] = again.logs;
    assert.match(gap.message, /^\[gap: lines( up to 4)? missing: trimmed\]$/);
    const { reason, from_id, to_id } = gap.metadata?.gap as Record<string, unknown>;
    assert.deepEqual([gap.level, gap.stream, reason, from_id, to_id], ['warn', 'system', 'trimmed', 2, 3]);
    assert.equal(line.message, '5');
  }
  writer.close();
});

test('any text is the id of a job run; of two the first counts', async (t) => {
  const { relay, api } = await openRelay(t);
  const ids = ['__proto__', ' ', '../x?#%', '日本', '"]}', 'x'.repeat(5000)];
  const query = (id: string): string => `job_run_id=${encodeURIComponent(id)}&job_run_id=other`;
  const sockets = ids.map((id) => new SocketClient(t, `${api}/logs/stream/ws?${query(id)}`));
  const sources = ids.map((id) => new SseClient(t, `${api}/logs/stream/sse?${query(id)}`));
  await Promise.all([...sockets.map((one) => one.saw(1)), ...sources.map((one) => one.saw('connected'))]);
  assert.deepEqual(
    sockets.map(({ messages }) => messages[0].job_run_id),
    ids,
  );
  const said = sources.map(({ events }) => JSON.parse(events[0].data) as { job_run_id: string });
  assert.deepEqual(
    said.map(({ job_run_id }) => job_run_id),
    ids,
  );
  const text = await (await fetch(`${relay.url}/api/v1/logs/stream/status`)).text();
  for (const id of ids) assert.ok(text.includes(`${JSON.stringify(id)}:{"websocket":1,"sse":1}`), id.slice(0, 20));
});

test('HEAD of a stream is answered with its headers, and nothing stays open', async (t) => {
  const { api } = await openRelay(t);
  const { stdout } = await run('curl', ['-sI', '--max-time', '5', `${api}/logs/stream/sse`]);
  assert.match(stdout, /^HTTP\/1\.1 200 /);
  assert.match(stdout, /content-type: text\/event-stream/i);
  const status = (await (await fetch(`${api}/logs/stream/status`)).json()) as { connections: { global: object } };
  assert.deepEqual(status.connections.global, { websocket: 0, sse: 0 });
});

test("a GET of the WebSocket's address says what it is, in Stratal's words", async (t) => {
  const { api } = await openRelay(t);
  const answer = await fetch(`${api}/logs/stream/ws`);
  assert.deepEqual([answer.status, Object.keys((await answer.json()) as object)], [426, ['error']]);
});

test('when the relay stops, WebSockets are closed and streams end, with no message that Stratal does not know', async (t) => {
  const { relay, api } = await openRelay(t);
  const socket = new SocketClient(t, `${api}/logs/stream/ws`);
  const answer = await fetch(`${api}/logs/stream/sse`);
  await socket.saw(1);
  const text = answer.text();
  await relay.stop();
  await until(() => socket.closed !== undefined);
  assert.deepEqual([socket.closed, socket.frames.length], [4102, 1]);
  assert.match(await text, /^event: connected\ndata: .*\nid: .*\n\nretry: \d+\n\n$/);
});
