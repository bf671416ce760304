import assert from 'node:assert/strict';
import { chmod, chown, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { newApiKey } from './api-key.ts';
import { KeyFile } from './key-file.ts';
import { KeyRing } from './key-ring.ts';
import { createKey, keyTable, listKeys, revokeKeys } from './keys.ts';

const NOW = Date.UTC(2026, 0, 2);
const HOUR = 3_600_000;
let folder: string;
let ring: KeyRing;
let now = NOW;
const logged: string[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keruta-keys-'));
  now = NOW;
  logged.length = 0;
  const log = { info: () => undefined, error: ({ err }: { err: Error }) => void logged.push(String(err)) };
  ring = new KeyRing({ file: new KeyFile(folder), log: log as never, now: () => now });
});
afterEach(async () => {
  await ring.stop();
  await rm(folder, { recursive: true });
});

test('a key is known by its text, with its scopes and bindings', async () => {
  const request = { name: 'ci', scopes: ['ingest', 'read'], tasks: ['build-*'], labels: { team: 'web' } };
  const { text } = await createKey(folder, request, NOW);
  await ring.start();
  const principal = ring.find(text);
  assert.equal(principal?.name, 'key:ci');
  assert.ok(principal.may('ingest', { task: 'build-1', labels: { team: 'web' } }));
  assert.ok(!principal.may('ingest', { task: 'build-1' }));
  assert.ok(!principal.may('admin', { task: 'build-1', labels: { team: 'web' } }));
});

test('its text is nowhere in the data folder, and the file is for its owner alone', async () => {
  const { text } = await createKey(folder, { name: 'ci', scopes: ['read'] }, NOW);
  const secret = text.slice(14);
  for (const name of await readdir(folder)) {
    const content = await readFile(join(folder, name), 'utf8');
    assert.ok(!content.includes(secret), name);
  }
  assert.equal((await stat(join(folder, 'keys.json'))).mode & 0o777, 0o600);
  assert.deepEqual((await readdir(folder)).sort(), ['keys.json', 'keys.lock']);
});

test('root gives the files to whom the folder belongs, and nothing that a link in it leads to', async (t) => {
  if (process.getuid?.() !== 0) {
    t.skip('only root gives files away');
    return;
  }
  const theirs = join(folder, 'theirs');
  await mkdir(theirs);
  await writeFile(join(folder, 'mine'), '');
  await symlink(join(folder, 'mine'), join(theirs, 'keys.lock'));
  await chown(theirs, 12_345, 12_345);
  await createKey(theirs, { name: 'ci', scopes: ['read'] }, NOW);
  assert.equal((await stat(join(theirs, 'keys.json'))).uid, 12_345);
  assert.equal((await lstat(join(theirs, 'keys.lock'))).uid, 12_345);
  assert.equal((await stat(join(folder, 'mine'))).uid, 0);
});

test('what is made, revoked or broken while the relay runs counts at the next look', async () => {
  await ring.start();
  assert.equal(ring.configured, false);
  const { id, text } = await createKey(folder, { name: 'ci', scopes: ['read'] }, NOW);
  await ring.refresh();
  const principal = ring.find(text);
  assert.equal(principal?.revoked, false);

  await writeFile(join(folder, 'keys.json'), '{"version":1,"keys":[{"hash":"deadbeef"}]}');
  await ring.refresh();
  assert.equal(principal.revoked, false, 'a broken file changes nothing');
  assert.match(logged.join(), /keys\.json/);
  assert.ok(!logged.join().includes('deadbeef'));

  await rm(join(folder, 'keys.json'));
  const other = await createKey(folder, { name: 'other', scopes: ['read'] }, NOW);
  await ring.refresh();
  assert.equal(principal.revoked, true);
  assert.throws(() => ring.find(text), { code: 'UNAUTHORIZED', message: /not known; it may have been revoked/ });
  assert.equal(ring.find(other.text)?.revoked, false);
  await assert.rejects(revokeKeys(folder, [id]), /there is no key/);
});

test('a change that could not be read is tried again, and said once', async () => {
  const { text } = await createKey(folder, { name: 'ci', scopes: ['read'] }, NOW);
  const file = new KeyFile(folder);
  let busy = false;
  const read = (): ReturnType<KeyFile['read']> =>
    busy ? Promise.reject(new Error('too many open files')) : file.read();
  const log = { info: () => undefined, error: ({ err }: { err: Error }) => void logged.push(String(err)) };
  ring = new KeyRing({ file: { path: file.path, read }, log: log as never, now: () => now });
  await ring.start();
  busy = true;
  await revokeKeys(folder, ['ci']);
  await ring.refresh();
  await ring.refresh();
  assert.deepEqual(logged, ['Error: too many open files']);
  assert.ok(ring.find(text));
  busy = false;
  await ring.refresh();
  assert.throws(() => ring.find(text), { code: 'UNAUTHORIZED' });
});

