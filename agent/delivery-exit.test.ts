import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { testFolder, testRelay } from './delivery.fixture.ts';
import { linesOf } from './fake-relay.ts';

/** A program that delivers one line and then has nothing more to do. */
async function run(spoolDir: string, url: string): Promise<{ code: number | null; said: string }> {
  const program = `
    import { startDelivery } from ${JSON.stringify(new URL('./delivery.ts', import.meta.url).href)};
    import { encodeLines } from ${JSON.stringify(new URL('../shared/columns.ts', import.meta.url).href)};
    const run = '01J00000000000000000000000';
    const outbox = startDelivery({ run, task: 't', websocketUrls: [${JSON.stringify(url)}], workerId: 'w', labels: {}, agentVersion: '1',
      startedAt: 1, spoolDir: ${JSON.stringify(spoolDir)}, spoolLimitBytes: 1e9, overflow: 'drop-oldest', memoryLimitBytes: 1e8,
      reconnectMinMs: 100, reconnectMaxMs: 30000, connectTimeoutMs: 30000, onWarning() {}, onCancel() {}, now: Date.now });
    outbox.put(encodeLines(run, 0, [{ time: 1, kind: 4, text: Buffer.from('one') }]));
    const result = { exitCode: 0, signal: null, reason: 'exited', nextSeq: 1, lines: 1, bytes: 4, endedAt: 2 };
    const { outcome } = await outbox.end(result, new AbortController().signal);
    await outbox.dispose();
    process.on('exit', () => console.log(outcome));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said: said.trim() };
}

test('a process ends by itself after the log is delivered', async (t) => {
  const relay = await testRelay(t);
  assert.deepEqual(await run(testFolder(t), relay.url), { code: 0, said: 'verified' });
  assert.deepEqual(linesOf(relay.run.records), ['one']);
});

test('a process ends by itself without a relay', async (t) => {
  assert.deepEqual(await run(testFolder(t), 'ws://127.0.0.1:9/ws/tasks'), { code: 0, said: 'spooled' });
});

test('a process ends by itself without a relay and without a spool', async (t) => {
  const folder = join(testFolder(t), 'file');
  writeFileSync(folder, '');
  assert.deepEqual(await run(folder, 'ws://127.0.0.1:9/ws/tasks'), { code: 0, said: 'lost' });
});
