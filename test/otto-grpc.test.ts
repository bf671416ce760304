import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Output } from './output.ts';
import { cleanEnv, startRelay, temporaryFolder, type RelayProcess } from './programs.ts';
import { readLines, readTask } from './viewer.ts';

const WORKER = fileURLToPath(new URL('../examples/otto-worker.ts', import.meta.url));
/** What the worker keeps until it is acknowledged. */
const IN_FLIGHT = 1000;

test(
  'a relay that is killed again and again while a worker sends over gRPC: 0 lost, and only what was under way comes twice',
  { timeout: 120_000 },
  async (t) => {
    const data = join(temporaryFolder(t), 'data');
    let relay = await startRelay(t, data, { args: ['--grpc-port', '0'] });
    const grpcPort = await grpcPortOf(relay);
    const worker = startWorker(t, grpcPort);
    const kills = 3;
    const step = 5000;
    for (let kill = 1; kill <= kills; kill++) {
      worker.write(Array.from({ length: step }, (_, i) => `${(kill - 1) * step + i}\n`).join(''));
      await linesStored(relay, (kill - 1) * step + 1500);
      await relay.kill();
      relay = await startRelay(t, data, { port: relay.port, args: ['--grpc-port', String(grpcPort)] });
      await grpcPortOf(relay);
    }
    worker.end();
    assert.deepEqual(await worker.result, { code: 0, errors: '' });

    const numbers = (await readLines({ url: relay.url, task: 't' })).map(Number);
    const distinct = new Set(numbers);
    assert.equal(distinct.size, kills * step);
    assert.ok(numbers.length - distinct.size <= kills * IN_FLIGHT);
    // But for what came twice, in order.
    assert.deepEqual(
      [...distinct],
      Array.from({ length: kills * step }, (_, i) => i),
    );
    const { status, runs } = await readTask({ url: relay.url, task: 't' });
    assert.equal(status, 'succeeded');
    assert.deepEqual(
      runs.map(({ verified }) => verified),
      [true],
    );
  },
);

async function grpcPortOf(relay: RelayProcess): Promise<number> {
  const [, port] = await relay.stderr.has(/"url":"http:\/\/127\.0\.0\.1:(\d+)","msg":"gRPC is served"/);
  return Number(port);
}

/** Resolves when the task has so many lines. */
async function linesStored(relay: RelayProcess, lines: number): Promise<void> {
  for (;;) {
    const response = await fetch(`${relay.url}/api/v1/tasks/t`);
    if (response.ok && ((await response.json()) as { lines: number }).lines >= lines) return;
  }
}

function startWorker(t: TestContext, port: number) {
  const child = spawn(process.execPath, [WORKER, `127.0.0.1:${port}`, 'w', 't'], { env: cleanEnv(), stdio: 'pipe' });
  t.after(() => child.kill('SIGKILL'));
  child.stdout.resume();
  const stderr = new Output(child.stderr);
  const result = once(child, 'exit').then(async ([code]) => {
    const said = await stderr.all();
    const errors = said.split('\n').filter((line) => line !== '' && !line.endsWith('trying again'));
    return { code: code as number | null, errors: errors.join('\n') };
  });
  return { write: (text: string) => child.stdin.write(text), end: () => child.stdin.end(), result };
}
