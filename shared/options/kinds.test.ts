import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { choice, credential, duration, integer, labels, list, path, pattern, size, switched, text } from './kinds.ts';
import { ValueError, type Kind, type Raw } from './option.ts';

const KINDS = {
  duration: duration('1s', { min: 1 }),
  size: size('1MiB', { min: 1024 }),
  integer: integer('8080', { max: 65_535 }),
  switched: switched(),
  choice: choice(['drop', 'block']),
  text: text('NAME', 'x'),
  path: path('/x'),
  credential: credential(),
  pattern: pattern('REGEX', 'x'),
  list: list(credential(), ','),
  labels: labels(),
} satisfies Record<string, Kind<unknown>>;

describe('a value that is refused', () => {
  const rows: [kind: keyof typeof KINDS, raw: Raw, problem: string | RegExp][] = [
    ['duration', '', 'is not a duration'],
    ['duration', '-1s', 'is not a duration'],
    ['duration', '1e3', 'is not a duration'],
    ['duration', '1 week', 'is not a duration'],
    ['duration', 'Infinity', 'is not a duration'],
    ['duration', '0', 'is too small, 1ms is the least'],
    ['duration', '9007199254740992', 'is not a duration'],
    ['duration', '25d', 'is too large, 2147483647ms is the most'],
    ['duration', ['1s'], /is a list or a mapping/],
    ['duration', { a: '1s' }, /is a list or a mapping/],
    ['size', '1G', 'is not a size'],
    ['size', '0x10', 'is not a size'],
    ['size', '1023', 'is too small, 1KiB is the least'],
    ['size', '99999999TiB', 'is not a size'],
    ['integer', '1.5', 'is not a whole number'],
    ['integer', '-1', 'is not a whole number'],
    ['integer', '1_000', 'is not a whole number'],
    ['integer', '65536', 'is too large, 65535 is the most'],
    ['integer', '9'.repeat(400), 'is not a whole number'],
    ['integer', 'tcp://10.0.0.1:8080', 'is not a whole number'],
    ['switched', 'maybe', 'is neither true nor false'],
    ['switched', '2', 'is neither true nor false'],
    ['choice', 'dropp', 'is none of drop, block'],
    ['choice', '__proto__', 'is none of drop, block'],
    ['text', '', 'is empty'],
    ['text', 'a\u0000b', 'has control characters'],
    ['text', 'x'.repeat(1025), 'has 1025 characters; 1024 are allowed'],
    ['path', '~/logs', /begins with ~/],
    ['path', '/a\nb', 'has control characters'],
    ['credential', ' \n', 'is empty'],
    ['credential', 'two words', 'has characters that no HTTP header may hold'],
    ['credential', 'a\r\nX-Admin: 1', 'has characters that no HTTP header may hold'],
    ['credential', 'schlüssel', 'has characters that no HTTP header may hold'],
    ['pattern', '', 'is empty'],
    ['list', { a: 'b' }, 'is not a list'],
    ['list', ['fine', 'not fine'], 'has characters that no HTTP header may hold'],
    ['labels', 'team', 'is not of the form name=value'],
    ['labels', '=web', 'is not of the form name=value'],
    ['labels', ['a=b', ' =c'], 'has a name or value that is empty'],
    ['labels', { team: 'a\u0007b' }, 'has a name or value that has control characters'],
    ['labels', Array.from({ length: 65 }, (_, i) => `k${i}=v`), 'has 65 names; 64 are allowed'],
  ];
  for (const [kind, raw, problem] of rows) {
    test(`${kind}: ${JSON.stringify(raw).slice(0, 60)}`, () => {
      assert.throws(
        () => KINDS[kind].read(raw),
        (error: Error) => {
          assert.ok(error instanceof ValueError);
          if (typeof problem === 'string') assert.equal(error.message, problem);
          else assert.match(error.message, problem);
          return true;
        },
      );
    });
  }
});

describe('a value that is read', () => {
  const rows: [kind: keyof typeof KINDS, raw: Raw, value: unknown][] = [
    ['duration', ' 1.5 s ', 1500],
    ['duration', '90', 90_000],
    ['size', '1.5kib', 1536],
    ['size', '100MB', 100_000_000],
    ['integer', ' 080 ', 80],
    ['switched', 'YES', true],
    ['switched', 'off', false],
    ['choice', 'BLOCK', 'block'],
    ['credential', 'token\n', 'token'],
    ['list', 'a, b,,c\n', ['a', 'b', 'c']],
    ['list', [], []],
    ['labels', 'a=1,b=x=y,', { a: '1', b: 'x=y' }],
    ['labels', '', {}],
    ['labels', { __proto__: 'x', a: '' }, { a: '' }],
  ];
  for (const [kind, raw, value] of rows) {
    test(`${kind}: ${JSON.stringify(raw)}`, () => assert.deepEqual(KINDS[kind].read(raw), value));
  }
});
