import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cut, everyCut } from './cuts.ts';

const length = (parts: Buffer[]): number => parts.reduce((sum, part) => sum + part.length, 0);

test('a parser that does not mind the cuts passes', () => {
  everyCut(Buffer.from('one\r\ntwo\r\n'), (parts) => Buffer.concat(parts).toString().split('\r\n'));
  everyCut(Buffer.alloc(0), length);
});

test('a parser that loses a line end cut in two is found out', () => {
  const careless = (parts: Buffer[]): number => parts.flatMap((part) => part.toString().split('\r\n').slice(1)).length;
  assert.throws(() => everyCut(Buffer.from('one\r\ntwo\r\n'), careless), /cut at 4/);
});

test('a parser that only stumbles over single bytes is found out', () => {
  assert.throws(() => everyCut(Buffer.alloc(100), (parts) => parts.length > 3), /another one/);
});

test('parts are copies that have other bytes around them', () => {
  const input = Buffer.from('abcdef');
  const parts = cut(input, [2, 2, 5]);
  assert.deepStrictEqual(parts.map(String), ['ab', '', 'cde', 'f']);
  for (const part of parts) {
    assert.notStrictEqual(part.buffer, input.buffer);
    assert.strictEqual(Buffer.from(part.buffer)[part.byteOffset + part.length], 0xa5);
  }
});
