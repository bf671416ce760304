import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { decodeJwt, jwtVerify } from 'jose';

const CLI = join(import.meta.dirname, 'cli.ts');
const SECRET = 'a secret of thirty-two bytes, and more';
const folder = mkdtempSync(join(tmpdir(), 'keruta-cli-keys-'));
after(() => rmSync(folder, { recursive: true }));

function relay(args: string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ...env },
  });
  return { code: status, stdout, stderr };
}

test('a key is made, shown once, listed without its secret, and revoked by its name', () => {
  const bound = ['--task', 'build-*', '--label', 'team=web', '--expires', '90d'];
  const made = relay(['keys', 'create', '--name', 'ci', '--scope', 'ingest,read', ...bound, '--data', 'd']);
  assert.equal(made.code, 0);
  const key = /^(krt_[0-9a-z]{69})\n$/.exec(made.stdout)?.[1] ?? '';
  assert.notEqual(key, '', 'the key alone, for a script to take');
  const id = key.slice(4, 14);
  assert.ok(made.stderr.includes(id) && !made.stderr.includes(key));

  const list = relay(['keys', 'list'], { KERUTA_RELAY_DATA: 'd' });
  assert.match(list.stdout, new RegExp(`^${id} +ci +ingest,read +build-\\* team=web `, 'm'));
  assert.ok(!list.stdout.includes(key.slice(14)));
  const json = JSON.parse(relay(['keys', 'list', '--data', 'd', '--json']).stdout) as { id: string }[];
  assert.deepEqual(
    json.map((one) => one.id),
    [id],
  );

  assert.deepEqual(relay(['keys', 'revoke', 'ci', '--data', 'd']), {
    code: 0,
    stdout: `revoked ${id} (ci)\n`,
    stderr: '',
  });
  assert.equal(relay(['keys', 'list', '--data', 'd']).stdout, 'There are no keys.\n');
});

test('a token is printed alone, and is what was asked for', async () => {
  const bound = ['--task', 'build-*', '--label', 'team=web', '--ttl', '10m'];
  const made = relay(['token', '--subject', 'alice', '--scope', 'read', '--scope', 'ingest', ...bound], {
    KERUTA_RELAY_JWT_SECRET: SECRET,
    KERUTA_RELAY_JWT_ISSUER: 'https://us.example',
    KERUTA_RELAY_JWT_AUDIENCE: 'keruta',
  });
  assert.deepEqual([made.code, made.stderr], [0, '']);
  const token = made.stdout.trim();
  const checks = { algorithms: ['HS256'], issuer: 'https://us.example', audience: 'keruta' };
  const { payload } = await jwtVerify(token, new TextEncoder().encode(SECRET), checks);
  assert.equal(payload.sub, 'alice');
  assert.equal(payload.scope, 'read ingest');
  assert.deepEqual([payload.tasks, payload.labels], [['build-*'], { team: 'web' }]);
  const { exp = 0, iat = 0 } = decodeJwt(token);
  assert.equal(exp - iat, 600);
});

const KEY = ['keys', 'create', '--name', 'n', '--data', 'none'];
const TOKEN = ['token', '--subject', 's'];
const wrong: [string[], RegExp][] = [
  [['keys'], /create .*\n.*list .*\n.*revoke /],
  [['keys', 'creat'], /unknown command 'creat' \(Did you mean create\?\)/],
  [['keys', 'create', '--scope', 'read'], /--name/],
  [KEY, /--scope is missing: ingest, read or admin/],
  [[...KEY, '--scope', 'write'], /--scope: "write" is none of ingest, read, admin/],
  [[...KEY, '--scope', 'read', '--expires', 'soon'], /--expires: "soon" is not a duration; for example: 90d/],
  [[...KEY, '--scope', 'read', '--expires', '0'], /--expires: "0"/],
  [[...KEY, '--scope', 'read', '--label', 'team'], /--label: "team" is not of the form name=value/],
  [[...KEY, '--scope', 'read', '--name', 'a b'], /such a key can't be made: name/],
  [['keys', 'revoke', 'nobody', '--data', 'none'], /there is no key "nobody"/],
  [['keys', 'revoke', '--data', 'none'], /argument/],
  [[...TOKEN, '--scope', 'read'], /no secret to sign with: set KERUTA_RELAY_JWT_SECRET/],
];
for (const [args, message] of wrong) {
  test(`what can't be done is said in a line, with exit code 2: ${args.join(' ')}`, () => {
    const { code, stdout, stderr } = relay(args);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, message);
  });
}

const wrongTokens: [string[], RegExp][] = [
  [TOKEN, /--scope is missing/],
  [[...TOKEN, '--scope', 'all'], /--scope: "all" is none of ingest, read, admin/],
  [[...TOKEN, '--scope', 'read', '--ttl', '2d'], /--ttl: "2d" is too long/],
  [[...TOKEN, '--scope', 'read', '--ttl', '-1h'], /--ttl: "-1h" is not a duration/],
];
for (const [args, message] of wrongTokens) {
  test(`no token is made of ${args.join(' ')}`, () => {
    const { code, stdout, stderr } = relay(args, { KERUTA_RELAY_JWT_SECRET: SECRET });
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, message);
    assert.ok(!stderr.includes(SECRET));
  });
}

test('revoking what is not there makes no file that would close an open relay', () => {
  relay(['keys', 'revoke', 'nobody', '--data', 'untouched']);
  assert.equal(existsSync(join(folder, 'untouched/keys.json')), false);
});
