import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { cut } from '../../test/cuts.ts';
import { hunt } from '../../test/fuzz/hunt.ts';
import { formsOf } from './forms.ts';
import { redactSlowly } from './reference.ts';
import { Redactor, redactText } from './redactor.ts';
import { compileSecrets } from './secrets.ts';

const MARK = '-----BEGIN RSA PRIVATE KEY-----';
const DIGITS = ['aB3+'.repeat(16), 'xY7/'.repeat(16), 'kQ=='];
const TOKENS = [
  `krt_${'aB3'.repeat(23)}`,
  `ghp_${'0aZ'.repeat(12)}`,
  `github_pat_${'a_B3'.repeat(10)}`,
  'ASIAIOSFODNN7EXAMPLE',
  'xapp-1-A012-ab',
  `ya29.${'a.-_'.repeat(6)}`,
  `GOCSPX-${'a-_B'.repeat(7)}`,
  `glcbt-64_${'ab-3.'.repeat(4)}`,
  `pypi-AgEI${'a-B_'.repeat(9)}`,
  `dckr_pat_${'aB3-'.repeat(5)}`,
  `rk_live_${'aB3z'.repeat(4)}`,
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN-_x',
  'eyJhbGciOiJFUzI1NiJ9..AAAAAAAA',
  'https://user:pa:ss@host/',
  '://:p@',
];

/** Few letters, so that secrets overlap and contain each other; letters that encodings change; and any at all. */
const secret = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'b', '-'), minLength: 8, maxLength: 24 }),
  fc.string({ unit: fc.constantFrom(...'a/+ "\'\\<>&%=é語\u2028$`!()*~'.split('')), minLength: 8, maxLength: 30 }),
  fc.string({ unit: 'binary', minLength: 8, maxLength: 40 }),
  fc.string({ minLength: 60, maxLength: 120 }),
  fc.array(fc.string({ minLength: 6, maxLength: 12 }), { minLength: 2, maxLength: 4 }).map((lines) => lines.join('\n')),
  fc.constantFrom(...TOKENS, `${MARK}\n${DIGITS.join('\n')}`),
);

test('secrets, tokens, keys and what looks like them, cut anywhere, come out as from the slow reference', () => {
  const scenario = fc.array(secret, { maxLength: 3 }).chain((secrets) => {
    const forms = [...new Map(secrets.flatMap(formsOf).map((form) => [form.toString('latin1'), form])).values()];
    const whole = fc.oneof(
      fc.constantFrom(...TOKENS.map((token) => Buffer.from(token))),
      ...(forms.length > 0 ? [fc.constantFrom(...forms)] : []),
    );
    const piece = fc.oneof(
      { weight: 4, arbitrary: whole },
      {
        weight: 3,
        arbitrary: fc
          .tuple(whole, fc.nat(60), fc.nat(80))
          .map(([bytes, from, to]) => bytes.subarray(from % bytes.length, to)),
      },
      {
        weight: 2,
        arbitrary: fc.constantFrom(MARK, '-----END RSA PRIVATE KEY-----', ...DIGITS).map((one) => Buffer.from(one)),
      },
      {
        weight: 3,
        arbitrary: fc
          .constantFrom(
            '\n',
            '\r\n',
            '\\n',
            ' ',
            '.',
            ':',
            '@',
            '/',
            '=',
            '-',
            '\x1b[0m',
            '"',
            'eyJ',
            '://',
            'krt_',
            'a',
          )
          .map((one) => Buffer.from(one)),
      },
      {
        weight: 1,
        arbitrary: fc
          .tuple(fc.constantFrom(...'a.-b:+'.split('')), fc.nat(300))
          .map(([one, n]) => Buffer.alloc(n, one)),
      },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)) },
    );
    return fc.record({
      secrets: fc.constant(secrets),
      forms: fc.constant(forms),
      text: fc.array(piece, { maxLength: 10 }).map((pieces) => Buffer.concat(pieces)),
    });
  });
  fc.assert(
    fc.property(scenario, fc.array(fc.nat(), { maxLength: 20 }), ({ secrets, forms, text }, cuts) => {
      const compiled = compileSecrets(secrets);
      const expected = redactSlowly(text, forms).toString('latin1');
      const places = cuts.map((at) => at % (text.length + 1)).sort((a, b) => a - b);
      for (const parts of [[text], cut(text, places), Array.from(text, (byte) => Buffer.of(byte))]) {
        const redactor = new Redactor(compiled);
        const out = parts.map((part) => Buffer.from(redactor.push(part)));
        assert.equal(Buffer.concat([...out, redactor.end()]).toString('latin1'), expected);
      }
    }),
    hunt(80),
  );
});

