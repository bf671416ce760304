import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { AddressInfo } from 'node:net';
import { counts, noise, NUMBERED_EXIT_CODE, parts } from './numbered.ts';
import { apartFromAbsence, runAgent, startAgent, startRelay, temporaryFolder, type AgentResult } from './programs.ts';
import { spoolFiles } from './spools.ts';
import { readLog, readTask, type LogEntry } from './viewer.ts';

const OPTIONS = { timeout: 60_000 };
const MIB = 1024 * 1024;
const task = 't';
/** As text 6.5 MB, in chunks a good 5 MB: several spools of 1 MiB. */
const LINES = 60_000;

const execute = (lines: number, ...options: string[]) => [
  ...['execute', '--task-id', task, '--no-tee', '--spool-limit', '1MiB', ...options],
  ...['--', ...noise(lines)],
];

test('a relay that is not there for the whole run harms nothing: flush brings all of it later', OPTIONS, async (t) => {
  const { data, spool, port } = await place(t);
  const args = [
    'execute',
    '--task-id',
    task,
    '--spool-dir',
    spool,
    '--websocket-url',
    `ws://127.0.0.1:${port}/ws/tasks`,
  ];
  const { exitCode, stderr } = await runAgent(t, [...args, '--no-tee', '--', ...noise(LINES)]);
  assert.equal(exitCode, NUMBERED_EXIT_CODE);
  const said =
    /^keruta-agent: 60000 lines wait in the spool \(the relay at ws:\S+ can't be reached \(.*\)\); send with: keruta-agent (.*)\n$/.exec(
      stderr,
    );
  assert.ok(said, stderr);

  const relay = await startRelay(t, data, { port });
  const flush = await runAgent(t, said[1].split(' '));
  assert.deepEqual(
    [flush.exitCode, flush.stderr.match(/60,000 lines delivered; the relay has it all/)?.length],
    [0, 1],
  );
  assert.deepEqual(parts(await readLog({ url: relay.url, task })), [`lines 1-${LINES}`]);
  const { status, exitCode: taskCode, runs } = await readTask({ url: relay.url, task });
  assert.deepEqual([status, taskCode, runs[0].verified], ['failed', NUMBERED_EXIT_CODE, true]);
});

test(
  'drop-oldest: the spool keeps to its limit, and gaps stand exactly where lines were dropped',
  OPTIONS,
  async (t) => {
    const { data, spool, port, env } = await place(t);
    const { exitCode, stderr } = await runAgent(t, execute(LINES), { env });
    assert.equal(exitCode, NUMBERED_EXIT_CODE);
    assert.ok(spoolSize(spool) < 3 * MIB, `the spool takes ${spoolSize(spool)} bytes`);
    const dropped = Number(/^keruta-agent: (\d+) lines are missing from the log; it shows where$/m.exec(stderr)?.[1]);
    const waiting = Number(/^keruta-agent: (\d+) lines wait in the spool/m.exec(stderr)?.[1]);
    assert.equal(waiting + dropped, LINES, stderr);
    assert.ok(dropped > 0 && waiting > 0, stderr);

    const relay = await startRelay(t, data, { port });
    const flush = await runAgent(t, ['flush'], { env });
    assert.equal(flush.exitCode, 0, flush.stderr);
    const log = await readLog({ url: relay.url, task });
    assert.deepEqual(counts(log), { lines: waiting, missing: dropped });
    assertWhole(log, LINES, 'dropped');
    const [{ verified }] = (await readTask({ url: relay.url, task })).runs;
    assert.equal(verified, true);
  },
);

test('block: the script waits while the spool is full, and nothing is lost', OPTIONS, async (t) => {
  const { data, spool, port, env } = await place(t);
  // What memory and pipes hold beside the spool is little against so many lines.
  const lines = 200_000;
  const blocking = { ...env, KERUTA_MEMORY_LIMIT: '4MiB', KERUTA_WEBSOCKET_RECONNECT_MAX_INTERVAL: '100ms' };
  const agent = startAgent(t, execute(lines, '--overflow', 'block'), { env: blocking });
  let ended: AgentResult | undefined;
  void agent.result.then((result) => (ended = result));
  while (spoolSize(spool) <= MIB) await tick();
  const relay = await startRelay(t, data, { port });
  assert.equal(ended, undefined, 'the script waits');

  const { exitCode, stderr } = await agent.result;
  assert.deepEqual([exitCode, apartFromAbsence(stderr)], [NUMBERED_EXIT_CODE, '']);
  assert.deepEqual(parts(await readLog({ url: relay.url, task })), [`lines 1-${lines}`]);
  assert.deepEqual(spoolFiles(spool), []);
});

/** All of lines 1 to `last`, as lines that bear their numbers or in gaps of this one reason. */
function assertWhole(log: readonly LogEntry[], last: number, reason: string): void {
  const all = parts(log);
  const shape = all.map((part) => part.replace(/ .*/, ''));
  for (const what of shape) assert.ok(what === 'lines' || what === reason, all.join(', '));
  let next = 1;
  for (const part of all) {
    const [, from, to, rest] = /^\S+ (\d+)-(\d+)(.*)$/.exec(part) ?? [];
    assert.deepEqual([Number(from), rest], [next, ''], all.join(', '));
    next = Number(to) + 1;
  }
  assert.equal(next, last + 1, all.join(', '));
}

/** Folders, and a port on which there is no relay yet. */
async function place(t: TestContext) {
  const folder = temporaryFolder(t);
  const spool = join(folder, 'spool');
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const env = { KERUTA_API_URL: `http://127.0.0.1:${port}/api/v1`, KERUTA_SPOOL_DIR: spool };
  return { data: join(folder, 'data'), spool, port, env };
}

function spoolSize(folder: string): number {
  return spoolFiles(folder).reduce((sum, name) => {
    return sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0);
  }, 0);
}

/** Lets a moment pass between two looks. */
function tick(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 10));
}
