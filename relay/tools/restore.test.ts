import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { storeFile } from '../data-folder.ts';
import { chunkOf, digestOf, FakeAgent } from '../ingest.fixture.ts';
import { relayConfig } from '../relay-config.fixture.ts';
import { startRelay, type Relay } from '../relay.ts';
import { backupStore } from './backup.ts';
import { verifyStore } from './verify.ts';

test('a relay that is started on a backup gets from its agents what that lacks, exactly once', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'keruta-restore-'));
  const relays: Relay[] = [];
  t.after(async () => {
    for (const relay of relays) await relay.stop();
    await rm(folder, { recursive: true });
  });
  const start = async (dataDir: string): Promise<{ relay: Relay; ws: string }> => {
    const relay = await startRelay(relayConfig({ dataDir }));
    relays.push(relay);
    return { relay, ws: relay.url.replace('http', 'ws') };
  };

  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  const before = await start(first);
  const agent = await FakeAgent.connect(before.ws, { task: 'job' });
  agent.hello();
  const { epoch } = await agent.hears('ready');
  agent.chunk(0, 3);
  await agent.acked(3);
  await backupStore({ source: storeFile(first), target: join(folder, 'backup.db') });
  agent.chunk(3, 3);
  await agent.acked(6);
  const cursor = await lastId(before.relay);
  await before.relay.stop();

  await mkdir(second);
  await rename(join(folder, 'backup.db'), storeFile(second));
  const after = await start(second);
  const again = await FakeAgent.connect(after.ws, { task: 'job', run: agent.run });
  again.hello({ epoch, ackedSeq: 6 });
  const ready = await again.hears('ready');
  assert.notEqual(ready.epoch, epoch);
  assert.equal(ready.nextSeq, 3);
  again.chunk(3, 3);
  await again.acked(6);
  const digest = digestOf([chunkOf(agent.run, 0, 3), chunkOf(agent.run, 3, 3)]);
  again.end({ nextSeq: 6, lines: 6, bytes: 6 * 'line 0\n'.length, digest });
  assert.equal((await again.hears('verified')).nextSeq, 6);
  assert.deepEqual(await logs(after.relay), ['line 0', 'line 1', 'line 2', 'line 3', 'line 4', 'line 5']);

  // What a reader remembers of the lost lines is told apart from the new ones.
  const answer = await fetch(`${after.relay.url}/api/v1/tasks/job/logs?after=${cursor}`);
  const { error } = (await answer.json()) as { error: { code: string } };
  assert.deepEqual([answer.status, error.code], [400, 'INVALID_CURSOR']);
  verifyStore({ path: storeFile(second), onFinding: (finding) => assert.fail(JSON.stringify(finding)) });
});

async function content(relay: Relay): Promise<{ id: string; message: string }[]> {
  const answer = await fetch(`${relay.url}/api/v1/tasks/job/logs`);
  assert.equal(answer.status, 200);
  return ((await answer.json()) as { content: { id: string; message: string }[] }).content;
}

async function logs(relay: Relay): Promise<string[]> {
  return (await content(relay)).map(({ message }) => message);
}

async function lastId(relay: Relay): Promise<string> {
  return (await content(relay)).at(-1)?.id ?? '';
}
