import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formsOf } from './forms.ts';

const SECRET = 'pä$$ "wörd"/<k=1>+\\\'';

describe('a secret is known as it is printed', () => {
  const rows: { by: string; printed: string }[] = [
    { by: 'anything', printed: SECRET },
    { by: 'JSON.stringify', printed: 'pä$$ \\"wörd\\"/<k=1>+\\\\\'' },
    { by: "PHP's json_encode, without flags for Unicode", printed: 'pä$$ \\"wörd\\"\\/<k=1>+\\\\\'' },
    { by: "Python's json.dumps", printed: 'p\\u00e4$$ \\"w\\u00f6rd\\"/<k=1>+\\\\\'' },
    { by: "Go's json.Marshal", printed: 'pä$$ \\"wörd\\"/\\u003ck=1\\u003e+\\\\\'' },
    { by: 'sh -x', printed: "pä$$ \"wörd\"/<k=1>+\\'\\''" },
    { by: 'encodeURIComponent', printed: "p%C3%A4%24%24%20%22w%C3%B6rd%22%2F%3Ck%3D1%3E%2B%5C'" },
    { by: 'encodeURI', printed: "p%C3%A4$$%20%22w%C3%B6rd%22/%3Ck=1%3E+%5C'" },
    { by: 'lower-case escapes', printed: 'p%c3%a4%24%24%20%22w%c3%b6rd%22%2f%3ck%3d1%3e%2b%5c%27' },
    { by: "Python's quote", printed: 'p%C3%A4%24%24%20%22w%C3%B6rd%22/%3Ck%3D1%3E%2B%5C%27' },
    { by: 'an HTML form', printed: 'p%C3%A4%24%24+%22w%C3%B6rd%22%2F%3Ck%3D1%3E%2B%5C%27' },
    { by: 'base64', printed: 'cMOkJCQgInfDtnJkIi88az0xPitcJw==' },
    { by: 'base64url', printed: 'cMOkJCQgInfDtnJkIi88az0xPitcJw' },
  ];
  for (const { by, printed } of rows) {
    test(`by ${by}`, () => {
      const forms = formsOf(SECRET).map(String);
      assert.ok(forms.includes(printed), forms.join('\n'));
    });
  }
});

test('base64 of anything around a secret has one of its forms, and no more than a digit on either side shows', () => {
  fc.assert(
    fc.property(
      fc
        .string({ unit: 'grapheme', minLength: 8, maxLength: 60 })
        .filter((text) => formsOf(text).length > 0 && text.trim() === text),
      fc.uint8Array({ maxLength: 5 }),
      fc.uint8Array({ maxLength: 5 }),
      fc.constantFrom('base64' as const, 'base64url' as const),
      (secret, before, behind, encoding) => {
        const printed = Buffer.concat([before, Buffer.from(secret), behind]).toString(encoding);
        const bits = (before.length + Buffer.byteLength(secret)) * 8;
        const covered = formsOf(secret)
          .map((form) => ({ at: printed.indexOf(form.toString()), length: form.length }))
          .some(
            ({ at, length }) =>
              at !== -1 && at <= Math.ceil((before.length * 8) / 6) && at + length >= Math.floor(bits / 6),
          );
        assert.ok(covered, printed);
      },
    ),
    { seed: 20260104 },
  );
});

describe('base64 that is wrapped', () => {
  const secret = 'k'.repeat(50) + 'Z9'.repeat(60);
  for (const columns of [64, 76]) {
    test(`at ${columns} columns is known line by line`, () => {
      const forms = formsOf(secret).map(String);
      const printed = Buffer.from(secret).toString('base64');
      for (let at = 0; at + columns <= printed.length; at += columns)
        assert.ok(forms.includes(printed.slice(at, at + columns)));
    });
  }
});

describe('a value with several lines', () => {
  const key =
    '-----BEGIN RSA PRIVATE KEY-----\r\nMIIEowIBAAKCAQEA\r\n  indented-secret\r\nshort\r\n-----END RSA PRIVATE KEY-----\r\n';
  const forms = formsOf(key).map(String);

  test('is known by each line that is long enough', () => {
    assert.ok(forms.includes('MIIEowIBAAKCAQEA'));
    assert.ok(forms.includes('indented-secret'));
    assert.ok(!forms.includes('short'));
  });

  test('is not known by what is the same in all keys', () => {
    assert.ok(!forms.includes('-----BEGIN RSA PRIVATE KEY-----'));
  });

  test('is known as one line of JSON', () => assert.ok(forms.some((form) => form.includes('KEY-----\\r\\nMIIE'))));

  test('has no form with a newline in it', () => assert.ok(!forms.some((form) => form.includes('\n'))));
});

test('blanks around a value are no part of it, and none is left without them', () => {
  assert.ok(formsOf('  password1 \n').map(String).includes('password1'));
  assert.deepStrictEqual(formsOf('   seven77   '), []);
  assert.deepStrictEqual(formsOf(' '.repeat(20)), []);
});

test('a value that is no well-formed Unicode has forms all the same', () => {
  assert.ok(formsOf('password\ud800').length > 0);
});
