import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { scriptProgram, shebang } from './script.ts';

const folder = mkdtempSync(join(tmpdir(), 'keruta-script-'));
after(() => rmSync(folder, { recursive: true }));

function script(name: string, content: string, mode: number): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

describe('a script is run', () => {
  const rows: [how: string, name: string, content: string, mode: number, program: (path: string) => string[]][] = [
    ['itself, if it may be', 'x', '#!/bin/sh\ntrue\n', 0o755, (path) => [path, 'a']],
    [
      'by its #! line, if it may not',
      'bang',
      '#!/usr/bin/env python3\n',
      0o644,
      (path) => ['/usr/bin/env', 'python3', path, 'a'],
    ],
    ['by sh without a #! line', 'plain', 'echo hi\n', 0o644, (path) => ['sh', path, 'a']],
    ['by sh even if it may be executed, as a shell would', 'bare', 'echo hi\n', 0o755, (path) => ['sh', path, 'a']],
    ['itself if it is a program', 'elf', '\x7fELF\x02\x01', 0o755, (path) => [path, 'a']],
    ['by sh when empty', 'empty', '', 0o644, (path) => ['sh', path, 'a']],
  ];
  for (const [how, name, content, mode, program] of rows) {
    test(how, () => {
      const path = script(name, content, mode);
      const { file, args } = scriptProgram(path, ['a']);
      assert.deepEqual([file, ...args], program(path));
    });
  }

  test('from the working folder when its name has no slash', () => {
    const before = process.cwd();
    process.chdir(folder);
    try {
      script('here', 'true\n', 0o644);
      assert.deepEqual(scriptProgram('here', []), { file: 'sh', args: ['./here'] });
    } finally {
      process.chdir(before);
    }
  });
});

describe('a script that can not be run says why', () => {
  test('127 if there is none', () => {
    assert.throws(() => scriptProgram(join(folder, 'none'), []), {
      name: 'ScriptError',
      exitCode: 127,
      message: /no such file/,
    });
  });
  test('127 if its folder is a file', () => {
    const path = script('file', '', 0o644);
    assert.throws(() => scriptProgram(join(path, 'x'), []), { name: 'ScriptError', message: /file/ });
  });
  test('126 if it is a folder', () => {
    mkdirSync(join(folder, 'dir'), { recursive: true });
    assert.throws(() => scriptProgram(join(folder, 'dir'), []), { exitCode: 126, message: /is a directory/ });
  });
  test('126 if it may not be read', { skip: process.getuid?.() === 0 ? 'root may read everything' : false }, () => {
    assert.throws(() => scriptProgram(script('secret', 'true\n', 0), []), { exitCode: 126, message: /can't be read/ });
  });
});

test('#! lines are split as the kernel does', () => {
  const rows: [head: string, words: string[] | undefined][] = [
    ['#!/bin/sh\n', ['/bin/sh']],
    ['#! /bin/sh -eu \nx', ['/bin/sh', '-eu']],
    ['#!/usr/bin/env -S node --flag\n', ['/usr/bin/env', '-S node --flag']],
    ['#!\n', undefined],
    ['#/bin/sh', undefined],
  ];
  for (const [head, words] of rows) assert.deepEqual(shebang(head), words, head);
});
