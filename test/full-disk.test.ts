import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountSmall, NO_MOUNTS, remount } from './mounts.ts';
import { counts, noise, NUMBERED_EXIT_CODE, parts } from './numbered.ts';
import { relayEnv, runAgent, startAgent, startRelay, temporaryFolder } from './programs.ts';
import { readLog, readTask } from './viewer.ts';

const OPTIONS = { timeout: 60_000, skip: NO_MOUNTS };
const task = 't';
const execute = (lines: number) => ['execute', '--task-id', task, '--no-tee', '--', ...noise(lines)];

test(
  'a full disk under the relay: nothing more is acknowledged, health says so, agents keep; with room all goes on',
  OPTIONS,
  async (t) => {
    const disk = mountSmall(t, 'size=6m');
    const spool = join(temporaryFolder(t), 'spool');
    const relay = await startRelay(t, join(disk, 'data'), { args: ['--min-free', '2MiB'] });
    const env = relayEnv(relay, spool);
    const lines = 100_000;
    const { exitCode, stderr } = await runAgent(t, execute(lines), { env: { ...env, KERUTA_DRAIN_TIMEOUT: '2s' } });
    assert.equal(exitCode, NUMBERED_EXIT_CODE);
    assert.match(
      stderr,
      /^keruta-agent: \d+ lines wait in the spool \(.*\); send with: keruta-agent flush --spool-dir \S+\n$/,
    );

    const sick = await fetch(`${relay.url}/health/ready`);
    const { checks } = (await sick.json()) as { checks: Record<string, { healthy: boolean; message: string }> };
    assert.deepEqual([sick.status, checks.disk.healthy], [503, false]);
    assert.match(checks.disk.message, /free|no room/);
    const place = { url: relay.url, task };
    const acknowledged = lines - Number(/(\d+) lines wait/.exec(stderr)?.[1]);
    assert.ok((await readTask(place)).lines >= acknowledged, 'what was acknowledged is there');

    remount(disk, 'size=64m');
    while ((await fetch(`${relay.url}/health/ready`)).status !== 200) await tick();
    const flush = await runAgent(t, ['flush'], { env });
    assert.equal(flush.exitCode, 0, flush.stderr);
    assert.deepEqual(parts(await readLog(place)), [`lines 1-${lines}`]);
    assert.equal((await readTask(place)).runs[0].verified, true);
  },
);

test('a full disk under the agent, and a relay: nothing is lost', OPTIONS, async (t) => {
  const spool = mountSmall(t, 'size=256k');
  const relay = await startRelay(t, join(temporaryFolder(t), 'data'));
  const lines = 50_000;
  const { exitCode, stderr } = await runAgent(t, execute(lines), { env: relayEnv(relay, spool) });
  assert.equal(exitCode, NUMBERED_EXIT_CODE, stderr);
  assert.doesNotMatch(stderr, /missing|lost/);
  assert.deepEqual(parts(await readLog({ url: relay.url, task })), [`lines 1-${lines}`]);
});

test(
  'a full disk under the agent, and no relay for long: memory is bounded, and a gap says what is missing',
  OPTIONS,
  async (t) => {
    const spool = mountSmall(t, 'size=256k');
    const data = join(temporaryFolder(t), 'data');
    const first = await startRelay(t, data);
    const { port } = first;
    await first.stop();
    const lines = 200_000;
    const env = { ...relayEnv(first, spool), KERUTA_MEMORY_LIMIT: '4MiB', KERUTA_DRAIN_TIMEOUT: '40s' };
    const agent = startAgent(t, [...execute(lines)], {
      env: { ...env, KERUTA_WEBSOCKET_RECONNECT_MAX_INTERVAL: '200ms' },
    });
    await agent.stderr.has(/memory is full/);
    const relay = await startRelay(t, data, { port });
    const { exitCode, stderr } = await agent.result;
    assert.equal(exitCode, NUMBERED_EXIT_CODE);
    const log = await readLog({ url: relay.url, task });
    const missing = Number(
      /^keruta-agent: (\d+) lines are missing from the log; it shows where$/m.exec(stderr)?.[1] ?? 0,
    );
    assert.ok(missing > 0, stderr);
    assert.deepEqual(counts(log), { lines: lines - missing, missing });
    for (const part of parts(log)) assert.match(part, /^(lines|dropped) \d+-\d+$/);
    assert.equal((await readTask({ url: relay.url, task })).runs[0].verified, true);
  },
);

test('a read-only disk under the relay: it says so and does not start', OPTIONS, async (t) => {
  const disk = mountSmall(t, 'size=1m,ro');
  const started = startRelay(t, disk);
  await assert.rejects(
    started,
    /^Error: the relay ended before it was ready: keruta-relay: can't lock the data folder .*\n$/,
  );
});

test('a read-only disk under the agent: the job runs, the log arrives', OPTIONS, async (t) => {
  const spool = mountSmall(t, 'size=1m,ro');
  const relay = await startRelay(t, join(temporaryFolder(t), 'data'));
  const { exitCode } = await runAgent(t, execute(5000), { env: relayEnv(relay, join(spool, 'spool')) });
  assert.equal(exitCode, NUMBERED_EXIT_CODE);
  assert.deepEqual(parts(await readLog({ url: relay.url, task })), ['lines 1-5000']);
});

/** Lets a moment pass between two looks. */
function tick(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}
