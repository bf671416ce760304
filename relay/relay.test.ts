import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { chunkOf, digestOf, FakeAgent } from './ingest.fixture.ts';
import type { RelayConfig } from '../shared/options/relay-options.ts';
import { relayConfig } from './relay-config.fixture.ts';
import { startRelay, type Relay } from './relay.ts';

let folder: string;
const running = new Set<Relay>();

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keruta-relay-'));
});

afterEach(async () => {
  for (const relay of running) await relay.stop();
  running.clear();
});

after(() => rm(folder, { recursive: true, force: true }));

async function start(name: string, more: Partial<RelayConfig> = {}): Promise<{ relay: Relay; ws: string }> {
  const relay = await startRelay(relayConfig({ dataDir: join(folder, name), ...more }));
  running.add(relay);
  return { relay, ws: relay.url.replace('http', 'ws') };
}

interface Health {
  status: string;
  checks: Record<string, { healthy: boolean; message: string; latency: number }>;
}

async function health(relay: Relay): Promise<Health & { code: number }> {
  const response = await fetch(`${relay.url}/health`);
  return { code: response.status, ...((await response.json()) as Health) };
}

test('lines go in over the agent link and come out over REST; a restart with the same data goes on', async () => {
  const first = await start('restart');
  const agent = await FakeAgent.ready(first.ws, { task: 'job 1' });
  agent.chunk(0, 3);
  await agent.acked(3);
  const epoch = (await logsOf(first.relay, 'job 1')).length;
  assert.equal(epoch, 3);
  await first.relay.stop();
  await first.relay.stopped;
  assert.equal((await agent.closes()).code, 4102);

  const second = await start('restart');
  const again = await FakeAgent.connect(second.ws, { task: 'job 1', run: agent.run });
  again.hello({ ackedSeq: 3 });
  const ready = await again.hears('ready');
  const [before, rest] = [chunkOf(agent.run, 0, 3), chunkOf(agent.run, 3, 2)];
  assert.equal(ready.nextSeq, 3);
  assert.equal(ready.digest, digestOf([before]));
  again.chunk(3, 2);
  await again.acked(5);
  const bytes = 5 * 'line 0\n'.length;
  again.end({ nextSeq: 5, lines: 5, bytes, digest: digestOf([before, rest]) });
  assert.equal((await again.hears('verified')).nextSeq, 5);
  assert.deepEqual(await logsOf(second.relay, 'job 1'), ['line 0', 'line 1', 'line 2', 'line 3', 'line 4']);
});

async function logsOf(relay: Relay, task: string): Promise<string[]> {
  const response = await fetch(`${relay.url}/api/v1/tasks/${encodeURIComponent(task)}/logs`);
  assert.equal(response.status, 200);
  const { content } = (await response.json()) as { content: { message: string }[] };
  return content.map(({ message }) => message);
}

test('a viewer gets lines as they are stored', async () => {
  const { ws } = await start('viewer');
  const agent = await FakeAgent.ready(ws, { task: 'seen' });
  agent.chunk(0, 1);
  await agent.acked(1);
  const viewer = new WebSocket(`${ws}/ws/tasks/seen`);
  const messages: { type: string; message?: string }[] = [];
  viewer.on('message', (data: Buffer) => {
    messages.push(JSON.parse(data.toString()) as { type: string });
    viewer.emit('heard');
  });
  while (!messages.some(({ type }) => type === 'subscribed')) await once(viewer, 'heard');
  agent.chunk(1, 2);
  while (messages.filter(({ type }) => type === 'log').length < 2) await once(viewer, 'heard');
  assert.deepEqual(
    messages.flatMap(({ message }) => message ?? []),
    ['line 1', 'line 2'],
  );
  viewer.terminate();
});

test('a second relay on the same folder is refused with the pid of the first, and leaves it alone', async () => {
  const { relay } = await start('locked');
  await assert.rejects(start('locked'), new RegExp(`already in use by .*\\b${process.pid}\\b`));
  assert.equal((await health(relay)).code, 200);
});

test('the data folder is made for its owner alone', async () => {
  await start('deep/er');
  assert.equal((await stat(join(folder, 'deep/er'))).mode & 0o777, 0o700);
});

test('in a data folder that others made for all to read, the store is for its owner alone', async () => {
  await mkdir(join(folder, 'made'), { mode: 0o755 });
  await start('made');
  for (const name of ['keruta.db', 'keruta.db-wal', 'keruta.db-shm'])
    assert.equal((await stat(join(folder, 'made', name))).mode & 0o777, 0o600, name);
});

test('a data folder that is a file is a clear error', async () => {
  await writeFile(join(folder, 'file'), '');
  await assert.rejects(start('file'), /data folder .*file can't be made: EEXIST/);
});

test('a port that is taken is a clear error, and the data folder is free again', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await assert.rejects(start('port', { port }), new RegExp(`port ${port} of 127.0.0.1 is already in use`));
  other.close();
  await start('port');
});

test('a read-only data folder is a clear error', async (t) => {
  const mount = await mounted(t, 'read-only');
  if (mount === undefined) return;
  run('mount', '-o', 'remount,ro', mount);
  await assert.rejects(start('read-only'), /read-?only/i);
});

