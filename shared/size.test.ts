import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatSize, parseSize } from './size.ts';

const READ: [string, number | undefined][] = [
  ['64KiB', 65_536],
  ['100MB', 100_000_000],
  ['1GiB', 1_073_741_824],
  ['1.5KiB', 1536],
  ['10 MB', 10_000_000],
  ['7', 7],
  ['7B', 7],
  ['1mib', 1_048_576],
  ['', undefined],
  ['KiB', undefined],
  ['-1', undefined],
  ['64K', undefined],
  ['64Mi', undefined],
  ['64iB', undefined],
  ['1PB', undefined],
  ['0.3B', undefined],
  ['1e6', undefined],
  ['0x10', undefined],
  ['99999999TiB', undefined],
];

for (const [text, bytes] of READ) {
  test(`the size ${JSON.stringify(text)} is ${bytes === undefined ? 'refused' : `${bytes} bytes`}`, () => {
    assert.equal(parseSize(text), bytes);
  });
}

test('a size that was written is read back', () => {
  fc.assert(fc.property(fc.nat(), (bytes) => parseSize(formatSize(bytes)) === bytes));
  assert.deepEqual([0, 1024, 1000, 1536, 268_435_456].map(formatSize), ['0B', '1KiB', '1KB', '1536B', '256MiB']);
});
