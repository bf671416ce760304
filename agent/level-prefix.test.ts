import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LevelPrefix } from './level-prefix.ts';

function matches(seen: string, line: string): boolean {
  const prefix = new LevelPrefix();
  const text = Buffer.from(seen, 'latin1');
  prefix.remember(text, 0, text.length, 0);
  const padded = Buffer.from(`xy${line}!`, 'latin1');
  return prefix.matches(padded, 2, padded.length);
}

describe('a line that begins as the one before', () => {
  const rows: [seen: string, line: string, matches: boolean][] = [
    ['2026-01-02 03:04:05 ', '2026-01-02 03:04:05 ', true],
    ['2026-01-02 03:04:05 ', '2037-12-31 23:59:59 ', true],
    ['2026-01-02 03:04:05 ', '2026-01-02T03:04:05 ', false],
    ['2026-01-02 ', '202:-01-02 ', false],
    ['2026-01-02 ', '202/-01-02 ', false],
    ['2026-01-02 ', '202\xb6-01-02 ', false],
    ['abcd', 'abce', false],
    ['ab:d', 'ab9d', false],
    ['a1', 'a9', true],
    ['a1', 'a', false],
    ['x'.repeat(96), 'x'.repeat(96), true],
  ];
  for (const [seen, line, expected] of rows) {
    test(`${JSON.stringify(seen)} and ${JSON.stringify(line)}: ${expected}`, () =>
      assert.strictEqual(matches(seen, line), expected));
  }
});

test('a prefix that is too long is not remembered', () => {
  const prefix = new LevelPrefix();
  const text = Buffer.from('x'.repeat(200));
  prefix.remember(text, 0, 97, 1);
  assert.strictEqual(prefix.matches(text, 0, text.length), false);
});

test('four bytes at a time say the same as one by one', () => {
  const byte = fc.oneof(fc.constantFrom(0x2f, 0x30, 0x39, 0x3a, 0xb0, 0xb9, 0x70), fc.nat({ max: 255 }));
  const bytes = fc.array(byte, { minLength: 1, maxLength: 11 }).map((array) => Buffer.from(array).toString('latin1'));
  const isDigit = (char: string) => /[0-9]/.test(char);
  const alike = (a: string, b: string) => a === b || (isDigit(a) && isDigit(b));
  fc.assert(
    fc.property(bytes, fc.array(fc.tuple(fc.nat({ max: 10 }), byte), { maxLength: 3 }), (seen, changes) => {
      const line = Buffer.from(seen, 'latin1');
      for (const [at, c] of changes) line[at % line.length] = c;
      const text = line.toString('latin1');
      assert.strictEqual(matches(seen, text), Array.from(seen, (char, i) => alike(char, text[i])).every(Boolean));
    }),
    { numRuns: 3000 },
  );
});
