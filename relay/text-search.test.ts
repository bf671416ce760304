import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { TextSearch } from './text-search.ts';

/** Where a needle begins, found in the plainest way. */
function placesOf(needle: Uint8Array, text: Buffer): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(needle); at !== -1; at = text.indexOf(needle, at + 1)) places.push(at);
  return places;
}

function folded(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte)));
}

const text = fc.oneof(
  fc.uint8Array({ maxLength: 100 }),
  fc.array(fc.constantFrom(0x41, 0x61, 0x5a, 0x20, 0xc1), { maxLength: 200 }).map((bytes) => Uint8Array.from(bytes)),
);

test('finds every place of a needle, wherever it lies and whatever it is made of', () => {
  fc.assert(
    fc.property(text, fc.nat(), fc.integer({ min: 1, max: 40 }), (given, from, length) => {
      const bytes = Buffer.from(given);
      const start = from % (bytes.length + 1);
      const needle = Buffer.from(bytes.subarray(start, start + length));
      const search = new TextSearch(bytes);
      const places = needle.length === 0 ? [] : placesOf(needle, bytes);
      assert.deepEqual([...search.find(needle, false)], places);
      const lower = folded(needle);
      assert.deepEqual([...search.find(lower, true)], lower.length === 0 ? [] : placesOf(lower, folded(bytes)));
    }),
    { numRuns: 1000 },
  );
});

test('every byte is folded as ASCII does', () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const search = new TextSearch(all);
  for (let byte = 0; byte < 256; byte++) {
    const upper = byte >= 0x61 && byte <= 0x7a ? [byte - 0x20] : [];
    const gone = byte >= 0x41 && byte <= 0x5a;
    assert.deepEqual([...search.find(Uint8Array.of(byte), true)], gone ? [] : [...upper, byte]);
  }
});

test('finds nothing of what it had loaded before', () => {
  const search = new TextSearch(Buffer.from('a long text with a needle'));
  assert.deepEqual([...search.find(Buffer.from('needle'), false)], [19]);
  const next = new TextSearch(Buffer.from('a short text'));
  for (const needle of ['needle', 'text with', 'a needle', 'tt', 'a short text w', 'x'.repeat(1000)]) {
    assert.deepEqual([...next.find(Buffer.from(needle), false)], [], needle);
  }
  assert.deepEqual([...new TextSearch(Buffer.alloc(0)).find(Buffer.from('a'), true)], []);
});

test('finds as many places as a text has bytes, and leaves the text as it was', () => {
  const bytes = Buffer.alloc(2 ** 20 + 3, 'Q');
  const places = new TextSearch(bytes).find(Buffer.from('q'), true);
  assert.equal(places.length, bytes.length);
  assert.ok(places.every((place, index) => place === index));
  assert.ok(bytes.equals(Buffer.alloc(bytes.length, 'Q')));
});
