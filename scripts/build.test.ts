import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { installLibrary } from '../test/library.ts';

const ROOT = join(import.meta.dirname, '..');
const OLD_NODE = '/usr/bin/node';
const NEW_PATH = `${dirname(process.execPath)}:/usr/bin:/bin`;

// Inside node_modules, where the bundle finds its native modules, and under a name that needs quoting.
mkdirSync(join(ROOT, 'node_modules/.cache'), { recursive: true });
const folder = mkdtempSync(join(ROOT, 'node_modules/.cache/keruta build '));
const dist = join(folder, 'dist');
const bin = join(folder, 'bin');
const children: ChildProcess[] = [];

before(() => {
  const { status, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts/build.ts'), dist], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  // As npm does it: a relative link to a link.
  mkdirSync(bin);
  symlinkSync('../dist/keruta-agent', join(bin, 'first'));
  symlinkSync('first', join(bin, 'keruta-agent'));
  symlinkSync(join(dist, 'keruta-relay'), join(bin, 'keruta-relay'));
});

after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

function run(file: string, args: string[], { path = NEW_PATH, cwd = folder } = {}) {
  const env = { PATH: path, HOME: folder };
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', env, cwd });
  return { code: status, stdout, stderr };
}

describe('the launcher', () => {
  const shells = ['/bin/sh', '/usr/bin/dash', '/bin/bash', '/bin/busybox'];
  for (const shell of shells) {
    const skip = existsSync(shell) ? false : `there is no ${shell} on this machine`;
    const before = shell.endsWith('busybox') ? ['sh'] : [];
    test(`works under ${shell}, by its path, by links, by PATH and from its own folder`, { skip }, () => {
      const version = /^\d+\.\d+\.\d+\n$/;
      assert.match(run(shell, [...before, join(dist, 'keruta-agent'), '--version']).stdout, version);
      assert.match(run(shell, [...before, join(bin, 'keruta-agent'), '--version']).stdout, version);
      assert.match(run(shell, [...before, join(bin, 'keruta-relay'), '--version']).stdout, version);
      assert.match(
        run(shell, [...before, '-c', 'keruta-agent --version'], { path: `${bin}:${NEW_PATH}` }).stdout,
        version,
      );
      assert.match(run(shell, [...before, 'keruta-agent', '--version'], { cwd: dist }).stdout, version);
    });
  }

  test('says in a sentence that there is no node', () => {
    const result = run('/bin/sh', [join(dist, 'keruta-relay')], { path: '/nowhere' });
    assert.deepEqual(result, {
      code: 2,
      stdout: '',
      stderr: 'keruta-relay needs Node.js 22.19 or newer, and there is no node in PATH.\n',
    });
  });
});

describe('an older Node', () => {
  const version = existsSync(OLD_NODE) ? spawnSync(OLD_NODE, ['--version'], { encoding: 'utf8' }).stdout.trim() : '';
  const [major, minor] = version.slice(1).split('.').map(Number);
  const old = version !== '' && (major < 22 || (major === 22 && minor < 19));
  const skip = old ? false : `there is no older Node at ${OLD_NODE}`;

  test('in PATH is refused with a sentence', { skip }, () => {
    const agent = run(join(dist, 'keruta-agent'), ['--version'], { path: '/usr/bin:/bin' });
    const agentSays = `keruta-agent needs Node.js 22.19 or newer; this is ${version}.\n`;
    assert.deepEqual(agent, { code: 2, stdout: '', stderr: agentSays });
    const relay = run(join(dist, 'keruta-relay'), ['--version'], { path: '/usr/bin:/bin' });
    const relaySays = `keruta-relay needs Node.js 22.19 or newer; the node in PATH is ${version}.\n`;
    assert.deepEqual(relay, { code: 2, stdout: '', stderr: relaySays });
  });

  test('started by hand is refused with a sentence', { skip }, () => {
    const result = run(OLD_NODE, [join(dist, 'relay.mjs')]);
    const stderr = `keruta-relay needs Node.js 22.19 or newer; this is ${version}.\n`;
    assert.deepEqual(result, { code: 2, stdout: '', stderr });
  });
});

describe('the bundle', () => {
  test('runs a script, brings its log to the relay and shows it', async () => {
    const data = join(folder, 'data');
    const relay = spawn(join(bin, 'keruta-relay'), ['--port', '0', '--data', data, '--log-level', 'silent'], {
      env: { PATH: NEW_PATH },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(relay);
    const [line] = (await once(createInterface({ input: relay.stdout }), 'line')) as [string];
    const api = ['--api-url', line.replace(/.* /, '')];

    const command = ['sh', '-c', 'echo one; echo two; exit 3'];
    const executed = run(join(bin, 'keruta-agent'), ['execute', '--task-id', 't1', ...api, '--', ...command]);
    assert.deepEqual(executed, { code: 3, stdout: 'one\ntwo\n', stderr: '' });
    const shown = run(join(bin, 'keruta-agent'), ['logs', 't1', '--follow', '--exit-code', ...api]);
    assert.deepEqual({ code: shown.code, stdout: shown.stdout }, { code: 3, stdout: 'one\ntwo\n' });

    relay.kill('SIGTERM');
    assert.deepEqual(await once(relay, 'exit'), [0, null]);
  });

  test('serves gRPC by the description that stands beside it', { timeout: 60_000 }, async (t) => {
    // Node runs no TypeScript below node_modules.
    const user = mkdtempSync(join(tmpdir(), 'keruta-worker-'));
    t.after(() => rmSync(user, { recursive: true }));
    installLibrary(user, ['@grpc/grpc-js', '@grpc/proto-loader']);
    const copied = join(user, 'worker.ts');
    copyFileSync(join(ROOT, 'examples/otto-worker.ts'), copied);
    const args = ['--port', '0', '--grpc-port', '0', '--data', join(folder, 'grpc data')];
    const relay = spawn(join(bin, 'keruta-relay'), args, {
      env: { PATH: NEW_PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(relay);
    const [line] = (await once(createInterface({ input: relay.stdout }), 'line')) as [string];
    let port: string | undefined;
    for await (const said of createInterface({ input: relay.stderr })) {
      port = /127\.0\.0\.1:(\d+)","msg":"gRPC is served/.exec(said)?.[1];
      if (port !== undefined) break;
    }
    const worker = [copied, `127.0.0.1:${port}`, 'w', 't'];
    const sent = spawnSync(process.execPath, worker, { input: 'one\ntwo\n', encoding: 'utf8' });
    assert.deepEqual({ code: sent.status, stderr: sent.stderr }, { code: 0, stderr: '' });
    const shown = run(join(bin, 'keruta-agent'), ['logs', 't', '--api-url', line.replace(/.* /, '')]);
    assert.equal(shown.stdout, 'one\ntwo\n');
    relay.kill('SIGTERM');
    assert.deepEqual(await once(relay, 'exit'), [0, null]);
  });

  test('keeps what was compiled beside itself, and does without where it can not', () => {
    run(join(bin, 'keruta-agent'), ['--version']);
    const cache = join(dist, '.cache');
    assert.ok(existsSync(cache));
    rmSync(cache, { recursive: true });
    writeFileSync(cache, 'in the way');
    assert.deepEqual(run(join(bin, 'keruta-agent'), ['--version']).stderr, '');
    rmSync(cache);
  });

  test('runs no code from a cache that is damaged, and makes a new one', () => {
    const cache = join(dist, '.cache');
    rmSync(cache, { recursive: true, force: true });
    run(join(bin, 'keruta-agent'), ['--version']);
    const [name] = readdirSync(cache);
    const kept = readFileSync(join(cache, name));
    for (const damage of [kept.subarray(0, 3), kept.subarray(0, kept.length / 2), flipped(kept)]) {
      writeFileSync(join(cache, name), damage);
      const { code, stderr } = run(join(bin, 'keruta-agent'), ['--version']);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
      assert.ok(readFileSync(join(cache, name)).length > kept.length / 2);
      assert.deepEqual(readdirSync(cache), [name]);
    }
  });

  test('runs no code from a cache that somebody else may write to, and leaves none there', () => {
    const cache = join(dist, '.cache');
    rmSync(cache, { recursive: true, force: true });
    run(join(bin, 'keruta-agent'), ['--version']);
    run(join(bin, 'keruta-relay'), ['--version']);
    const [ofRelay, name] = readdirSync(cache);
    const file = join(cache, name);
    const { ino } = statSync(file);
    const kept = (): boolean => {
      assert.equal(run(join(bin, 'keruta-agent'), ['--version']).code, 0);
      assert.deepEqual([statSync(file).mode & 0o777, statSync(cache).mode & 0o777], [0o644, 0o755]);
      return statSync(file).ino === ino;
    };
    assert.equal(kept(), true);
    chmodSync(file, 0o666);
    assert.equal(kept(), false);

    rmSync(file);
    assert.equal(spawnSync('mkfifo', [file]).status, 0);
    assert.equal(kept(), false);
    assert.equal(statSync(file).isFile(), true);

    for (const open of [cache, join(cache, ofRelay)]) {
      rmSync(cache, { recursive: true });
      mkdirSync(open, { recursive: true });
      chmodSync(open, 0o777);
      run(join(bin, 'keruta-agent'), ['--version']);
      run(join(bin, 'keruta-relay'), ['--version']);
      assert.deepEqual(
        readdirSync(open).filter((entry) => entry !== ofRelay),
        [],
      );
    }
    rmSync(cache, { recursive: true });
  });

  const dash = existsSync('/bin/dash') ? false : 'there is no /bin/dash on this machine';
  test('gives the script the pipes that a shell has made, and nothing else of them', { skip: dash }, () => {
    const script = `
      echo out > /dev/stdout; echo err > /dev/stderr
      for fd in 3 4; do [ ! -e /proc/$$/fd/$fd ] || echo "$fd is open"; done
      echo "told: $KERUTA_PIPES"`;
    // Without a mkfifo in PATH.
    const path = join(folder, 'few');
    mkdirSync(path);
    symlinkSync('/bin/sh', join(path, 'sh'));
    symlinkSync(process.execPath, join(path, 'node'));
    const args = ['execute', '--task-id', 't3', '--disable-log-streaming', '--', 'sh', '-c', script];
    const { stdout, stderr } = run('/bin/dash', [join(dist, 'keruta-agent'), ...args], { path });
    assert.deepEqual({ stdout, stderr }, { stdout: 'out\ntold: \n', stderr: 'err\n' });
  });

  test('leaves SIGUSR1 to the script and opens no inspector', { timeout: 60_000 }, async () => {
    const script = 'trap "echo got it; exit 0" USR1; echo ready; while :; do sleep 0.05; done';
    const args = ['execute', '--task-id', 't2', '--disable-log-streaming', '--', 'sh', '-c', script];
    const agent = spawn(join(bin, 'keruta-agent'), args, {
      env: { PATH: NEW_PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(agent);
    let stderr = '';
    agent.stderr.on('data', (bytes) => (stderr += String(bytes)));
    const lines = createInterface({ input: agent.stdout })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'ready');
    const exited = once(agent, 'exit');
    agent.kill('SIGUSR1');
    assert.equal((await lines.next()).value, 'got it');
    assert.deepEqual(await exited, [0, null]);
    // The shell reports that its `sleep`, of the same group, was ended.
    assert.doesNotMatch(stderr, /Debugger|inspector/);
  });
});

/** The same bytes but for one bit. */
function flipped(bytes: Buffer): Buffer {
  const other = Buffer.from(bytes);
  other[bytes.length >>> 1] ^= 1;
  return other;
}
