import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { cut, everyCut } from '../../test/cuts.ts';
import { formsOf } from './forms.ts';
import { occurrences, redactSlowly } from './reference.ts';
import { Redactor, redactText } from './redactor.ts';
import { compileSecrets, type SecretSet } from './secrets.ts';
import { MAX_JWT_HEADER_BYTES } from './shapes.ts';
import { MAX_AUTHORITY_BYTES } from './url-password.ts';

const GITHUB = `ghp_${'0aZ'.repeat(12)}`;
const AWS = 'AKIAIOSFODNN7EXAMPLE';
const SLACK = 'xoxb-1234567890-abcdef';
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN-_x';

/** The parts one after the other; the same comes out where parts have room before them, enough or too little. */
function redactParts(parts: readonly Buffer[], secrets: SecretSet): string {
  const [plain, roomy] = [0, 8].map((headroom) => {
    const redactor = new Redactor(secrets);
    const clean = parts.map((part) => Buffer.from(redactor.push(behindRoom(part, headroom), headroom)));
    return Buffer.concat([...clean, redactor.end()]).toString('latin1');
  });
  assert.strictEqual(roomy, plain);
  return plain;
}

function behindRoom(part: Buffer, headroom: number): Buffer {
  return Buffer.concat([Buffer.from('password'.slice(0, headroom)), part]).subarray(headroom);
}

test('what was held is put in front of the next block instead of copying that', () => {
  const redactor = new Redactor(compileSecrets(['password1']));
  redactor.push(Buffer.from('a line\npass'));
  const block = behindRoom(Buffer.from(' or fail\n'), 4);
  const clean = redactor.push(block, 4);
  assert.strictEqual(clean.toString(), 'pass or fail\n');
  assert.strictEqual(clean.buffer, block.buffer);
});

describe('what is masked, however it is cut', () => {
  const rows: { secrets: string[]; text: string; masked: string; why: string }[] = [
    { why: 'nothing', secrets: ['password1'], text: 'hello\nworld', masked: 'hello\nworld' },
    { why: 'a secret', secrets: ['password1'], text: 'it is password1!\n', masked: 'it is ***!\n' },
    { why: 'a secret at the very end', secrets: ['password1'], text: 'password1', masked: '***' },
    { why: 'a part of one', secrets: ['password1'], text: 'password\n1 password', masked: 'password\n1 password' },
    { why: 'self-overlapping', secrets: ['abab-TOKEN'], text: 'ababab-TOKEN abab-TOKE', masked: 'ab*** abab-TOKE' },
    { why: 'one after the other', secrets: ['aaaabbbb', 'ccccdddd'], text: 'aaaabbbbccccdddd', masked: '******' },
    { why: 'two that overlap', secrets: ['aaaabbbb', 'bbbbcccc'], text: 'x aaaabbbbcccc y', masked: 'x *** y' },
    { why: 'one that overlaps itself on and on', secrets: ['aaaaaaaa'], text: `${'a'.repeat(50)}b`, masked: '***b' },
    {
      why: 'a prefix of another',
      secrets: ['token-12', 'token-1234'],
      text: 'token-1234 token-123 ',
      masked: '*** ***3 ',
    },
    {
      why: 'inside another',
      secrets: ['xx-inner-secret-yy', 'inner-secret'],
      text: 'xx-inner-secret-yz',
      masked: 'xx-***-yz',
    },
    {
      why: 'inside another, whole',
      secrets: ['xx-inner-secret-yy', 'inner-secret'],
      text: 'xx-inner-secret-yy',
      masked: '***',
    },
    {
      why: 'each line of a value',
      secrets: ['first-line\nsecond-line'],
      text: 'first-line\nsecond-line\n',
      masked: '***\n***\n',
    },
    { why: 'a known shape', secrets: [], text: `t=${GITHUB};`, masked: 't=***;' },
    { why: 'a colour before a token', secrets: [], text: `\x1b[32m${AWS}\x1b[0m`, masked: '\x1b[32m***\x1b[0m' },
    { why: 'a JWT with more behind it', secrets: [], text: `${JWT}, ${JWT}`, masked: '***, ***' },
    {
      why: 'the password of a URL',
      secrets: [],
      text: 'postgres://me:p@ss:w@db:5432/x',
      masked: 'postgres://me:***@db:5432/x',
    },
    { why: 'the end of a token is part of a secret', secrets: ['abcdef-END'], text: `${SLACK}-END.`, masked: '***.' },
    { why: 'a secret that goes on behind a token', secrets: ['7EXAMPLE#rest'], text: `${AWS}#rest.`, masked: '***.' },
    {
      why: 'bytes that are no UTF-8',
      secrets: ['password1'],
      text: '\xff\xfepassword1\xc3',
      masked: '\xff\xfe***\xc3',
    },
  ];
  for (const { why, secrets, text, masked } of rows) {
    test(why, () => {
      const compiled = compileSecrets(secrets);
      everyCut(Buffer.from(text, 'latin1'), (parts) => redactParts(parts, compiled));
      assert.strictEqual(redactParts([Buffer.from(text, 'latin1')], compiled), masked);
    });
  }
});

