import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { relayEnv, runAgent, startRelay, temporaryFolder } from './programs.ts';

const CONCURRENT = { timeout: 60_000, concurrency: 2 };
/** Nobody listens there. */
const NOWHERE = { url: 'http://127.0.0.1:9' };

describe('--strict', CONCURRENT, () => {
  const rows: [what: string, reached: boolean, script: string, exitCode: number][] = [
    ['a script that succeeds and whose log is complete', true, 'echo a', 0],
    ['a script that succeeds and whose log waits in the spool', false, 'echo a', 120],
    ['a script that fails keeps its own exit code, delivered', true, 'exit 3', 3],
    ['a script that fails keeps its own exit code, not delivered', false, 'exit 3', 3],
  ];
  for (const [what, reached, script, exitCode] of rows) {
    test(`${what}: ${exitCode}`, async (t) => {
      const folder = temporaryFolder(t);
      const relay = reached ? await startRelay(t, join(folder, 'data')) : NOWHERE;
      const env = relayEnv(relay, join(folder, 'spool'));
      const args = ['execute', '--task-id', 't', '--strict', '--', 'sh', '-c', script];
      assert.equal((await runAgent(t, args, { env })).exitCode, exitCode);
    });
  }

  test('a gap counts as lost: the relay has everything that was sent, and yet the exit code is 120', async (t) => {
    const folder = temporaryFolder(t);
    const [data, printed, go] = ['data', 'printed', 'go'].map((name) => join(folder, name));
    const relay = await startRelay(t, data);
    await relay.stop();
    const flood = `head -c 6000000 /dev/urandom | base64; touch ${printed}; i=0; until test -e ${go} || test $((i+=1)) -gt 300; do sleep 0.1; done`;
    const args = [
      'execute',
      '--task-id',
      't',
      '--strict',
      '--no-tee',
      '--spool-limit',
      '1MiB',
      '--',
      'sh',
      '-c',
      flood,
    ];
    const running = runAgent(t, args, { env: relayEnv(relay, join(folder, 'spool')) });
    while (!existsSync(printed)) await setTimeout(50);
    await startRelay(t, data, { port: relay.port });
    writeFileSync(go, '');
    const { exitCode, stderr } = await running;
    assert.match(stderr, /lines are missing from the log/);
    assert.equal(exitCode, 120);
  });
});

describe('--log-file', CONCURRENT, () => {
  const offline = ['execute', '--task-id', 't', '--disable-log-streaming'];

  test('gets what both outputs get, masked, behind what is in it, for its owner only', async (t) => {
    const path = join(temporaryFolder(t), 'job.log');
    const script = 'echo "a $MY_TOKEN"; sleep 0.2; echo b >&2';
    const args = [...offline, '--log-file', path, '--', 'sh', '-c', script];
    const env = { MY_TOKEN: 'pa55-word-1234' };
    const first = await runAgent(t, args, { env });
    assert.deepEqual([first.exitCode, first.stdout, first.stderr], [0, 'a ***\n', 'b\n']);
    await runAgent(t, [...args.slice(0, 4), '--no-tee', ...args.slice(4)], { env });
    assert.equal(readFileSync(path, 'utf8'), 'a ***\nb\na ***\nb\n');
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  test('that can not be opened is said, and the script runs', async (t) => {
    const args = [...offline, '--log-file', '/no/such/folder/job.log', '--', 'echo', 'a'];
    const { exitCode, stdout, stderr } = await runAgent(t, args);
    assert.deepEqual([exitCode, stdout], [0, 'a\n']);
    assert.equal(
      stderr,
      "keruta-agent: the log file /no/such/folder/job.log can't be opened (ENOENT); there will be none\n",
    );
  });

  test('that is a pipe is said, and nobody waits for its reader', async (t) => {
    const path = join(temporaryFolder(t), 'pipe');
    execFileSync('mkfifo', [path]);
    const args = [...offline, '--log-file', path, '--', 'echo', 'a'];
    const said = `keruta-agent: the log file ${path} can't be opened (it is a pipe); there will be none\n`;
    const unread = await runAgent(t, args);
    assert.deepEqual([unread.exitCode, unread.stdout, unread.stderr], [0, 'a\n', said]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    t.after(() => closeSync(reader));
    const read = await runAgent(t, args);
    assert.deepEqual([read.exitCode, read.stdout, read.stderr], [0, 'a\n', said]);
  });

  test('that fills up is said once, and the script runs', async (t) => {
    const args = [...offline, '--no-tee', '--log-file', '/dev/full', '--', 'seq', '20000'];
    const { exitCode, stderr } = await runAgent(t, args);
    assert.equal(exitCode, 0);
    assert.equal(
      stderr,
      "keruta-agent: can't write to the log file /dev/full any more (ENOSPC); the rest is not in it\n",
    );
  });
});
