import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { cut, everyCut } from '../../test/cuts.ts';
import { KeyBlocks } from './key-blocks.ts';
import { maskKeysSlowly } from './reference.ts';

function masked(parts: readonly Buffer[]): string {
  const keys = new KeyBlocks();
  return Buffer.concat([...parts.map((part) => Buffer.from(keys.push(part))), keys.end()]).toString('latin1');
}
const maskedText = (text: string) => masked([Buffer.from(text, 'latin1')]);

const RSA = generateKeyPairSync('rsa', {
  modulusLength: 1024,
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});
const EC = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: { type: 'sec1', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});

/** A key of three lines, the last of them short. */
const DIGITS = ['aB3+'.repeat(16), 'xY7/'.repeat(16), 'kQ=='];
const KEY = `-----BEGIN PRIVATE KEY-----\n${DIGITS.join('\n')}\n-----END PRIVATE KEY-----\n`;
const MASKED = '-----BEGIN PRIVATE KEY-----\n***\n***\n***\n-----END PRIVATE KEY-----\n';
const BEGIN = '-----BEGIN PRIVATE KEY-----\n';

const prefixed = (text: string, prefix: (line: number) => string) =>
  text.replaceAll(/^(?=.)/gm, () => prefix(0)).replace(/ $/gm, '');

describe('a private key is masked, its lines stay, however it is cut', () => {
  const rows: [as: string, change: (text: string) => string][] = [
    ['as it is', (text) => text],
    ['with \\r\\n', (text) => text.replaceAll('\n', '\r\n')],
    ['in JSON', (text) => JSON.stringify({ text, more: 1 })],
    ['in JSON in JSON', (text) => JSON.stringify(JSON.stringify([text]))],
    ['in JSON with \\r\\n', (text) => JSON.stringify(text.replaceAll('\n', '\r\n'))],
    ['in JSON that escapes slashes', (text) => JSON.stringify(text).replaceAll('/', '\\/')],
    ['in YAML', (text) => prefixed(text, () => '    ')],
    ['behind a name', (text) => prefixed(text, () => 'app-1  | ')],
    ['behind a time', (text) => prefixed(text, () => '2026-01-02T03:04:05.678Z stdout F ')],
    ['in colours', (text) => prefixed(text, () => '\x1b[1;32m')],
    ['by echo, in one line', (text) => text.replaceAll('\n', ' ')],
    ['by set -x', (text) => `+ echo '${text}'`],
    ['in source code', (text) => text.replaceAll(/^(.+)$/gm, "  '$1\\n' +")],
    ['of several lines of text', (text) => `before\n${text}behind\n`],
    ['twice', (text) => text + text],
    ['not yet at its end', (text) => text.slice(0, text.indexOf('-----END'))],
  ];
  for (const [as, change] of rows) {
    test(as, () => {
      const text = Buffer.from(change(KEY), 'latin1');
      // JSON has escaped what is in the key too.
      assert.equal(masked([text]), change(MASKED));
      everyCut(text, masked);
      assert.equal(maskKeysSlowly(text).toString('latin1'), change(MASKED));
    });
  }

  test('without any line ends', () => {
    const text = KEY.replaceAll('\n', '');
    assert.equal(maskedText(text), '-----BEGIN PRIVATE KEY-----***-----END PRIVATE KEY-----');
    everyCut(Buffer.from(text), masked);
  });

  for (const label of ['RSA', 'EC', 'DSA', 'OPENSSH', 'ENCRYPTED', 'SSH2 ENCRYPTED']) {
    test(`of the kind ${label}`, () => {
      const named = (text: string) => text.replaceAll(' PRIVATE', ` ${label} PRIVATE`);
      assert.equal(maskedText(named(KEY)), named(MASKED));
    });
  }

  for (const columns of [20, 40, 48, 64, 70, 76]) {
    test(`of lines of ${columns}`, () => {
      const lines =
        'aB3+/xY7'
          .repeat(25)
          .slice(0, 198)
          .match(new RegExp(`.{1,${columns}}`, 'g')) ?? [];
      const text = `${BEGIN}${lines.join('\n')}\n-----END PRIVATE KEY-----\n`;
      assert.equal(maskedText(text), `${BEGIN}${'***\n'.repeat(lines.length)}-----END PRIVATE KEY-----\n`);
    });
  }

  test('as OpenSSL writes them', () => {
    for (const key of [RSA.privateKey, EC.privateKey]) {
      for (const line of maskedText(key).split('\n')) assert.match(line, /^(?:\*\*\*|-----.*-----|)$/);
    }
  });

  test('with headers, of which what is long goes too', () => {
    const headers = 'Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF0123456789ABCDEF\n\n';
    const text = KEY.replace(BEGIN, BEGIN + headers);
    const expected = MASKED.replace(BEGIN, BEGIN + headers.replace(/[0-9A-F]{32}/, '***'));
    assert.equal(maskedText(text), expected);
    everyCut(Buffer.from(text), masked);
  });

  test("of PGP, with the last line's checksum", () => {
    const block = (lines: string[]) =>
      `-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n${lines.join('\n')}\n-----END PGP PRIVATE KEY BLOCK-----\n`;
    const text = block([...DIGITS, '=aB3+']);
    assert.equal(maskedText(text), block(['***', '***', '***', '***']));
    everyCut(Buffer.from(text), masked);
  });

  test('and what others print in between stays', () => {
    const [a, b, c] = DIGITS;
    const text = `${BEGIN}${a}\n10:00 INFO compiled /usr/lib/x done\n${b}\nstep 2 of 3\n\n${c}\n-----END PRIVATE KEY-----\n`;
    const expected = `${BEGIN}***\n10:00 INFO compiled /usr/lib/x done\n***\nstep 2 of 3\n\n***\n-----END PRIVATE KEY-----\n`;
    assert.equal(maskedText(text), expected);
    everyCut(Buffer.from(text), masked);
  });
});