describe('blocks', () => {
  const secrets = compileSecrets(['password1']);

  test('come back as they are when there is nothing to mask', () => {
    const block = Buffer.from('line\nand line\n');
    assert.strictEqual(new Redactor(secrets).push(block).buffer, block.buffer);
  });

  test('are not kept: the caller may use them again', () => {
    const redactor = new Redactor(secrets);
    const block = Buffer.from('my pass');
    const before = redactor.push(block).toString();
    block.fill('x');
    assert.strictEqual(before + redactor.push(Buffer.from('age')).toString() + redactor.end().toString(), 'my passage');
  });

  test('that end with whole lines are not held at all', () => {
    const redactor = new Redactor(secrets);
    redactor.push(Buffer.from('pass\npasswor\n'));
    assert.strictEqual(redactor.holding, false);
  });
});

describe('release', () => {
  const secrets = compileSecrets(['password1']);

  test('lets a prompt go, but of a possible secret no more than 3 bytes', () => {
    const redactor = new Redactor(secrets);
    assert.strictEqual(redactor.push(Buffer.from('Enter p')).toString(), 'Enter ');
    assert.strictEqual(redactor.holding, true);
    assert.strictEqual(redactor.release().toString(), 'p');
    assert.strictEqual(redactor.holding, false);
    assert.strictEqual(redactor.push(Buffer.from('asswo')).toString(), '');
    assert.strictEqual(redactor.release().toString(), 'as');
    assert.strictEqual(redactor.release().toString(), '');
    assert.strictEqual(redactor.push(Buffer.from('rd: ')).toString(), 'sword: ');
  });

  test('is not needed for a secret that is known, even if it may be the beginning of a longer one', () => {
    const redactor = new Redactor(compileSecrets(['token-12', 'token-1234']));
    assert.strictEqual(redactor.push(Buffer.from('a token-12')).toString(), 'a ***');
    assert.strictEqual(redactor.push(Buffer.from('34.')).toString(), '.');
  });

  test('masks the rest of a secret whose beginning was let go', () => {
    const redactor = new Redactor(secrets);
    let out = '';
    for (const byte of Buffer.from('password1.')) {
      out += redactor.push(Buffer.from([byte])).toString() + redactor.release().toString();
    }
    assert.strictEqual(out + redactor.end().toString(), 'pas***.');
  });

  test('shows a URL as it is typed, but not its password', () => {
    const redactor = new Redactor(secrets);
    let out = '';
    for (const byte of Buffer.from('at https://ci:hunter22@host')) {
      out += redactor.push(Buffer.from([byte])).toString() + redactor.release().toString();
    }
    assert.strictEqual(out, 'at https://ci:hun***');
    assert.strictEqual(redactor.push(Buffer.from('/')).toString(), '@host/');
  });
});

