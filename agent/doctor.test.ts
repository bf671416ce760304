import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { bad, good, printChecks, warning } from './doctor-check.ts';
import { checkSpool } from './doctor-spool.ts';

const folder = mkdtempSync(join(tmpdir(), 'keruta-doctor-'));
after(() => rmSync(folder, { recursive: true }));

test('checks are printed one a line, with what to do below what is not good', () => {
  const text = printChecks([
    good('node', 'v24.0.0'),
    warning('room', '1 MiB are free', 'make room'),
    bad('token', 'is not known', 'set KERUTA_AUTH_TOKEN'),
  ]);
  assert.equal(
    text,
    '✓ node   v24.0.0\n! room   1 MiB are free\n         → make room\n✗ token  is not known\n         → set KERUTA_AUTH_TOKEN\n',
  );
});

describe('the spool', () => {
  const states = (spoolDir: string, spoolLimitBytes = 1024) =>
    checkSpool({ spoolDir, spoolLimitBytes }).map(({ name, state }) => `${name}: ${state}`);

  test('is good where it can be written to, and nothing is left of the attempt', () => {
    const spool = join(folder, 'new/spool');
    assert.deepEqual(states(spool).slice(1), ['room: good', 'waiting: good']);
    assert.match(states(spool)[0], /^spool: (good|warning)$/);
    assert.deepEqual(readdirSync(spool), []);
  });

  test('is bad where there can be no folder', () => {
    writeFileSync(join(folder, 'file'), '');
    assert.deepEqual(states(join(folder, 'file/spool')), ['spool: bad']);
  });

  test('warns of a limit above what is free, and of what waits', () => {
    const spool = join(folder, 'full');
    mkdirSync(spool);
    writeFileSync(join(spool, `${'0'.repeat(26)}-0123abcd.spool`), 'x'.repeat(2048));
    assert.deepEqual(states(spool, Number.MAX_SAFE_INTEGER).slice(1), ['room: warning', 'waiting: warning']);
  });
});
