import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { Compressor } from './compressor.ts';

function compressorOf(t: TestContext): (raw: Buffer) => Promise<{ text: Buffer; place: [ArrayBufferLike, number] }> {
  const compressor = new Compressor();
  t.after(() => compressor.close());
  return (raw) =>
    new Promise((resolve, reject) => {
      compressor.compress(raw, (error, body) => {
        if (error) reject(error);
        else resolve({ text: zstdDecompressSync(body), place: [body.buffer, body.byteOffset] });
      });
    });
}

test('each body becomes a frame of its own, whatever its size', async (t) => {
  const compress = compressorOf(t);
  for (const bytes of [1, 30_000, 500_000, 64 * 1024, 200_000, 0xffff, 10]) {
    const raw = randomBytes(bytes);
    assert.deepEqual((await compress(raw)).text, raw);
  }
});

test('bodies take the place of those before, which nobody looks at any more', async (t) => {
  const compress = compressorOf(t);
  const places = [];
  for (let i = 0; i < 5; i++) places.push((await compress(randomBytes(30_000))).place);
  for (const [buffer, offset] of places) {
    assert.equal(buffer, places[0][0]);
    assert.equal(offset, 0);
  }
});