describe('a line without an end flows', () => {
  const secrets = compileSecrets(['password1']);
  const PUSHES = 20;

  const rows: { text: string; held: number }[] = [
    { text: 'o', held: 0 },
    { text: 'a.b:', held: 0 },
    { text: 'passwordpassword', held: 'password'.length },
    { text: 'eyJ', held: MAX_JWT_HEADER_BYTES + 12 },
    { text: '://u:p', held: MAX_AUTHORITY_BYTES },
    { text: '://', held: MAX_AUTHORITY_BYTES },
  ];
  for (const { text, held } of rows) {
    test(`with at most ${held} bytes held of ${text.slice(0, 20)}…`, () => {
      const redactor = new Redactor(secrets);
      const block = Buffer.from(text.repeat(Math.ceil(20_000 / text.length)));
      let waiting = 0;
      for (let i = 0; i < PUSHES; i++) {
        waiting += block.length - redactor.push(block).length;
        assert.ok(waiting <= held, `${waiting} bytes are held`);
      }
      assert.strictEqual(redactor.end().length, waiting);
    });
  }

  const masked: { text: string; masks: number; of: string }[] = [
    { text: `${JWT}.`, masks: 1, of: 'a token that goes on' },
    { text: 'password1', masks: 1000 * PUSHES, of: 'secrets side by side' },
  ];
  for (const { text, masks, of } of masked) {
    test(`when it is made of ${of}`, () => {
      const redactor = new Redactor(secrets);
      const block = Buffer.from(text.repeat(1000));
      const out = Array.from({ length: PUSHES }, () => redactor.push(block).toString());
      assert.strictEqual(out.join('') + redactor.end().toString(), '***'.repeat(masks));
    });
  }
});

test('a token of any length is one mask', () => {
  const secrets = compileSecrets([]);
  const redactor = new Redactor(secrets);
  let out = redactor.push(Buffer.from('a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In')).toString();
  for (let i = 0; i < 100; i++) out += redactor.push(Buffer.alloc(1000, 'x')).toString();
  out += redactor.push(Buffer.from(' b')).toString();
  assert.strictEqual(out + redactor.end().toString(), 'a *** b');
});

test('a text that is there as a whole is masked as a whole', () => {
  const secrets = compileSecrets(['geheimnis-ü']);
  assert.strictEqual(
    redactText('curl -H "x: geheimnis-ü" ünd\npart geheim', secrets),
    'curl -H "x: ***" ünd\npart geheim',
  );
});