describe('what is no private key stays', () => {
  for (const [what, text] of [
    ['a public key', RSA.publicKey],
    ['a certificate', KEY.replaceAll('PRIVATE KEY', 'CERTIFICATE')],
    ['a public key behind a key that was cut off', BEGIN + RSA.publicKey],
    ['what stands behind a key', `${BEGIN}-----END PRIVATE KEY-----\n${DIGITS.join('\n')}\n`],
    ['the end of a key', '-----END PRIVATE KEY-----\nabc\n'],
    ['a mark with other letters', KEY.replaceAll('BEGIN PRIVATE', 'begin private')],
    ['a mark of four dashes', KEY.replace('-----BEGIN', '----BEGIN').replace('KEY-----', 'KEY----')],
    ['a mark that is too long', KEY.replaceAll('BEGIN ', `BEGIN ${'X '.repeat(40)}`)],
    ['dashes', `${'-'.repeat(200)}\n----- BEGIN -----\n`],
  ]) {
    test(what, () => {
      assert.equal(maskedText(text), text);
      everyCut(Buffer.from(text.slice(0, 400)), masked);
    });
  }
});

describe('a key that does not end', () => {
  test('swallows no log', () => {
    const log = Array.from({ length: 100 }, (_, i) => `10:00:${i} INFO step ${i} of 100 done in 5 ms\n`).join('');
    assert.equal(maskedText(BEGIN + DIGITS[0] + '\n' + log), `${BEGIN}***\n${log}`);
    assert.equal(maskedText(BEGIN + log), BEGIN + log);
  });

  test('is over after eight other lines', () => {
    const [line] = DIGITS;
    assert.equal(
      maskedText(`${BEGIN}${line}\n${'- -\n'.repeat(8)}${line}\n`),
      `${BEGIN}***\n${'- -\n'.repeat(8)}***\n`,
    );
    const nine = '- -\n'.repeat(9);
    assert.equal(maskedText(`${BEGIN}${line}\n${nine}${line}\n`), `${BEGIN}***\n${nine}${line}\n`);
  });

  test('is over after 64 KiB, whatever follows', () => {
    const text = BEGIN + `${DIGITS[0]}\n`.repeat(2000);
    const out = maskedText(text);
    assert.equal(out.split('***\n').length - 1, Math.ceil(65_536 / 65));
    assert.ok(out.endsWith(`${DIGITS[0]}\n`.repeat(2000 - Math.ceil(65_536 / 65))));
  });

  test('holds no more than a word, and of an endless word nothing', () => {
    const keys = new KeyBlocks();
    let out = keys.push(Buffer.from(BEGIN)).length;
    for (let i = 0; i < 100; i++) out += keys.push(Buffer.alloc(1000, 'a')).length;
    assert.equal(out, BEGIN.length + 3);
    assert.equal(keys.holding, false);
  });

  test('does not hold a prompt', () => {
    const keys = new KeyBlocks();
    assert.equal(keys.push(Buffer.from(`${BEGIN}Really? [y/N] `)).toString(), `${BEGIN}Really? [y/N] `);
    assert.equal(keys.holding, false);
  });
});

test('blocks without a key come back as they are, and none is kept', () => {
  const keys = new KeyBlocks();
  const block = Buffer.from('line\n-----BEGIN PRIV');
  assert.equal(keys.push(block), block);
  block.fill('x');
  assert.equal(keys.push(Buffer.from('ATE KEY-----\nabcdefghijklmnopqrst\n')).toString(), 'ATE KEY-----\n***\n');
});

test('keys, parts of keys and noise, cut at random, come out as from the slow reference', () => {
  const piece = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(BEGIN, '-----BEGIN RSA PRIVATE KEY-----', '-----END X-----', KEY) },
    { weight: 4, arbitrary: fc.constantFrom(...DIGITS, 'aB3+'.repeat(5), 'x'.repeat(59), 'x'.repeat(60), '=abc') },
    {
      weight: 5,
      arbitrary: fc.constantFrom(
        '\n',
        '\r\n',
        '\\n',
        '\\\\n',
        '\\/',
        '\\',
        '\x1b[',
        ' ',
        '-',
        '-----',
        'BEGIN ',
        'END ',
        '| ',
      ),
    },
    { weight: 2, arbitrary: fc.string({ unit: fc.constantFrom(...'aN+/=nr\\ \n-:"_'.split('')), maxLength: 20 }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('- -\n'.repeat(9), '\\'.repeat(8) + '/a', '\\'.repeat(9) + '/a', BEGIN.slice(0, 9)),
    },
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 25 }).map((pieces) => Buffer.from(pieces.join(''), 'latin1')),
      fc.array(fc.nat(), { maxLength: 20 }),
      (text, cuts) => {
        const places = cuts.map((at) => at % (text.length + 1)).sort((a, b) => a - b);
        const expected = maskKeysSlowly(text).toString('latin1');
        assert.equal(masked([text]), expected);
        assert.equal(masked(cut(text, places)), expected);
        assert.equal(masked(Array.from(text, (byte) => Buffer.from([byte]))), expected);
      },
    ),
    { numRuns: 3000, seed: 20260105 },
  );
});