test('revoking the last key opens nothing', async () => {
  const { text } = await createKey(folder, { name: 'ci', scopes: ['admin'] }, NOW);
  await ring.start();
  assert.deepEqual(
    (await revokeKeys(folder, ['ci'])).map(({ name }) => name),
    ['ci'],
  );
  await ring.refresh();
  assert.equal(ring.configured, true);
  assert.throws(() => ring.find(text), { code: 'UNAUTHORIZED' });
});

test('a key ends when it expires', async () => {
  const { text } = await createKey(folder, { name: 'ci', scopes: ['read'], lifeMs: HOUR }, NOW);
  await ring.start();
  now = NOW + HOUR - 1;
  assert.equal(ring.find(text)?.expiresAt, NOW + HOUR);
  now = NOW + HOUR;
  assert.throws(() => ring.find(text), { code: 'UNAUTHORIZED', message: /expired/ });
});

test('a mistyped key, an unknown one and the right id with another secret are told apart as far as is safe', async () => {
  const { id, text } = await createKey(folder, { name: 'ci', scopes: ['read'] }, NOW);
  await ring.start();
  assert.equal(ring.find('another token'), undefined);
  assert.throws(() => ring.find(`${text}x`), { message: /mistyped/ });
  assert.throws(() => ring.find(newApiKey().text), { message: /not known/ });
  const file = join(folder, 'keys.json');
  await writeFile(file, (await readFile(file, 'utf8')).replace(/[0-9a-f]{64}/, 'a'.repeat(64)));
  await ring.refresh();
  assert.throws(() => ring.find(text), { message: /not known/ });
  assert.ok(text.includes(id));
});

test('keys that are made at once are all there', async () => {
  const names = Array.from({ length: 8 }, (_, at) => `k${at}`);
  await Promise.all(names.map((name) => createKey(folder, { name, scopes: ['read'] }, NOW)));
  assert.deepEqual((await listKeys(folder)).map(({ name }) => name).sort(), names);
});

test('one of two keys of the same name is refused, also at once', async () => {
  const both = await Promise.allSettled(['a', 'a'].map((name) => createKey(folder, { name, scopes: ['read'] }, NOW)));
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
});

test('a list shows what each key is good for, and no secret', async () => {
  const { id, text } = await createKey(folder, { name: 'ci', scopes: ['ingest'], tasks: ['b-*'], lifeMs: HOUR }, NOW);
  const table = keyTable(await listKeys(folder), NOW);
  assert.match(table, new RegExp(`^${id} +ci +ingest +b-\\* +2026-01-02 +2026-01-02T01:00$`, 'm'));
  assert.match(keyTable(await listKeys(folder), NOW + HOUR), / expired$/m);
  assert.ok(!JSON.stringify(await listKeys(folder)).includes(text));
  assert.ok(!/[0-9a-f]{64}/.test(JSON.stringify(await listKeys(folder))));
});

const impossible: [string, Partial<Parameters<typeof createKey>[1]>, RegExp][] = [
  ['no name', { name: '' }, /name/],
  ['a name with a newline', { name: 'a\nb' }, /name/],
  ['a long name', { name: 'x'.repeat(101) }, /name/],
  ['an unknown scope', { scopes: ['write'] }, /scopes/],
  ['no scope', { scopes: [] }, /scopes/],
  ['an empty pattern', { tasks: [''] }, /tasks/],
  ['a thousand patterns', { tasks: Array.from({ length: 1000 }, () => 'x') }, /tasks/],
  ['an end beyond all calendars', { lifeMs: 9e15 }, /expiresAt/],
];
for (const [what, wrong, message] of impossible) {
  test(`no key is made with ${what}`, async () => {
    await assert.rejects(createKey(folder, { name: 'n', scopes: ['read'], ...wrong }, NOW), message);
    assert.deepEqual(await listKeys(folder), []);
  });
}

for (const [what, text] of [
  ['no JSON', '{'],
  ['another version', '{"version":2,"keys":[]}'],
  ['a key without a hash', '{"version":1,"keys":[{"id":"0123456789"}]}'],
  ['more than keys', '{"version":1,"keys":[],"x":1}'],
]) {
  test(`a relay does not start with a file of keys that is ${what}`, async () => {
    await writeFile(join(folder, 'keys.json'), text);
    await assert.rejects(ring.start(), /API keys in .*keys\.json can't be read/);
    await assert.rejects(createKey(folder, { name: 'n', scopes: ['read'] }, NOW), /keys\.json/);
    assert.equal(await readFile(join(folder, 'keys.json'), 'utf8'), text, 'and it stays as it is');
  });
}

test('a file of keys that may not be read stops the relay, instead of opening it', async (t) => {
  if (process.getuid?.() === 0) {
    t.skip('root may read everything');
    return;
  }
  await createKey(folder, { name: 'n', scopes: ['read'] }, NOW);
  await chmod(join(folder, 'keys.json'), 0);
  await assert.rejects(ring.start(), /EACCES/);
});
