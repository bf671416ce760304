import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeFolder } from './make-folder.ts';

const folder = mkdtempSync(join(tmpdir(), 'keruta-make-folder-'));
after(() => rmSync(folder, { recursive: true }));

test('a folder is made with those above it, for the user alone, and once', () => {
  const path = join(folder, 'a/b/c');
  makeFolder(path);
  makeFolder(path);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.equal(statSync(join(folder, 'a')).mode & 0o777, 0o700);
});

test('what stands in the way is an error', () => {
  writeFileSync(join(folder, 'file'), '');
  symlinkSync(join(folder, 'nowhere'), join(folder, 'link'));
  for (const path of ['file', 'file/x', 'file/x/y', 'link', 'link/x', 'link/x/y']) {
    assert.throws(() => makeFolder(join(folder, path)), /EEXIST|ENOTDIR|ENOENT/, path);
  }
});

test('where no folder can be made, trying ends', { skip: !existsSync('/proc/self') && 'there is no /proc' }, () => {
  // In a process of its own, since what does not end can't be stopped within this one.
  const module = JSON.stringify(join(import.meta.dirname, 'make-folder.ts'));
  const program = `import { makeFolder } from ${module}; makeFolder('/proc/keruta/spool');`;
  const args = ['--input-type=module', '--eval', program];
  const { signal, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 });
  assert.equal(signal, null, 'it went on and on');
  assert.match(stderr, /ENOENT|EACCES|EPERM|EROFS/);
});
