import assert from 'node:assert/strict';
import test from 'node:test';
import { foldCase } from './fold.ts';

test('every byte is folded as ASCII does, at every place in a word', () => {
  for (let shift = 0; shift < 4; shift++) {
    const bytes = Buffer.from(Array.from({ length: 256 + shift }, (_, i) => i & 255));
    const folded = Buffer.from(bytes.map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte)));
    assert.deepEqual(Buffer.from(foldCase(bytes.subarray(shift))), folded.subarray(shift));
  }
});

test('what is folded is left as it was', () => {
  const bytes = Buffer.from('ABC');
  assert.equal(foldCase(bytes).toString(), 'abc');
  assert.equal(bytes.toString(), 'ABC');
});

test('a text larger than any before is folded whole', () => {
  const bytes = Buffer.alloc(2 ** 20 + 3, 'Q');
  assert.ok(foldCase(bytes).equals(Buffer.alloc(bytes.length, 'q')));
});
