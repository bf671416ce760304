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
    { by: 'JSON in JSON', printed: 'pä$$ \\\\\\"wörd\\\\\\"/<k=1>+\\\\\\\\\'' },
    { by: "Python's json.dumps in JSON", printed: 'p\\\\u00e4$$ \\\\\\"w\\\\u00f6rd\\\\\\"/<k=1>+\\\\\\\\\'' },
    { by: 'JSON in upper-case hexadecimal', printed: 'p\\u00E4$$ \\"w\\u00F6rd\\"/<k=1>+\\\\\'' },
    { by: "Go's, in upper-case hexadecimal", printed: 'pä$$ \\"wörd\\"/\\u003Ck=1\\u003E+\\\\\'' },
    { by: ".NET's", printed: 'p\\u00E4$$ \\"w\\u00F6rd\\"/\\u003Ck=1\\u003E\\u002B\\\\\\u0027' },
    {
      by: 'a URL of nothing but escapes',
      printed: '%70%C3%A4%24%24%20%22%77%C3%B6%72%64%22%2F%3C%6B%3D%31%3E%2B%5C%27',
    },
    { by: 'xxd -p', printed: '70c3a42424202277c3b67264222f3c6b3d313e2b5c27' },
    { by: 'upper-case hexadecimal', printed: '70C3A42424202277C3B67264222F3C6B3D313E2B5C27' },
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

  const NEXT_TO_A_CUT = 3;
  test('anywhere, with anything around the secret, shows no more than three digits next to a line end', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme-ascii', minLength: 16, maxLength: 140 }).filter((text) => text.trim() === text),
        fc.uint8Array({ maxLength: 80 }),
        fc.uint8Array({ maxLength: 80 }),
        fc.constantFrom(60, 64, 76),
        (secret, before, behind, columns) => {
          const forms = formsOf(secret).map(String);
          const printed = Buffer.concat([before, Buffer.from(secret), behind]).toString('base64');
          const hidden = new Uint8Array(printed.length);
          for (let line = 0; line < printed.length; line += columns) {
            const digits = printed.slice(line, line + columns);
            for (const form of forms)
              for (let at = digits.indexOf(form); at !== -1; at = digits.indexOf(form, at + 1))
                hidden.fill(1, line + at, line + at + form.length);
          }
          const first = Math.ceil((before.length * 8) / 6);
          const last = Math.floor(((before.length + secret.length) * 8) / 6);
          const shown: number[] = [];
          for (let at = first; at < last; at++) {
            // What is left of the secret on a line of which a piece is too short shows as a whole.
            const line = at - (at % columns);
            const part = Math.min(last, line + columns) - Math.max(first, line);
            if (hidden[at] === 0 && part >= 12) shown.push(Math.min(at - line, line + columns - 1 - at));
          }
          assert.ok(
            shown.every((distance) => distance < NEXT_TO_A_CUT),
            shown.join(' '),
          );
        },
      ),
      { seed: 20260106 },
    );
  });
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