describe('like the slow reference', () => {
  // Few letters, so that secrets overlap, repeat and contain each other.
  const adversarial = fc.string({ unit: fc.constantFrom('a', 'b', '-'), minLength: 8, maxLength: 20 });
  const ordinary = fc.string({ unit: 'grapheme', minLength: 8, maxLength: 40 });
  const tokens = fc.constantFrom(
    GITHUB,
    AWS,
    SLACK,
    JWT,
    `npm_${'aB3'.repeat(12)}`,
    `glpat-${'ab-3'.repeat(6)}`,
    `AIza${'a-_B3'.repeat(7)}`,
    'https://user:pa@s:s@host/path',
    'ftp://u:secret@h',
    '://a@b:80/',
    'eyJeyJeyJ.eyJ',
    'ghp_gho_',
  );
  const scenario = fc
    .record({
      secrets: fc.array(fc.oneof({ weight: 3, arbitrary: adversarial }, ordinary), { minLength: 0, maxLength: 4 }),
      noise: fc.array(fc.nat(255), { maxLength: 60 }),
    })
    .chain(({ secrets, noise }) => {
      const forms = [...new Map(secrets.flatMap(formsOf).map((form) => [form.toString('latin1'), form])).values()];
      const whole = fc.oneof(
        tokens.map((token) => Buffer.from(token)),
        ...(forms.length > 0 ? [fc.constantFrom(...forms)] : []),
      );
      const piece = fc.oneof(
        { weight: 3, arbitrary: whole },
        {
          weight: 3,
          arbitrary: fc
            .tuple(whole, fc.nat(40), fc.nat(40))
            .map(([bytes, from, to]) => bytes.subarray(from % bytes.length, to)),
        },
        {
          weight: 2,
          arbitrary: fc
            .constantFrom('a', 'b', '-', 'ab', ' ', '\n', '.', ':', '@', '/', '\r\n')
            .map((text) => Buffer.from(text)),
        },
        { weight: 1, arbitrary: fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)) },
      );
      return fc.record({
        secrets: fc.constant(secrets),
        forms: fc.constant(forms),
        text: fc.array(piece, { maxLength: 12 }).map((pieces) => Buffer.concat(pieces)),
        cuts: fc.constant(noise),
      });
    });
  const places = (cuts: readonly number[], text: Buffer): number[] =>
    cuts.map((at) => at % (text.length + 1)).sort((a, b) => a - b);

  test('whole and cut at random', () => {
    fc.assert(
      fc.property(scenario, ({ secrets, forms, text, cuts }) => {
        const compiled = compileSecrets(secrets);
        const expected = redactSlowly(text, forms).toString('latin1');
        assert.strictEqual(redactParts([text], compiled), expected);
        assert.strictEqual(redactParts(cut(text, places(cuts, text)), compiled), expected);
        assert.strictEqual(
          redactParts(
            cut(
              text,
              Array.from({ length: text.length }, (_, i) => i),
            ),
            compiled,
          ),
          expected,
        );
      }),
      { numRuns: 1500, seed: 20260102 },
    );
  });

  test('with releases at random moments no more than the first 3 bytes of a secret appear', () => {
    fc.assert(
      fc.property(
        scenario,
        fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }),
        ({ secrets, forms, text, cuts }, releases) => {
          // A star of its own would look like a mask.
          for (let i = 0; i < text.length; i++) if (text[i] === 0x2a) text[i] = 0x2b;
          const redactor = new Redactor(compileSecrets(secrets));
          const out: Buffer[] = [];
          cut(text, places([...cuts, ...cuts.map((at) => at + 1)], text)).forEach((part, i) => {
            out.push(Buffer.from(redactor.push(part)));
            if (releases[i % releases.length]) out.push(Buffer.from(redactor.release()));
          });
          out.push(redactor.end());
          assertHidden(text, forms, Buffer.concat(out).toString('latin1'));
        },
      ),
      { numRuns: 3000, seed: 20260103 },
    );
  });
});

/**
 * Follows the output along the text: a byte stands for itself, `***` for one or more bytes of secrets. A byte that is
 * in no secret must appear; one that is behind the third of some secret must not.
 */
function assertHidden(text: Buffer, forms: readonly Buffer[], output: string): void {
  const covered = new Uint8Array(text.length);
  const hidden = new Uint8Array(text.length);
  for (const { start, end } of occurrences(text, forms)) {
    covered.fill(1, start, end);
    if (end > start + 3) hidden.fill(1, start + 3, end);
  }
  let at = new Set([0]);
  for (const token of output.match(/\*\*\*|[^]/g) ?? []) {
    const next = new Set<number>();
    for (const place of at) {
      if (token !== '***') {
        if (place < text.length && text[place] === token.charCodeAt(0) && hidden[place] === 0) next.add(place + 1);
        continue;
      }
      for (let to = place; to < text.length && covered[to] === 1; to++) next.add(to + 1);
    }
    at = next;
    if (at.size === 0) break;
  }
  assert.ok(at.has(text.length), `${JSON.stringify(text.toString('latin1'))} came out as ${JSON.stringify(output)}`);
}