test('however somebody writes a secret, what of it nobody else would have written does not come through', () => {
  const around = fc.string({ unit: fc.constantFrom(...'xyz 09{}[]:,\n'.split('')), maxLength: 20 });
  const value = fc.string({
    unit: fc.constantFrom(...'abcXYZ019/+ "\\<>&%=é語'.split('')),
    minLength: 12,
    maxLength: 60,
  });
  const writers: [what: string, write: (text: string) => string][] = [
    ['as it is', (text) => text],
    ['as JSON', (text) => JSON.stringify({ text })],
    ['as JSON in JSON', (text) => JSON.stringify({ text: JSON.stringify([text]) })],
    ['as a part of a URL', (text) => encodeURIComponent(text)],
    ['as a form', (text) => new URLSearchParams({ text }).toString()],
    ['as base64', (text) => Buffer.from(text).toString('base64')],
    ['as base64url', (text) => Buffer.from(text).toString('base64url')],
    ['as base64 in lines', (text) => Buffer.from(text).toString('base64').replaceAll(/.{76}/g, '$&\n')],
    ['as hexadecimal', (text) => Buffer.from(text).toString('hex')],
    ['as hexadecimal in capitals', (text) => Buffer.from(text).toString('hex').toUpperCase()],
  ];
  fc.assert(
    fc.property(fc.constantFrom(...writers), value, around, around, ([, write], given, before, behind) => {
      const own = given.trim();
      if (own.length < 8) return;
      const out = redactText(write(before + own + behind), compileSecrets([own]));
      assert.ok(out.includes('***'));
      // Of base64, up to 11 digits at a cut are not known to be the secret's alone.
      for (const window of windows(write(own).replaceAll(/\s/g, ''), 16)) {
        const elsewhere = write(before).includes(window) || write(behind).includes(window);
        assert.ok(elsewhere || !out.replaceAll(/\s/g, '').includes(window), window);
      }
    }),
    hunt(300),
  );
});

function windows(text: string, length: number): string[] {
  return Array.from({ length: Math.max(0, text.length - length + 1) }, (_, at) => text.slice(at, at + length));
}

/** A program that looked at each place of these as far as the text goes would take hours for one of them. */
describe('no text makes it slow', { timeout: 120_000 }, () => {
  const SIZE = 512 * 1024;
  const rows: [what: string, text: string][] = [
    ['beginnings of tokens', 'ghp_'],
    ['tokens that are too short', `AKIA${'A'.repeat(15)} `],
    ['headers of JWTs', 'eyJ'],
    ['headers of JWTs as long as they may be', `eyJ${'a'.repeat(8190)}`],
    ['JWTs without a body', `eyJ${'a'.repeat(8000)}.`],
    ['URLs without an end', '://a:b'],
    ['URLs with users only', '://'],
    ['names of URLs without an end', `://${'a'.repeat(5000)}`],
    ['half of a secret', 'abab-TOKE'],
    ['a secret but its last letter', `${'ab'.repeat(499)}a`],
    ['marks of keys', MARK],
    ['marks of keys that do not end', '-----BEGIN AAAA'],
    ['dashes', '-'],
    ['backslashes behind a mark', `${MARK}\n${'\\'.repeat(10_000)}`],
    ['words behind a mark', `${MARK}\n${'abc/ '.repeat(2000)}`],
    ['colours', '\x1b[1;31m'],
    ['one letter', 'a'],
    ['dots', '.'],
    ['line ends', '\n'],
    ['zeros', '\0'],
  ];
  const secrets = compileSecrets([
    'abab-TOKEN',
    'ab'.repeat(500),
    '-'.repeat(40),
    'line1xxx\nline2xxx',
    'a'.repeat(8000),
  ]);
  for (const [what, text] of rows) {
    test(what, () => {
      const whole = Buffer.from(text.repeat(Math.ceil(SIZE / text.length))).subarray(0, SIZE);
      for (const block of [SIZE, 4099]) {
        const redactor = new Redactor(secrets);
        let out = 0;
        for (let at = 0; at < SIZE; at += block) out += redactor.push(whole.subarray(at, at + block)).length;
        assert.ok(out + redactor.end().length <= SIZE);
      }
    });
  }
});
