import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';

/** A tar's entries: a header of 512 bytes with name and octal size, then the content, padded to 512. */
function entries(tar: Buffer): Map<string, string> {
  const files = new Map<string, string>();
  for (let at = 0; at < tar.length && tar[at] !== 0;) {
    const name = tar.toString('latin1', at, tar.indexOf(0, at));
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8);
    files.set(name, tar.toString('utf8', at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

test('the packed stand-in for node-gyp is what lies in its folder', () => {
  const packed = entries(gunzipSync(readFileSync(join(import.meta.dirname, 'node-gyp-0.0.0.tgz'))));
  assert.deepEqual([...packed.keys()].sort(), ['package/node-gyp.cjs', 'package/package.json']);
  for (const [name, content] of packed) {
    assert.equal(
      content,
      readFileSync(join(import.meta.dirname, 'node-gyp', name.replace('package/', '')), 'utf8'),
      name,
    );
  }
});
