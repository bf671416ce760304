import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { takeLock } from '../shared/lock.ts';
import { lockFile } from './data-folder.ts';
import type { Stats } from './tools/stats.ts';
import { alter, madeStore } from './tools/store-file.fixture.ts';

const CLI = join(import.meta.dirname, 'cli.ts');

function relay(folder: string, args: string[]) {
  const options = { cwd: folder, encoding: 'utf8', env: { PATH: process.env.PATH } } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], options);
  return { code: status, stdout, stderr };
}

test('stats says what the store in the data folder holds, for people and for programs', async (t) => {
  const { folder, path } = await madeStore(t);
  const said = relay(folder, ['stats', '--data', '.']);
  assert.deepEqual([said.code, said.stderr], [0, '']);
  assert.match(said.stdout, /^tasks {8}2 \(2 running\)$/m);
  const json = relay(folder, ['stats', '--data', folder, '--json']);
  const stats = JSON.parse(json.stdout) as Stats;
  assert.deepEqual([json.code, stats.file, stats.lines], [0, path, 508]);
});

test('verify ends with 0 for a sound store and with 1 for another, in a pipe without progress', async (t) => {
  const { folder, path } = await madeStore(t);
  const sound = relay(folder, ['verify', '--data', '.']);
  assert.deepEqual(sound, { code: 0, stdout: 'sound: 2 tasks, 3 runs, 5 chunks, 508 lines\n', stderr: '' });
  const quick = relay(folder, ['verify', '--data', '.', '--quick', '--task', 'b']);
  assert.equal(quick.stdout, 'sound: 1 task, 1 run, 1 chunk, 500 lines (bodies were not read)\n');
  alter(path, "UPDATE task SET lines = 9 WHERE task = 'a'");
  const found = relay(folder, ['verify', '--data', '.']);
  assert.deepEqual([found.code, found.stderr], [1, '']);
  assert.equal(
    found.stdout,
    'task "a": it says lines: 9; its chunks say 8\nnot sound: 1 problem in 2 tasks, 3 runs, 5 chunks, 508 lines\n',
  );
  const json = relay(folder, ['verify', '--data', '.', '--json']);
  assert.equal(json.code, 1);
  assert.deepEqual(JSON.parse(json.stdout), {
    ...{ sound: false, tasks: 2, runs: 3, chunks: 5, lines: 508, findings: 1 },
    found: [{ task: 'a', problem: 'it says lines: 9; its chunks say 8' }],
  });
});

test('a backup is made, can be verified, and is not made over', async (t) => {
  const { folder } = await madeStore(t);
  const made = relay(folder, ['backup', 'copy.db', '--data', '.']);
  assert.equal(made.code, 0);
  assert.match(made.stdout, /^copy\.db: [\d.]+ [KM]iB\n$/);
  assert.equal(relay(folder, ['verify', 'copy.db']).code, 0);
  const again = relay(folder, ['backup', 'copy.db', '--data', '.']);
  assert.deepEqual(
    [again.code, again.stderr],
    [1, 'keruta-relay: copy.db exists already and is left as it is; name another file\n'],
  );
});

test('compact says what it made of the store, and leaves the folder of a running relay alone', async (t) => {
  const { folder } = await madeStore(t);
  const done = relay(folder, ['compact', '--data', '.']);
  assert.deepEqual([done.code, done.stderr], [0, '']);
  assert.match(done.stdout, /^[\d.]+ KiB before, [\d.]+ KiB after; 5 chunks before, 5 after\n$/);
  const lock = takeLock(lockFile(folder), { what: 'it' });
  try {
    const refused = relay(folder, ['compact', '--data', '.']);
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /^keruta-relay: the data folder \. is already in use by process \d+ .*stop the relay first/,
    );
  } finally {
    lock.release();
  }
});

describe('what is wrong with a call is said in a line or two', () => {
  const rows: [args: string[], code: number, stderr: RegExp][] = [
    [
      ['stats', '--data', 'nowhere'],
      1,
      /^keruta-relay: there is no store: nowhere\/keruta\.db does not exist; name the relay's data/,
    ],
    [['verify', '--data', 'nowhere'], 1, /there is no store/],
    [['compact', '--data', 'nowhere'], 1, /there is no store/],
    [['backup', 'b.db', '--data', 'nowhere'], 1, /there is no store/],
    [['verify', 'none.db'], 1, /there is no store: none\.db does not exist/],
    [['verify', '.'], 1, /there is no store: \. is no file/],
    [['verify', '/dev/null'], 1, /there is no store: \/dev\/null is no file/],
    [['verify', 'relay.lock'], 1, /there is no store: relay\.lock is empty/],
    [['verify', '--data', '.', '--task', 'z'], 1, /^keruta-relay: there is no task "z" in keruta\.db\n$/],
    [['backup', '--data', '.'], 2, /missing required argument 'target'/],
    [['backup', 'no/b.db', '--data', '.'], 1, /the folder no does not exist; make it, or name another one/],
    [['verify', '--fast', '--data', '.'], 2, /unknown option '--fast'/],
    [['stats', 'extra', '--data', '.'], 2, /too many arguments/],
    [['stats', '--config', 'none.yaml'], 2, /none\.yaml/],
    [['stast'], 2, /unknown command "stast" \(did you mean stats\?\)/],
  ];
  for (const [args, code, stderr] of rows) {
    test(args.join(' '), async (t) => {
      const { folder } = await madeStore(t, () => Promise.resolve());
      takeLock(lockFile(folder), { what: 'it' }).release();
      const names = readdirSync(folder);
      const result = relay(folder, args);
      assert.match(result.stderr, stderr);
      assert.deepEqual([result.code, result.stdout], [code, '']);
      assert.deepEqual(readdirSync(folder), names);
      assert.ok(!existsSync(join(folder, 'nowhere')));
    });
  }
});

for (const command of ['stats', 'verify', 'backup', 'compact']) {
  test(`${command} --help has examples`, async (t) => {
    const { folder } = await madeStore(t, () => Promise.resolve());
    const { code, stdout } = relay(folder, [command, '--help']);
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`Examples:\\n  keruta-relay ${command}`));
  });
}
