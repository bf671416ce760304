import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ERRORS } from '../shared/errors.ts';
import { GAP_REASONS } from '../shared/gap-reasons.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../docs/troubleshooting.md'), 'utf8');

test('every error code stands in the table, with its status, its close code and what to do, and no other', () => {
  const rows = Array.from(PAGE.matchAll(/^\| `[A-Z_]+` \| \d+ \|.*$/gm), ([row]) => row);
  const expected = Object.entries(ERRORS).map(
    ([code, { status, close, retry, hint }]) =>
      `| \`${code}\` | ${status} | ${close} | ${retry ? 'yes' : 'no'} | ${hint} |`,
  );
  assert.deepEqual(rows, expected);
});

for (const reason of GAP_REASONS) {
  test(`the gap ${reason} is explained`, () => assert.ok(PAGE.includes(`\`${reason}\``)));
}
