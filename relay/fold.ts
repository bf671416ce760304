/**
 * A copy of `bytes` in which A to Z are a to z and every other byte is as it was; the copy of `bytes.length` bytes may
 * be used until the next call (one buffer serves all).
 */
export function foldCase(bytes: Uint8Array): Buffer {
  if (bytes.length > scratch.length) grow(bytes.length);
  scratch.set(bytes);
  const words = scratchWords;
  const count = (bytes.length + 3) >> 2;
  // Four bytes at a time. With the high bits off, adding 0x3f sets a byte's high bit from 'A' on, adding 0x25 from
  // behind 'Z' on; what has only the first, and was ASCII, gets 0x20.
  for (let i = 0; i < count; i++) {
    const word = words[i];
    const low = word & 0x7f7f7f7f;
    const letters = ((low + 0x3f3f3f3f) & ~(low + 0x25252525) & ~word & 0x80808080) >>> 2;
    if (letters !== 0) words[i] = word | letters;
  }
  return scratch.subarray(0, bytes.length);
}

let scratch = Buffer.alloc(0);
let scratchWords = new Int32Array(0);

function grow(length: number): void {
  const buffer = new ArrayBuffer(Math.max(512 * 1024, (length + 3) & ~3));
  scratch = Buffer.from(buffer);
  scratchWords = new Int32Array(buffer);
}
