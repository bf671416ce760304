import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { runAgent, temporaryFolder } from './programs.ts';

const CONCURRENT = { timeout: 60_000, concurrency: 2 };

describe('execute --dry-run', CONCURRENT, () => {
  test('says what would happen, without secrets, and does nothing', async (t) => {
    const folder = temporaryFolder(t);
    const ran = join(folder, 'ran');
    const env = { DEPLOY_TOKEN: 'hunter2-hunter2', KERUTA_AUTH_TOKEN: 'abcdefgh-12345678', KERUTA_SPOOL_DIR: folder };
    const masks = ['--mask', 'correct-horse'];
    const job = ['touch', ran, 'hunter2-hunter2', 'correct-horse'];
    const { exitCode, stdout, stderr } = await runAgent(
      t,
      ['execute', '--dry-run', '--task-id', 'build-42', ...masks, '--', ...job],
      { env },
    );
    assert.deepEqual([exitCode, stderr], [0, '']);
    assert.match(stdout, new RegExp(`^runs +/\\S*touch ${ran} \\*\\*\\* \\*\\*\\*\n`));
    assert.match(stdout, /\nas task +build-42\n/);
    assert.match(stdout, /\nsends to +ws:\/\/localhost:8080\/ws\/tasks, with a token\n/);
    assert.match(stdout, /\nmasks +what the environment has in (DEPLOY_TOKEN|KERUTA_AUTH_TOKEN), \S+; 1 of --mask; /);
    assert.match(stdout, /\nspool\.dir +\S+ +environment KERUTA_SPOOL_DIR\n/);
    assert.doesNotMatch(stdout, /hunter2|abcdefgh|horse/);
    assert.equal(existsSync(ran), false);
    assert.deepEqual(readdirSync(folder), []);
  });

  const problems: [what: string, args: (folder: string) => string[], stderr: RegExp][] = [
    ['a program that is not there', () => ['--', 'no-such-program'], /^keruta-agent: no-such-program: there is no/],
    ['a script that is not there', () => ['--script', './no.sh'], /^keruta-agent: script \S*no\.sh: no such file\n$/],
    ['a script that is a folder', (folder) => ['--script', folder], /^keruta-agent: script \S+: is a directory\n$/],
    ['a working folder that is none', () => ['--work-dir', '/no/such', '--', 'true'], /--work-dir \/no\/such: is no/],
    ['a mask file that is not there', () => ['--mask', '@/no/such', '--', 'true'], /--mask @\/no\/such: can't be read/],
  ];
  for (const [what, args, said] of problems) {
    test(`${what}: exit code 2`, async (t) => {
      const all = ['execute', '--dry-run', '--task-id', 't', ...args(temporaryFolder(t))];
      const { exitCode, stderr } = await runAgent(t, all);
      assert.equal(exitCode, 2);
      assert.match(stderr, said);
    });
  }

  const credentials: [env: Record<string, string>, said: string][] = [
    [{}, 'without a token'],
    [{ KERUTA_AUTH_TOKEN_FILE: '/run/secrets/token' }, 'with what /run/secrets/token holds'],
    [{ KERUTA_API_KEY: 'abcdefgh-12345678' }, 'with an API key'],
    [{ KERUTA_AUTH_TOKEN: 'abcdefgh-12345678', KERUTA_AUTH_TYPE: 'api-key' }, 'with an API key'],
  ];
  for (const [env, said] of credentials) {
    test(`says that it would come ${said}: ${Object.keys(env).join(', ')}`, async (t) => {
      const { stdout } = await runAgent(t, ['execute', '--dry-run', '--task-id', 't', '--', 'true'], { env });
      assert.match(stdout, new RegExp(`\nsends to +\\S+, ${said}\n`));
    });
  }

  test('names the interpreter of a script that can not be executed itself', async (t) => {
    const script = join(temporaryFolder(t), 'job.sh');
    writeFileSync(script, '#!/bin/sh\ntrue\n');
    const { stdout } = await runAgent(t, ['execute', '--dry-run', '--task-id', 't', '--script', script, '--', 'x']);
    assert.match(stdout, new RegExp(`^runs +/bin/sh ${script} x\n`));
  });
});
