import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { RelayConfig } from '../shared/options/relay-options.ts';
import { FakeAgent } from './ingest.fixture.ts';
import { relayConfig } from './relay-config.fixture.ts';
import { startRelay, type Relay } from './relay.ts';

interface Setup {
  relay: Relay;
  ws: string;
  get: (path: string) => Promise<{ status: number; body: Record<string, unknown> }>;
  /** The messages of the system's task. */
  messages: () => Promise<string[]>;
  /** Resolves when one of them has that text. */
  says: (text: RegExp) => Promise<void>;
}

async function start(t: TestContext, dataDir: string, more: Partial<RelayConfig> = {}): Promise<Setup> {
  const relay = await startRelay(relayConfig({ dataDir, systemLog: true, ...more }));
  t.after(() => relay.stop());
  const get: Setup['get'] = async (path) => {
    const response = await fetch(`${relay.url}/api/v1${path}`);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const messages = async (): Promise<string[]> => {
    const { content = [] } = (await get('/tasks/keruta-relay/logs')).body as { content?: { message: string }[] };
    return content.map(({ message }) => message);
  };
  const says = async (text: RegExp): Promise<void> => {
    while (!(await messages()).some((message) => text.test(message)));
  };
  return { relay, ws: relay.url.replace('http', 'ws'), get, messages, says };
}

async function dataFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keruta-system-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('a relay notes its starts and stops, in a task like any other', async (t) => {
  const folder = await dataFolder(t);
  const first = await start(t, folder);
  await first.says(/started/);
  await first.relay.stop();
  const second = await start(t, folder);
  await second.says(/started.*/);
  while ((await second.messages()).length < 3);
  assert.deepEqual(
    (await second.messages()).map((message) => message.replace(/, version .*/, '')),
    ['The relay has started', 'The relay is stopping', 'The relay has started'],
  );
  const { content } = (await second.get('/tasks')).body as { content: { taskId: string; status: string }[] };
  assert.deepEqual(
    content.map(({ taskId, status }) => [taskId, status]),
    [['keruta-relay', 'running']],
  );
});

test('a relay that starts without room notes it', async (t) => {
  const { says } = await start(t, await dataFolder(t), { minFreeBytes: Number.MAX_SAFE_INTEGER });
  await says(/^No room on the disk, agents are sent away: \d+ MiB are free/);
});

test('a lost agent and a run that does not agree are noted', async (t) => {
  const { ws, says, get, messages } = await start(t, await dataFolder(t), { lostAfterMs: 300 });
  const wrong = await FakeAgent.ready(ws, { task: 'wrong' });
  wrong.chunk(0, 1);
  await wrong.acked(1);
  wrong.end({ nextSeq: 1, lines: 9 });
  await wrong.hears('unverified');
  await says(/^A run of task "wrong" ended with other lines here than its agent has sent$/);
  // The relay itself is silent meanwhile for longer than each of them: its own run needs no sign of life.
  for (const task of ['quiet', 'silent']) {
    const agent = await FakeAgent.ready(ws, { task });
    agent.socket.terminate();
    await says(new RegExp(`^Lost the agent of task "${task}": it has been silent for too long$`));
  }
  assert.equal((await get('/tasks/keruta-relay')).body.status, 'running');
  assert.ok((await messages()).every((message) => !message.includes('task "keruta-relay"')));
});

test('nobody else writes the task: neither agents nor requests', async (t) => {
  const { relay, ws, messages, get } = await start(t, await dataFolder(t));
  const agent = await FakeAgent.connect(ws, { task: 'keruta-relay' });
  agent.hello();
  const closed = await agent.closes();
  assert.equal(closed.code, 4003);
  assert.match(closed.reason, /^Only the relay writes the task "keruta-relay"/);
  const pipelined = await FakeAgent.connect(ws, { task: 'other' });
  pipelined.hello({ pipelineId: 'keruta-relay' });
  const refused = await pipelined.closes();
  assert.equal(refused.code, 4003);
  assert.match(refused.reason, /^Only the relay writes .* use another pipeline id/);
  assert.equal((await get('/tasks/other')).status, 404);
  for (const [method, path, body] of [
    ['POST', 'logs', { level: 'INFO', message: 'forged' }],
    ['PUT', 'status', { status: 'FAILED' }],
    ['PUT', 'status', { status: 'PENDING' }],
  ] as const) {
    const response = await fetch(`${relay.url}/api/v1/tasks/keruta-relay/${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    assert.deepEqual([response.status, error.code], [403, 'FORBIDDEN']);
    assert.match(error.message, /^Only the relay writes the task "keruta-relay"/);
  }
  assert.ok((await messages()).every((message) => message.startsWith('The relay')));
});

test('without the option nothing is noted, and the task is not there', async (t) => {
  const { get } = await start(t, await dataFolder(t), { systemLog: false });
  assert.equal((await get('/tasks/keruta-relay')).status, 404);
});

test('an agent of no pipeline, which it says by an empty name, is in none', async (t) => {
  const { ws, get } = await start(t, await dataFolder(t), { systemLog: false });
  const agent = await FakeAgent.connect(ws, { task: 't' });
  agent.hello({ pipelineId: '' });
  await agent.hears('ready');
  assert.equal((await get('/tasks/t')).body.pipelineId, null);
});