test('on a full disk nothing is acknowledged and health says why; with room again the agent goes on', async (t) => {
  const mount = await mounted(t, 'full');
  if (mount === undefined) return;
  const { relay, ws } = await start('full', { minFreeBytes: 1024 * 1024 });
  const agent = await FakeAgent.ready(ws, { task: 'big' });
  agent.chunk(0, 2);
  await agent.acked(2);
  const free = 16 * 1024 * 1024 - 512 * 1024;
  await writeFile(join(mount, 'ballast'), Buffer.alloc(free)).catch((error: unknown) => {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  });
  assert.equal((await agent.closes()).code, 4105);
  let report = await health(relay);
  while (report.checks.disk.healthy) report = await health(relay);
  assert.equal(report.code, 503);
  assert.match(report.checks.disk.message, /MiB are free, 1 MiB are kept/);
  assert.deepEqual(await logsOf(relay, 'big'), ['line 0', 'line 1'], 'reading goes on');
  await rm(join(mount, 'ballast'));
  while (!report.checks.disk.healthy) report = await health(relay);
  const again = await FakeAgent.connect(ws, { task: 'big', run: agent.run });
  again.hello();
  assert.equal((await again.hears('ready')).nextSeq, 2);
  again.chunk(2, 1);
  await again.acked(3);
});

test('a store that finds no room itself acknowledges nothing, and everything when there is room', async (t) => {
  const mount = await mounted(t, 'full-store');
  if (mount === undefined) return;
  const { ws } = await start('full-store');
  let agent = await FakeAgent.ready(ws, { task: 'big' });
  await writeFile(join(mount, 'ballast'), Buffer.alloc(32 * 1024 * 1024)).catch((error: unknown) => {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  });
  let acked = 0;
  agent.socket.on('message', (data: Buffer) => (acked = (JSON.parse(data.toString()) as { nextSeq: number }).nextSeq));
  for (let seq = 0; seq < 40_000; seq += 400) agent.chunk(seq, 400);
  assert.equal((await agent.closes()).code, 4105);
  await rm(join(mount, 'ballast'));
  const { run: runId } = agent;
  for (;;) {
    agent = await FakeAgent.connect(ws, { task: 'big', run: runId });
    agent.hello();
    const next = await agent.hears('ready').then(
      (ready) => ready.nextSeq,
      () => undefined,
    );
    if (next === undefined) continue;
    assert.ok(next >= acked, `${next} is there, ${acked} was acknowledged`);
    for (let seq = next; seq < 40_000; seq += 400) agent.chunk(seq, 400);
    break;
  }
  await agent.acked(40_000);
});

test('a run is lost after its silence and comes back with its next hello', async () => {
  const { relay, ws } = await start('lost', { lostAfterMs: 300 });
  const agent = await FakeAgent.ready(ws, { task: 'quiet' });
  agent.chunk(0, 1);
  await agent.acked(1);
  agent.socket.terminate();
  while ((await statusOf(relay, 'quiet')) !== 'lost');
  const again = await FakeAgent.connect(ws, { task: 'quiet', run: agent.run });
  again.hello();
  assert.equal((await again.hears('ready')).nextSeq, 1);
  assert.equal(await statusOf(relay, 'quiet'), 'running');
});

async function statusOf(relay: Relay, task: string): Promise<string> {
  const response = await fetch(`${relay.url}/api/v1/tasks/${task}`);
  return ((await response.json()) as { status: string }).status;
}

test('a wrong token is refused on every door but health', async () => {
  const { relay, ws } = await start('token', { authTokens: ['right'] });
  assert.equal((await fetch(`${relay.url}/api/v1/tasks`)).status, 401);
  assert.equal((await fetch(`${relay.url}/api/v1/tasks`, { headers: { 'x-api-key': 'right' } })).status, 200);
  assert.equal((await health(relay)).code, 200);
  await assert.rejects(FakeAgent.connect(ws, { headers: { authorization: 'Bearer wrong' } }), /401/);
  await FakeAgent.ready(ws, { headers: { authorization: 'Bearer right' } });
});

test('a stop does not wait for those who never hang up', async () => {
  const { relay } = await start('stubborn');
  const idle = connect(Number(new URL(relay.url).port), '127.0.0.1');
  await once(idle, 'connect');
  idle.write('GET /health HTTP/1.1\r\nHost: x\r\n');
  idle.on('error', () => undefined);
  await relay.stop();
  await relay.stopped;
});

/** A small file system of its own for a data folder; undefined, and the test skipped, where that may not be made. */
async function mounted(t: TestContext, name: string): Promise<string | undefined> {
  const path = join(folder, name);
  await mkdir(path);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', path]).status !== 0) {
    t.skip('mounting a small file system needs root');
    return undefined;
  }
  t.after(async () => {
    for (const relay of running) await relay.stop();
    running.clear();
    run('umount', path);
  });
  return path;
}

function run(command: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(command, args);
  assert.equal(status, 0, stderr.toString());
}
