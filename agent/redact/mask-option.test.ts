import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { readMask } from './mask-option.ts';

const folder = mkdtempSync(join(tmpdir(), 'keruta-mask-'));
after(() => rmSync(folder, { recursive: true }));

function file(text: string): string {
  const path = join(folder, 'secrets');
  writeFileSync(path, text);
  return `@${path}`;
}

describe('--mask', () => {
  test('takes a value as it is', () => assert.deepStrictEqual(readMask(' a b '), [' a b ']));

  test('takes a value that begins with an @ after another one', () =>
    assert.deepStrictEqual(readMask('@@home'), ['@home']));

  test('takes each line of a file that is not blank', () => {
    assert.deepStrictEqual(readMask(file('one secret\r\n\n  \ntwo\nlast')), ['one secret', 'two', 'last']);
  });
});

describe('--mask says what is wrong', () => {
  const rows: { what: string; option: () => string; message: RegExp }[] = [
    { what: 'no value', option: () => '', message: /^--mask: is empty/ },
    { what: 'no file name', option: () => '@', message: /^--mask @: names no file/ },
    {
      what: 'a file that is not there',
      option: () => '@/nowhere/at-all',
      message: /^--mask @\/nowhere\/at-all: can't be read: ENOENT/,
    },
    { what: 'a folder', option: () => `@${folder}`, message: /can't be read: EISDIR/ },
    { what: 'a file without secrets', option: () => file('\n \n'), message: /has no secrets in it/ },
    {
      what: 'a log',
      option: () => file('a line\n'.repeat(1001)),
      message: /has 1001 lines; 1000 secrets can be masked/,
    },
    { what: 'a file without end', option: () => '@/dev/zero', message: /can't be read: has more than 1048576 bytes/ },
  ];
  for (const { what, option, message } of rows) test(what, () => assert.throws(() => readMask(option()), { message }));
});
