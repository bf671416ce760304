import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, test } from 'node:test';
import { relayOptions } from '../shared/options/relay-options.ts';
import type { Row } from '../shared/options/option.ts';

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
    [['--listen', '127.0.0.1:1', '--port', '2'], /^keruta-relay: --listen stands for host and port; give either/],
    [['--listen', '8080'], /^keruta-relay: --listen: .*is none of host:port/],
    [['--tls-cert', '/c'], /^keruta-relay: TLS takes a certificate and its key: --tls-key .*is missing\n$/],
    [['--cors-origin', 'https://a.example/x'], /^keruta-relay: --cors-origin: .* https:\/\/a\.example is one/],
    [['--trust-proxy', '10.0.0.0/33'], /^keruta-relay: --trust-proxy: .*is no address or range/],
    [
      ['serve', '--port', '0'],
      /^keruta-relay: JWT_SECRET: its value has 5 bytes; a secret that can't be guessed has 32 or more; .*\n$/,
      { JWT_SECRET: 'kurz!' },
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

test('does not open itself to the network without authentication, unless it is told to', async () => {
  const args = ['--host', '0.0.0.0', '--port', '0', '--log-level', 'silent'];
  const refused = relay([...args, '--data', 'd2']);
  assert.equal(refused.code, 2);
  assert.match(
    refused.stderr,
    /^keruta-relay: without authentication, .* 0\.0\.0\.0:0 .*KERUTA_RELAY_AUTH_TOKENS.*keys create.*--insecure-open.*\n$/,
  );

  const open = await listening([...args, '--data', 'd2', '--insecure-open']);
  open.child.kill('SIGINT');
  assert.equal(await ended(open.child), 0);
  assert.match(open.stderr(), /^keruta-relay: warning: whoever reaches http:.* can read and write all logs\n$/);

  const guarded = await listening([...args, '--data', 'd3'], { KERUTA_RELAY_AUTH_TOKENS: 'geheim' });
  guarded.child.kill('SIGINT');
  assert.equal(await ended(guarded.child), 0);
  assert.equal(guarded.stderr(), '');
});

test('listens on several addresses, and says all of them', async () => {
  const args = ['--listen', '127.0.0.1:0', '--listen', 'localhost:0', '--data', 'd5', '--log-level', 'silent'];
  const child = spawn(process.execPath, [CLI, ...args], { cwd: folder, env: environment() });
  children.push(child);
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === 3) child.kill('SIGTERM');
  }
  assert.match(lines[0], /^keruta-relay listens on http:\/\/127\.0\.0\.1:\d+$/);
  assert.match(lines[1], /^keruta-relay listens on http:\/\/localhost:\d+$/);
  assert.match(lines[2], /no authentication, and so serves this machine only/);
});

test('what stands in its way is one sentence, and the exit code is 1', async () => {
  const first = await listening(['--port', '0', '--data', 'd4', '--log-level', 'silent']);
  const second = relay(['--port', '0', '--data', 'd4', '--log-level', 'silent']);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /^keruta-relay: .*d4.*\n$/);
  first.child.kill('SIGTERM');
  assert.equal(await ended(first.child), 0);
});

test('help has each flag once, in groups', () => {
  const { stdout } = relay(['--help']);
  const shown = Array.from(stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm), ([, flag]) => flag);
  const flags = Object.values<Row>(relayOptions).flatMap(({ flag }) => flag ?? []);
  assert.deepEqual(shown.sort(), [...flags, '--config', '--help', '--version'].sort());
  const [general] = stdout.split(/^Where it listens:$/m);
  assert.ok(general.length < 1000, general);
});

test('help of a command is a sentence, and its summary stands in the list', () => {
  const { stdout } = relay(['--help']);
  const commands = Array.from(stdout.split(/^Commands:$/m)[1].matchAll(/^ {2}(\w+) /gm), ([, name]) => name);
  assert.ok(commands.length >= 7, commands.join());
  for (const name of commands) assert.match(relay([name, '--help']).stdout, /^Usage: .*\n\n[A-Z][^]*?\.\n/, name);
});
