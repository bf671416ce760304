import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashOf, keyIdOf, newApiKey, sameHash } from './api-key.ts';

test('a key is 73 characters that one double click selects, and no two are alike', () => {
  const [a, b] = [newApiKey(), newApiKey()];
  assert.match(a.text, /^krt_[0-9a-hjkmnp-tv-z]{69}$/);
  assert.notEqual(a.text, b.text);
  assert.notEqual(a.id, b.id);
  assert.equal(keyIdOf(a.text), a.id);
});

test('no character of a key can be mistyped or lost unnoticed', () => {
  const { text } = newApiKey();
  for (let at = 0; at < text.length; at++) {
    const other = text[at] === 'x' ? 'y' : 'x';
    assert.equal(keyIdOf(text.slice(0, at) + other + text.slice(at + 1)), undefined, `at ${at}`);
    assert.equal(keyIdOf(text.slice(0, at) + text.slice(at + 1)), undefined, `without ${at}`);
  }
  for (const wrong of ['', 'krt_', text.toUpperCase(), `${text}x`, ` ${text}`, `${text}\n`]) {
    assert.equal(keyIdOf(wrong), undefined);
  }
});

test('hashes are compared as they are, whatever their lengths', () => {
  assert.ok(sameHash(hashOf('a'), hashOf('a')));
  assert.ok(!sameHash(hashOf('a'), hashOf('b')));
  assert.ok(!sameHash(hashOf('a'), ''));
});
