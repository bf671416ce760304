import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { agentOptions } from '../shared/options/agent-options.ts';
import type { Row } from '../shared/options/option.ts';

const CLI = join(import.meta.dirname, 'cli.ts');
const folder = mkdtempSync(join(tmpdir(), 'keruta-cli-'));
after(() => rmSync(folder, { recursive: true }));

/** Runs the agent in a folder without a configuration file, with nothing of ours in the environment but `env`. */
function agent(args: string[], env: Record<string, string> = {}) {
  const result = spawnSync(process.execPath, [CLI, ...args], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: folder, ...env },
  });
  return { code: result.status, stdout: result.stdout, stderr: result.stderr };
}

describe('what the user has to change is said in a line or two, and the exit code is 2', () => {
  const rows: [string[], RegExp, Record<string, string>?][] = [
    [
      ['execute', '--taks-id', 't'],
      /^keruta-agent: unknown option '--taks-id' \(Did you mean --task-id\?\)\n'keruta-agent execute --help' shows how\.\n$/,
    ],
    [['exceute'], /^keruta-agent: unknown command 'exceute' \(Did you mean execute\?\)\n.*\n$/],
    [['execute', '--task-id'], /^keruta-agent: option '--task-id <ID>' argument missing\n.*\n$/],
    [['execute', '--', 'true'], /^keruta-agent: no task: give --task-id ID, or set KERUTA_TASK_ID\n$/],
    [['execute', '--task-id', 't'], /^keruta-agent: nothing to run: give --script PATH, or a command behind --\n$/],
    [['execute', '--task-id', 't', './b.sh', '-x'], /unknown option '-x'/],
    [
      ['execute', '--task-id', 't', './b.sh', 'a'],
      /^keruta-agent: "\.\/b\.sh" stands before --; write: keruta-agent execute … -- \.\/b\.sh a\n$/,
    ],
    [['execute', '--task-id', 't', '--script', ''], /^keruta-agent: --script: "" is no path/],
    [
      ['execute', '--task-id', 'a/\u0001', '--', 'true'],
      /^keruta-agent: --task-id: ".*" has control characters; for example: build-42\n$/,
    ],
    [
      ['execute', '--', 'true'],
      /^keruta-agent: KERUTA_TIMEOUT: "soon" is not a duration; for example: 2h\n$/,
      { KERUTA_TIMEOUT: 'soon' },
    ],
    [
      ['execute', '--config', 'k.yaml', '--', 'true'],
      /^keruta-agent: --config: can't read k\.yaml: there is no such file\n$/,
    ],
    [['logs'], /^keruta-agent: missing required argument 'task'\n.*\n$/],
    [['logs', '..'], /^keruta-agent: the task id is a path step; for example: build-42\n$/],
    [['logs', 't', '--level', 'loud'], /^keruta-agent: --level: "loud" is none of DEBUG, INFO, WARN, ERROR; .*\n$/],
    [['cat'], /^keruta-agent: missing required argument 'spool'\n.*\n$/],
  ];
  for (const [args, stderr, env] of rows) {
    test(args.join(' '), () => {
      const result = agent(args, env);
      assert.equal(result.code, 2);
      assert.match(result.stderr, stderr);
      assert.equal(result.stdout, '');
    });
  }
});

describe('execute', () => {
  const offline = ['execute', '--task-id', 't', '--disable-log-streaming'];

  test('passes what stands behind -- on untouched, also what looks like options', () => {
    const args = ['--version', '--', '-x', '', 'a b', '--task-id', '--no-tee'];
    const result = agent([...offline, '--', 'printf', '[%s]', ...args]);
    assert.deepEqual(result, { code: 0, stdout: args.map((arg) => `[${arg}]`).join(''), stderr: '' });
  });

  test("gives a script its arguments and exits with the script's code", () => {
    writeFileSync(join(folder, 'job.sh'), 'echo "$# $1"; exit 7\n');
    const result = agent([...offline, '--script', 'job.sh', '--', '--help', 'b']);
    assert.deepEqual(result, { code: 7, stdout: '2 --help\n', stderr: '' });
  });
});

test('a configuration file of the folder counts, and its mistakes have a line', () => {
  writeFileSync(join(folder, 'keruta.config.yaml'), 'relay: { port: 1 }\nagent:\n  grace: 7s\n');
  assert.match(agent(['config']).stdout, /^agent\.grace +7s +agent\.grace \(keruta\.config\.yaml, line 3\)$/m);
  writeFileSync(join(folder, 'keruta.config.yaml'), 'agent:\n  graze: 7s\n');
  const result = agent(['execute', '--task-id', 't', '--', 'true']);
  assert.equal(result.code, 2);
  assert.equal(
    result.stderr,
    'keruta-agent: keruta.config.yaml, line 2: unknown key agent.graze; did you mean agent.grace?\n',
  );
  rmSync(join(folder, 'keruta.config.yaml'));
});

test('config as JSON hides secrets too, and points at misspelt variables', () => {
  const result = agent(['config', '--json', '--grace', '1m'], { KERUTA_AUTH_TOKEN: 'geheim', KERUTA_GRAEC: '1s' });
  const rows = JSON.parse(result.stdout) as { name: string; value?: string; origins: object[] }[];
  assert.deepEqual(
    rows.find(({ name }) => name === 'agent.grace'),
    {
      name: 'agent.grace',
      value: '1m',
      origins: [{ from: 'flag', name: '--grace' }],
    },
  );
  assert.equal(rows.find(({ name }) => name === 'auth.token')?.value, '(hidden)');
  assert.equal(result.stderr, "KERUTA_GRAEC is no variable of keruta's; did you mean KERUTA_GRACE?\n");
});

test('help and version are enough to get going', () => {
  const help = agent(['--help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /keruta-agent execute --task-id build-42 --script/);
  const execute = agent(['execute', '--help']).stdout;
  for (const part of [/--grace <DURATION>/, /default: 10s;\s+KERUTA_GRACE/, /--no-tee/, /Exit code:/]) {
    assert.match(execute, part);
  }
  assert.match(agent(['--version']).stdout, /^\d+\.\d+\.\d+\n$/);
});

test('help of execute has each flag once', () => {
  const { stdout } = agent(['execute', '--help']);
  const shown = Array.from(stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm), ([, flag]) => flag);
  const flags = Object.values<Row>(agentOptions).flatMap(({ flag }) => flag ?? []);
  assert.deepEqual(shown.sort(), [...flags, '--script', '--dry-run', '--config', '--help'].sort());
});
