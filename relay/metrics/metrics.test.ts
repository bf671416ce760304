import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { encodeGap } from '../../shared/chunk.ts';
import { FakeAgent } from '../ingest.fixture.ts';
import { relayConfig } from '../relay-config.fixture.ts';
import { startRelay, type Relay } from '../relay.ts';
import { Metrics } from './metrics.ts';

let folder: string;
let relay: Relay;
let ws: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keruta-metrics-'));
  relay = await startRelay(relayConfig({ dataDir: folder }));
  ws = relay.url.replace('http', 'ws');
});

after(async () => {
  await relay.stop();
  await rm(folder, { recursive: true, force: true });
});

/** What `/metrics` says, by name and labels as they are written. */
async function metrics(of = relay, headers: Record<string, string> = {}): Promise<Map<string, number>> {
  const response = await fetch(`${of.url}/metrics`, { headers });
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  return parse(await response.text());
}

/** Throws at a line that is none of the format's. */
function parse(text: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || /^# (HELP|TYPE) [a-zA-Z_:][\w:]* .+$/.test(line)) continue;
    const [, name, value] = /^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    assert.ok(/^nan$/i.test(value) || !Number.isNaN(Number(value)), line);
    assert.ok(!values.has(name), `${name} stands there twice`);
    values.set(name, Number(value));
  }
  return values;
}

/** What has changed between two looks. */
function grown(from: Map<string, number>, to: Map<string, number>): (name: string) => number {
  return (name) => {
    assert.ok(to.has(name), `there is no ${name}`);
    return (to.get(name) ?? 0) - (from.get(name) ?? 0);
  };
}

test('known traffic is counted', async () => {
  const from = await metrics();
  const agent = await FakeAgent.ready(ws, { task: 'counted' });
  agent.chunk(0, 5);
  agent.chunk(5, 2);
  agent.socket.send(encodeGap({ run: agent.run, firstSeq: 7, count: 30, reason: 'dropped', time: 1 }));
  await agent.acked(37);
  const posted = { level: 'ERROR', message: 'bad', source: 'stderr' };
  const body = JSON.stringify([posted, posted]);
  const headers = { 'content-type': 'application/json' };
  const post = await fetch(`${relay.url}/api/v1/tasks/posted/logs`, { method: 'POST', headers, body });
  assert.equal(post.status, 201);
  assert.equal((await fetch(`${relay.url}/api/v1/tasks/none/logs`)).status, 404);
  assert.equal((await fetch(`${relay.url}/nowhere`)).status, 404);
  const mistaken = new WebSocket(`${ws}/ws/tasks/counted`);
  const told = collector(mistaken);
  await told(1);
  mistaken.send('no JSON');
  await told(2);
  mistaken.close();

  const added = grown(from, await metrics());
  assert.equal(added('keruta_logs_total{source="stdout",level="INFO"}'), 7);
  assert.equal(added('keruta_logs_total{source="stderr",level="ERROR"}'), 2);
  assert.equal(added('keruta_logs_total{source="agent",level="WARN"}'), 0);
  assert.equal(added('keruta_missing_lines_total{reason="dropped"}'), 30);
  assert.equal(added('keruta_chunks_total'), 3);
  assert.equal(added('keruta_log_bytes_total'), 7 * 'line 0\n'.length + 2 * 'bad\n'.length);
  assert.equal(added('keruta_log_latency_seconds_count'), 3);
  assert.equal(added('keruta_store_append_seconds_count'), 3, 'chunks and gaps of agents');
  assert.equal(added('keruta_connections{kind="agent"}'), 1);
  assert.equal(added('keruta_runs_writing'), 1);
  assert.equal(added('keruta_http_requests_total{status="4xx"}'), 2);
  assert.equal(added('keruta_errors_total{type="TASK_NOT_FOUND"}'), 1);
  assert.equal(added('keruta_errors_total{type="NOT_FOUND"}'), 1);
  assert.equal(added('keruta_errors_total{type="INVALID_MESSAGE_FORMAT"}'), 1);
  assert.ok(added('keruta_store_chunks') >= 2);
  agent.socket.terminate();
});

test('a stream of events is a request, but its life is no time in which one was answered', async () => {
  const from = await metrics();
  const stream = await fetch(`${relay.url}/api/v1/logs/stream/sse`, { method: 'HEAD' });
  assert.equal(stream.headers.get('content-type'), 'text/event-stream');
  assert.equal((await fetch(`${relay.url}/health/live`)).status, 200);
  const seen = (of: (series: string) => number): number => of('keruta_http_requests_total{status="2xx"}');
  let added = grown(from, await metrics());
  // Both, and the first that asked for these numbers.
  while (seen(added) < 3) added = grown(from, await metrics());
  assert.equal(added('keruta_http_request_seconds_count'), seen(added) - 1);
});

