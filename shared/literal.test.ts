import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { requiredLiteral } from './literal.ts';

for (const { pattern, literal } of [
  { pattern: 'error', literal: 'error' },
  { pattern: 'took \\d+ ms', literal: 'took ' },
  { pattern: '^\\[ERROR\\] .*timeout$', literal: '[ERROR] ' },
  { pattern: 'colou?r of', literal: 'colo' },
  { pattern: 'ab+cd', literal: 'bcd' },
  { pattern: 'ab*cd', literal: 'cd' },
  { pattern: 'a{2}bc', literal: 'bc' },
  { pattern: 'x(long literal)?yz', literal: 'yz' },
  { pattern: 'one|two', literal: '' },
  { pattern: '(one|two) three', literal: ' three' },
  { pattern: '(?i)error', literal: '' },
  { pattern: '[[:alpha:]]abc[^]x]', literal: 'abc' },
  { pattern: '[a\\]b]cd', literal: 'cd' },
  { pattern: '\\x41bc', literal: '' },
  { pattern: '日本.語', literal: '日本' },
]) {
  test(`every match of ${pattern} holds ${JSON.stringify(literal)}`, () =>
    assert.equal(requiredLiteral(pattern), literal));
}

test('no line that matches is without the literal', () => {
  const unit = fc.constantFrom(
    ...'aabbcABé[](){}|*+?.^$\\,-1:d'.split(''),
    '\\d',
    '\\b',
    '[ab]',
    '(a|b)',
    '{1,2}',
    'a+',
    'é?',
  );
  fc.assert(
    fc.property(
      fc.array(unit, { maxLength: 8 }).map((units) => units.join('')),
      fc.array(fc.string({ unit: fc.constantFrom(...'abcABé[]()1 :-.,{}'.split('')), maxLength: 10 }), {
        maxLength: 20,
      }),
      (pattern, texts) => {
        let compiled: RE2JS;
        try {
          compiled = RE2JS.compile(pattern);
        } catch {
          return;
        }
        const literal = requiredLiteral(pattern);
        for (const text of texts) if (compiled.test(text)) assert.ok(text.includes(literal), `${pattern} in ${text}`);
      },
    ),
    { numRuns: 5000 },
  );
});
