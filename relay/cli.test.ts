import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, test } from 'node:test';

const CLI = join(import.meta.dirname, 'cli.ts');
const folder = mkdtempSync(join(tmpdir(), 'keruta-relay-cli-'));
const children: ChildProcess[] = [];
after(() => {
  // Those that a failing test left.
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

const environment = (env: Record<string, string> = {}) => ({ PATH: process.env.PATH, ...env });

function relay(args: string[], env?: Record<string, string>) {
  const options = { cwd: folder, encoding: 'utf8', env: environment(env) } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], options);
  return { code: status, stdout, stderr };
}

/** Starts a relay and waits for the line that says where it listens. */
async function listening(args: string[], env?: Record<string, string>) {
  const child = spawn(process.execPath, [CLI, ...args], { cwd: folder, env: environment(env) });
  children.push(child);
  let stderr = '';
  child.stderr.on('data', (bytes) => (stderr += String(bytes)));
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => [stderr])])) as [string];
  return { child, line, stderr: () => stderr };
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

describe('what the user has to change is said in a line or two, and the exit code is 2', () => {
  const rows: [string[], RegExp, Record<string, string>?][] = [
    [['--prot', '1'], /^keruta-relay: unknown option '--prot' \(Did you mean --port\?\)\n.*\n$/],
    [['sevre'], /^keruta-relay: unknown command "sevre" \(did you mean serve\?\)\n$/],
    [['--port', '70000'], /^keruta-relay: --port: "70000" is too large, 65535 is the most; for example: 8080\n$/],
    [
      ['serve'],
      /^keruta-relay: KERUTA_RELAY_LOST_AFTER: "1 year" is not a duration/,
      { KERUTA_RELAY_LOST_AFTER: '1 year' },
    ],
  ];
  for (const [args, stderr, env] of rows) {
    test(args.join(' '), () => {
      const result = relay(args, env);
      assert.equal(result.code, 2);
      assert.match(result.stderr, stderr);
      assert.equal(result.stdout, '');
    });
  }
});

test('config shows what counts, from the section relay of the file too', () => {
  writeFileSync(join(folder, 'k.yaml'), 'agent: { grace: 1s }\nrelay:\n  port: 1234\n');
  const { stdout } = relay(['config', '--config', 'k.yaml', '--lost-after', '5m'], {
    KERUTA_RELAY_AUTH_TOKENS: 'geheim',
  });
  assert.match(stdout, /^relay\.port +1234 +relay\.port \(k\.yaml, line 3\)$/m);
  assert.match(stdout, /^relay\.lostAfter +5m +flag --lost-after$/m);
  assert.match(stdout, /^relay\.authTokens +\(hidden\) +environment KERUTA_RELAY_AUTH_TOKENS$/m);
});

test('serves where it says, answers ready, and stops when asked', async () => {
  const { child, line } = await listening(['serve', '--port', '0', '--data', 'd1']);
  const url = /^keruta-relay listens on (http:\/\/127\.0\.0\.1:\d+)$/.exec(line)?.[1];
  assert.ok(url, line);
  const ready = await fetch(`${url}/health/ready`);
  assert.equal(ready.status, 200);
  await ready.arrayBuffer();
  child.kill('SIGTERM');
  assert.equal(await ended(child), 0);
});

test('warns when it is open to the network without a token, and only then', async () => {
  const open = await listening(['--host', '0.0.0.0', '--port', '0', '--data', 'd2', '--log-level', 'silent']);
  open.child.kill('SIGINT');
  assert.equal(await ended(open.child), 0);
  assert.match(open.stderr(), /^keruta-relay: warning: whoever reaches .* set KERUTA_RELAY_AUTH_TOKENS/);

  const env = { KERUTA_RELAY_AUTH_TOKENS: 'geheim' };
  const guarded = await listening(['--host', '0.0.0.0', '--port', '0', '--data', 'd3', '--log-level', 'silent'], env);
  guarded.child.kill('SIGINT');
  assert.equal(await ended(guarded.child), 0);
  assert.equal(guarded.stderr(), '');
});

test('what stands in its way is one sentence, and the exit code is 1', async () => {
  const first = await listening(['--port', '0', '--data', 'd4', '--log-level', 'silent']);
  const second = relay(['--port', '0', '--data', 'd4', '--log-level', 'silent']);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /^keruta-relay: .*d4.*\n$/);
  first.child.kill('SIGTERM');
  assert.equal(await ended(first.child), 0);
});