test('a reader is counted while it follows, and what it was given', async () => {
  const from = await metrics();
  const agent = await FakeAgent.ready(ws, { task: 'followed' });
  const viewer = new WebSocket(`${ws}/ws/tasks/followed`);
  const got = collector(viewer);
  await got(1);
  agent.chunk(0, 3);
  await got(4);
  const added = grown(from, await metrics());
  assert.equal(added('keruta_readers'), 1);
  assert.equal(added('keruta_connections{kind="viewer"}'), 1);
  assert.equal(added('keruta_delivered_lines_total'), 3);
  assert.equal(added('keruta_reader_lag_lines{of="all"}'), 0);
  viewer.close();
  agent.socket.terminate();
});

test('an agent that comes back is counted as such', async () => {
  const from = await metrics();
  const agent = await FakeAgent.ready(ws, { task: 'back' });
  const { epoch } = agent.heard.find((message) => message.type === 'ready') ?? { epoch: undefined };
  agent.socket.terminate();
  const again = await FakeAgent.connect(ws, { task: 'back', run: agent.run });
  again.hello({ epoch: epoch ?? 'another' });
  await again.hears('ready');
  assert.equal(grown(from, await metrics())('keruta_reconnects_total'), 1);
  again.socket.terminate();
});

test('nothing that clients make up becomes a label', async () => {
  const from = await metrics();
  for (let i = 0; i < 20; i++) {
    const agent = await FakeAgent.ready(ws, { task: `task-${i}` });
    agent.chunk(0, 1);
    await agent.acked(1);
    agent.socket.terminate();
    await fetch(`${relay.url}/nowhere/${i}`);
    await fetch(`${relay.url}/api/v1/tasks/none-${i}`, { headers: { 'user-agent': `agent ${i}` } });
  }
  const to = await metrics();
  const ours = (name: string): boolean => name.startsWith('keruta_');
  assert.deepEqual([...to.keys()].filter(ours), [...from.keys()].filter(ours));
});

test('it takes a token that may read everything, unless it is open', async (t) => {
  const token = 'the-token-of-the-operator';
  const secured = await startRelay(relayConfig({ dataDir: join(folder, 'secured'), authTokens: [token] }));
  t.after(() => secured.stop());
  const open = await startRelay(relayConfig({ dataDir: join(folder, 'open'), authTokens: [token], metricsOpen: true }));
  t.after(() => open.stop());
  assert.equal((await fetch(`${secured.url}/metrics`)).status, 401);
  await metrics(secured, { authorization: `Bearer ${token}` });
  await metrics(open);
});

test('a store that answers nothing does not hide the rest, and how long it has been silent is among that', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const watched = new Metrics('1');
  watched.watch({
    intake: { lines: new Float64Array(16), missing: {} as never, chunks: 7, bytes: 0, textBytes: 0 },
    ingest: { runs: 0, pendingBytes: 0 },
    connections: () => ({ agents: 0, viewers: 0 }),
    traffic: () => ({ read: 0, written: 0 }),
    followed: { delivered: 0, readers: 0, lag: () => ({ most: 0, all: 0 }) },
    tails: [{ bytes: 0 }],
    store: { size: () => new Promise(() => undefined), waitingMs: 7000 },
    disk: () => ({ room: true, freeBytes: 1 }),
    health: () => Promise.resolve({ status: 'healthy', timestamp: '', checks: {} }),
    windowBytes: 1,
  });
  const asked = watched.text();
  t.mock.timers.tick(2000);
  const said = parse(await asked);
  assert.equal(said.get('keruta_chunks_total'), 7);
  assert.equal(said.get('keruta_store_waiting_seconds'), 7);
  assert.deepEqual([said.get('keruta_store_chunks'), said.get('keruta_store_bytes{part="all"}')], [NaN, NaN]);
});

/** Those that an agent tells on its local port, as its source names them. */
async function namesOfAgents(): Promise<string[]> {
  return (await readFile(join(ROOT, 'agent/local-metrics.ts'), 'utf8')).match(/(?<=family\(')\w+/g) ?? [];
}

const ROOT = join(import.meta.dirname, '../..');

for (const example of ['examples/alerts/keruta-alerts.yaml', 'examples/grafana/keruta-relay.json']) {
  test(`every metric in ${example} is one`, async () => {
    const text = await readFile(join(ROOT, example), 'utf8');
    const named = new Set(text.match(/\b(keruta|process|nodejs)_[a-z0-9_]+/g));
    const ofRelays = Array.from((await metrics()).keys(), (name) => name.replace(/\{.*/, ''));
    const known = new Set([...ofRelays, ...(await namesOfAgents())]);
    assert.ok(named.size > 10);
    assert.deepEqual(
      [...named].filter((name) => !known.has(name)),
      [],
    );
  });
}

/** Resolves when so many messages have come in all. */
function collector(socket: WebSocket): (count: number) => Promise<void> {
  let came = 0;
  let changed: () => void = () => undefined;
  socket.addEventListener('message', () => {
    came++;
    changed();
  });
  return async (count) => {
    while (came < count) await new Promise<void>((resolve) => (changed = resolve));
  };
}
