import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const SCRIPT = join(import.meta.dirname, 'build.sh');
const folder = mkdtempSync(join(tmpdir(), 'keruta-build-'));
after(() => rmSync(folder, { recursive: true }));

for (const [shell, ...before] of [['/bin/sh'], ['/usr/bin/dash'], ['/bin/bash'], ['/bin/busybox', 'sh']]) {
  const skip = existsSync(shell) ? false : `there is no ${shell} on this machine`;
  test(`the example builds, and counts what it writes, under ${shell}`, { skip }, () => {
    const count = join(folder, 'count');
    const { status, stdout, stderr } = spawnSync(shell, [...before, SCRIPT], {
      encoding: 'utf8',
      maxBuffer: 16 * 1024 * 1024,
      env: {
        PATH: process.env.PATH,
        BUILD_PAUSE: '0',
        BUILD_BURST: '1000',
        BUILD_LINE_COUNT_FILE: count,
        DEPLOY_TOKEN: 'tok-1',
      },
    });
    assert.equal(status, 3);
    const lines = (text: string) => text.split('\n').length - 1;
    assert.equal(Number(readFileSync(count, 'utf8')), lines(stdout) + lines(stderr));
    assert.match(stdout, new RegExp(`^wrote ${lines(stdout) + lines(stderr)} lines$`, 'm'));
    for (const part of ['tok-1', 'ghp_', '\r', '\u001b[', 'ログ', '🙂', '\n\n']) assert.ok(stdout.includes(part), part);
    for (const part of ['warning', 'ERROR', '失敗']) assert.ok(stderr.includes(part), part);
  });
}
