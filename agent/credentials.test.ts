import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Credentials, type CredentialOptions } from './credentials.ts';
import { testFolder } from './delivery.fixture.ts';

const BEARER = (token: string) => ({ Authorization: `Bearer ${token}` });
const KEY = (key: string) => ({ 'X-API-Key': key });

const rows: [what: string, given: CredentialOptions, headers: Record<string, string>][] = [
  ['nothing', {}, {}],
  ['a token', { authToken: 't' }, BEARER('t')],
  ['a key', { apiKey: 'k', authType: 'api-key' }, KEY('k')],
  ['both, as bearer', { authToken: 't', apiKey: 'k', authType: 'bearer' }, BEARER('t')],
  ['both, as a key', { authToken: 't', apiKey: 'k', authType: 'api-key' }, KEY('k')],
  ['a token that is to be sent as a key', { authToken: 't', authType: 'api-key' }, KEY('t')],
];
for (const [what, given, headers] of rows) {
  test(what, async () => assert.deepEqual(await new Credentials(given).headers(1000), headers));
}

test("a token's file counts more than the token, and is read each time", async (t) => {
  const authTokenFile = join(testFolder(t), 'token');
  writeFileSync(authTokenFile, 'first\n');
  const credentials = new Credentials({ authToken: 't', authTokenFile });
  assert.deepEqual(await credentials.headers(1000), BEARER('first'));
  writeFileSync(authTokenFile, 'second\r\n');
  assert.deepEqual(await credentials.headers(1000), BEARER('second'));
  assert.deepEqual(await new Credentials({ authTokenFile, authType: 'api-key' }).headers(1000), KEY('second'));
});

test('a file that holds no token is said, and nothing of what it holds', async (t) => {
  const authTokenFile = join(testFolder(t), 'token');
  const rejects = (text: string, says: RegExp) => {
    writeFileSync(authTokenFile, text);
    return assert.rejects(
      new Credentials({ authTokenFile }).headers(1000),
      (error: Error) =>
        says.test(error.message) && error.message.includes(authTokenFile) && !/geheim/.test(error.message),
    );
  };
  await rejects(' \n', /is empty/);
  await rejects('geheim\ngeheim', /no token/);
  await rejects('geheim\u0000', /no token/);
  await rejects('geheim'.repeat(10_000), /can't be read: it has more than/);
  const missing = new Credentials({ authTokenFile: join(authTokenFile, 'x') });
  await assert.rejects(missing.headers(1000), /can't be read: ENOTDIR/);
});

test('a pipe, which nobody may ever write, is not opened', async (t) => {
  const authTokenFile = join(testFolder(t), 'pipe');
  execFileSync('mkfifo', [authTokenFile]);
  await assert.rejects(new Credentials({ authTokenFile }).headers(1000), /can't be read: it is no file/);
});
