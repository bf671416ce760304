import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import {
  cleanEnv,
  relayEnv,
  startAgent,
  startRelay,
  temporaryFolder,
  type AgentOptions,
  type AgentRun,
} from './programs.ts';
import { readLog } from './viewer.ts';

const OPTIONS = { timeout: 60_000 };
const CONCURRENT = { ...OPTIONS, concurrency: 2 };

/** Without a relay: what is told here must not depend on one. */
const offline = ['execute', '--task-id', 't', '--disable-log-streaming'];
const script = (text: string, ...options: string[]) => [...offline, ...options, '--', 'sh', '-c', text];

test("every exit code from 0 to 255 is the script's own", OPTIONS, async () => {
  const codes = Array.from({ length: 256 }, (_, code) => code);
  const program = join(import.meta.dirname, 'exit-codes.fixture.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...codes.map(String)], { env: cleanEnv() });
  assert.deepEqual(JSON.parse(stdout), codes);
});

describe('the agent ends as its script', CONCURRENT, () => {
  for (const code of [0, 1, 3, 125, 126, 127, 128, 255]) {
    test(`exit ${code}`, async (t) => {
      assert.deepEqual(await end(t, script(`exit ${code}`)), { exitCode: code, stdout: '', stderr: '' });
    });
  }

  // All that end a process; the others stop it, or are ignored. Not SIGKILL alone: no handler sees that one.
  const DEADLY = [
    ...['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGKILL', 'SIGUSR1'],
    ...['SIGSEGV', 'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGTERM', 'SIGXCPU', 'SIGXFSZ', 'SIGVTALRM', 'SIGPROF', 'SIGSYS'],
  ] as NodeJS.Signals[];
  for (const signal of DEADLY) {
    const number = constants.signals[signal];
    test(`a script that ${signal} ends: 128 + ${number}`, async (t) => {
      const expected = { exitCode: 128 + number, stdout: 'before\n', stderr: '' };
      assert.deepEqual(await end(t, script(`ulimit -c 0; echo before; kill -${number} $$`)), expected);
    });
  }
});

describe('what can not be run has the exit code that a shell gives', CONCURRENT, () => {
  const rows: [what: string, exitCode: number, stderr: RegExp, make: (folder: string) => string[]][] = [
    [
      'a command that is not there',
      127,
      /^keruta-agent: no-such-command: not found\n$/,
      () => ['--', 'no-such-command'],
    ],
    [
      'a script that is not there',
      127,
      /^keruta-agent: script .*\/gone\.sh: no such file\n$/,
      (folder) => ['--script', join(folder, 'gone.sh')],
    ],
    ['a folder', 126, /^keruta-agent: script .*: is a directory\n$/, (folder) => ['--script', folder]],
    [
      'a command that may not be executed',
      126,
      /^keruta-agent: .*\/plain: can't be run \(EACCES\)\n$/,
      (folder) => ['--', join(folder, 'plain')],
    ],
    [
      'a script whose interpreter is not there',
      127,
      /^keruta-agent: .*\/odd\.sh: not found\n$/,
      (folder) => ['--script', join(folder, 'odd.sh')],
    ],
  ];
  for (const [what, exitCode, stderr, make] of rows) {
    test(`${what}: ${exitCode}`, async (t) => {
      const folder = temporaryFolder(t);
      writeFileSync(join(folder, 'plain'), 'echo plain\n');
      writeFileSync(join(folder, 'odd.sh'), '#!/no/such/interpreter\n');
      writeFileSync(join(folder, 'broken'), Buffer.from('7f454c4600000000', 'hex'));
      for (const name of ['odd.sh', 'broken']) chmodSync(join(folder, name), 0o755);
      const result = await end(t, [...offline, ...make(folder)]);
      assert.equal(result.exitCode, exitCode);
      assert.match(result.stderr, stderr);
    });
  }

  test('a working folder that is not there: 126', async (t) => {
    const { exitCode, stderr } = await end(t, script('exit 0', '--work-dir', '/no/such/folder'));
    assert.deepEqual([exitCode, stderr], [126, 'keruta-agent: the working folder /no/such/folder: no such folder\n']);
  });
});

describe("signals to the agent reach the script's whole group", CONCURRENT, () => {
  const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
  for (const signal of FORWARDED) {
    const name = signal.slice(3);
    test(`${signal}: the script's trap runs, a child of it hears it too, and the rest is the script's affair`, async (t) => {
      const child = `trap "echo child has ${name}; exit 0" ${name}; echo child is ready; read x`;
      const text = `trap 'echo script has ${name}' ${name}; sh -c '${child}'; exit 40`;
      const agent = startAgent(t, script(text), { stdin: 'pipe' });
      await agent.stdout.has(/child is ready\n/);
      agent.process.kill(signal);
      // Nor does SIGUSR1 open an inspector, which would be said on stderr.
      assert.deepEqual(await outcome(agent), {
        exitCode: 40,
        stdout: `child is ready\nchild has ${name}\nscript has ${name}\n`,
        stderr: '',
      });
    });

    test(`${signal}: a script without a trap ends of it`, async (t) => {
      const agent = startAgent(t, script('ulimit -c 0; echo ready; read x'), { stdin: 'pipe' });
      await agent.stdout.has(/ready\n/);
      agent.process.kill(signal);
      const exitCode = 128 + constants.signals[signal];
      assert.deepEqual(await outcome(agent), { exitCode, stdout: 'ready\n', stderr: '' });
    });
  }
});

describe('termination has an end', CONCURRENT, () => {
  const stubborn = `trap 'echo not yet' TERM; echo ready; while :; do read x; done`;
  const stdin = 'pipe' as const;

  test('after SIGTERM and --grace the group is killed', async (t) => {
    const agent = startAgent(t, script(stubborn, '--grace', '50ms'), { stdin });
    await agent.stdout.has(/ready\n/);
    agent.process.kill('SIGTERM');
    const { exitCode, stdout } = await agent.result;
    assert.deepEqual([exitCode, stdout], [137, 'ready\nnot yet\n']);
  });

  test('a second SIGTERM kills at once, however long the grace', async (t) => {
    const agent = startAgent(t, script(stubborn, '--grace', '10h'), { stdin });
    await agent.stdout.has(/ready\n/);
    agent.process.kill('SIGTERM');
    await agent.stdout.has(/not yet\n/);
    agent.process.kill('SIGTERM');
    assert.equal((await agent.result).exitCode, 137);
  });

  test('other signals start no clock', async (t) => {
    const patient = `trap 'echo has INT' INT; trap 'exit 9' TERM; echo ready; while :; do read x; done`;
    const agent = startAgent(t, script(patient, '--grace', '1h'), { stdin });
    await agent.stdout.has(/ready\n/);
    for (let times = 1; times <= 3; times++) {
      agent.process.kill('SIGINT');
      await agent.stdout.has(new RegExp(`(has INT\n){${times}}`));
    }
    agent.process.kill('SIGTERM');
    assert.equal((await agent.result).exitCode, 9);
  });

  test('--timeout ends the script with 124, also one that does not listen', async (t) => {
    assert.equal((await end(t, script('sleep 1000', '--timeout', '50ms'))).exitCode, 124);
    assert.equal((await end(t, script(stubborn, '--timeout', '50ms', '--grace', '50ms'), { stdin })).exitCode, 124);
  });

  test('output after SIGTERM is captured, and the exit code is what the script makes of it', OPTIONS, async (t) => {
    const folder = temporaryFolder(t);
    const relay = await startRelay(t, join(folder, 'data'));
    const text = `trap 'echo cleaning up; echo and gone >&2; exit 3' TERM; echo ready; read x`;
    const args = ['execute', '--task-id', 't', '--', 'sh', '-c', text];
    const agent = startAgent(t, args, { env: relayEnv(relay, join(folder, 'spool')), stdin });
    await agent.stdout.has(/ready\n/);
    agent.process.kill('SIGTERM');
    const { exitCode, stdout, stderr } = await agent.result;
    assert.deepEqual([exitCode, stdout, stderr], [3, 'ready\ncleaning up\n', 'and gone\n']);
    const log = await readLog({ url: relay.url, task: 't' });
    const said = log.map((entry) => (entry.type === 'log' ? `${entry.source}: ${entry.message}` : entry.type));
    assert.deepEqual(said.toSorted(), [
      'agent: the script was ended because the agent received SIGTERM',
      'stderr: and gone',
      'stdout: cleaning up',
      'stdout: ready',
    ]);
  });
});

describe("the script's world is as without us", CONCURRENT, () => {
  test('stdin is its own, to the last byte', async (t) => {
    const agent = startAgent(t, script('cat; echo end'), { stdin: 'pipe' });
    agent.process.stdin?.end('one\ntwo without an end');
    assert.equal((await agent.result).stdout, 'one\ntwo without an endend\n');
  });

  test('arguments come through untouched', async (t) => {
    const args = ['', ' ', 'a b', '--', '-h', '$HOME', '*', "'", '"', '\\', 'line\nend', '日本語🙂', '--task-id=x'];
    const { stdout } = await end(t, [...offline, '--', 'printf', '<%s>', ...args]);
    assert.equal(stdout, args.map((arg) => `<${arg}>`).join(''));
  });

  test('it may open /dev/stdout and /dev/stderr', async (t) => {
    const result = await end(t, script('echo to out > /dev/stdout; echo to err > /dev/stderr; exit 5'));
    assert.deepEqual(result, { exitCode: 5, stdout: 'to out\n', stderr: 'to err\n' });
  });

  test('it runs in --work-dir, and its path is that of whoever calls', async (t) => {
    const folder = temporaryFolder(t);
    mkdirSync(join(folder, 'work'));
    writeFileSync(join(folder, 'job.sh'), 'pwd\n');
    const where = [...offline, '--work-dir', 'work', '--script', 'job.sh'];
    const expected = { exitCode: 0, stdout: `${folder}/work\n`, stderr: '' };
    assert.deepEqual(await end(t, where, { cwd: folder }), expected);
  });

  test('a process that it leaves behind with its pipes does not keep the agent', async (t) => {
    const { exitCode, stdout } = await end(t, script('sleep 1000 & echo $!; exit 6'));
    process.kill(Number(stdout));
    assert.equal(exitCode, 6);
  });

  test('whoever reads its output may leave: the script goes on', async (t) => {
    const folder = temporaryFolder(t);
    const done = join(folder, 'done');
    const agent = startAgent(t, script(`echo one; read go; echo two; echo three; touch ${done}; exit 8`), {
      stdin: 'pipe',
    });
    await agent.stdout.has(/one\n/);
    agent.process.stdout?.destroy();
    agent.process.stdin?.end('go\n');
    assert.equal((await agent.result).exitCode, 8);
  });
});

async function end(t: TestContext, args: string[], options: AgentOptions = {}) {
  return outcome(startAgent(t, args, options));
}

async function outcome({ result }: AgentRun) {
  const { exitCode, stdout, stderr } = await result;
  return { exitCode, stdout, stderr };
}
