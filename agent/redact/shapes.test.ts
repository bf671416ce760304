import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { redactText } from './redactor.ts';
import { compileSecrets } from './secrets.ts';
import { MAX_JWT_HEADER_BYTES, SHAPES } from './shapes.ts';

const none = compileSecrets([]);

// Put together here, so that scanners of repositories do not take them for leaked ones.
const digits = (count: number): string => 'aB3dE6gH9k'.repeat(10).slice(0, count);
const tokens = [
  `krt_${digits(69).toLowerCase()}`,
  ...['ghp', 'gho', 'ghu', 'ghs', 'ghr'].map((kind) => `${kind}_${digits(36)}`),
  `github_pat_${digits(22)}_${digits(59)}`,
  ...['AKIA', 'ASIA', 'ABIA', 'ACCA'].map((kind) => `${kind}IOSFODNN7EXAMPLE`),
  ...['xoxb', 'xoxp', 'xoxa', 'xoxr', 'xoxs', 'xoxe', 'xoxc', 'xoxd', 'xapp'].map(
    (kind) => `${kind}-123456789012-${digits(24)}`,
  ),
  `AIza${digits(35)}`,
  `ya29.${digits(60)}`,
  `GOCSPX-${digits(28)}`,
  ...['glpat', 'gldt', 'glrt', 'glptt', 'glcbt'].map((kind) => `${kind}-${digits(20)}`),
  `npm_${digits(36)}`,
  `pypi-AgEI${digits(60)}`,
  `dckr_pat_${digits(27)}`,
  `sk_live_${digits(24)}`,
  `rk_live_${digits(24)}`,
  `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.${digits(43)}`,
  // Encrypted, directly: the second part is empty. Unsigned: the third is.
  `eyJhbGciOiJkaXIifQ..${digits(16)}.${digits(30)}.${digits(22)}`,
  'eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTY3ODkwIn0.',
];

describe('a token is masked as a whole', () => {
  for (const token of tokens) {
    test(token.slice(0, 14), () => {
      for (const [before, behind] of [
        ['', ''],
        ['Authorization: Bearer ', '\n'],
        ['{"token":"', '"}'],
        ['\\n\x1b[1m', '\x1b[0m'],
        ['TOKEN%20', ' and more'],
      ]) {
        assert.strictEqual(redactText(before + token + behind, none), `${before}***${behind}`);
      }
    });
  }

  test('of every shape there is', () => {
    for (const { prefix } of SHAPES)
      assert.ok(
        tokens.some((token) => token.startsWith(prefix)),
        prefix,
      );
  });
});

describe('what only looks like a token stays', () => {
  for (const text of [
    `ghp_${digits(35)}`,
    `ghp_${digits(20)} ${digits(20)}`,
    'AKIAIOSFODNN7EXAMPL',
    'akiaiosfodnn7example',
    'xoxo-hugs-and-kisses',
    'AIza is not a key',
    'npm_config_registry=https://registry.npmjs.org/ npm_package_name',
    'npm_lifecycle_script_of_the_package_that_is_long',
    'sk_live_mode and rk_live_',
    'eyJ is how base64 of JSON begins: eyJhIjoxfQ',
    'eyJhIjoxfQ== eyJpZCI6MTIzfQ.png',
    'glpat- ya29. xoxb- github_pat_',
  ]) {
    test(text, () => assert.strictEqual(redactText(text, none), text));
  }
});

test('a JWT whose header is longer than could be held is none', () => {
  const text = `eyJ${'a'.repeat(MAX_JWT_HEADER_BYTES + 1)}.eyJzdWIiOiIxMjM0In0.x`;
  assert.strictEqual(redactText(text, none), text);
});

describe('of a URL only the password is masked', () => {
  const rows: { text: string; masked: string }[] = [
    { text: 'https://user:hunter2@host/path', masked: 'https://user:***@host/path' },
    { text: 'redis://:hunter2@cache:6379/0', masked: 'redis://:***@cache:6379/0' },
    { text: 'git clone https://oauth2:x@git.example/a.git', masked: 'git clone https://oauth2:***@git.example/a.git' },
    { text: 'amqp://a:p@ss:w@rd@mq', masked: 'amqp://a:***@mq' },
    { text: 'mongodb+srv://u:p%40ss@c0,c1/db?x=y@z', masked: 'mongodb+srv://u:***@c0,c1/db?x=y@z' },
    { text: 'from http://a:b@c to http://d:e@f', masked: 'from http://a:***@c to http://d:***@f' },
    { text: 'jdbc:postgresql://u:pässwörd@h', masked: 'jdbc:postgresql://u:***@h' },
  ];
  for (const { text, masked } of rows) test(text, () => assert.strictEqual(redactText(text, none), masked));
});

describe('a URL without a password stays', () => {
  for (const text of [
    'http://localhost:8080/',
    'http://localhost:8080',
    'http://[::1]:8080/@me',
    'ssh://git@github.com:22/a/b.git',
    'http://user@host',
    'http://user:@host',
    'https://example.com/a:b@c',
    'https://example.com?q=a:b@c',
    'see http://host:80 or mail me@example.com',
    '{"url":"http://host:80","mail":"me@example.com"}',
    "<a href='http://host:80'>me@example.com</a>",
    '://',
    'a :// b: c@d',
  ]) {
    test(text, () => assert.strictEqual(redactText(text, none), text));
  }
});
