const NONE = new Int32Array(0);

/**
 * The bytes of a text as 32-bit words. A view has to begin at a multiple of 4 in memory: `base` says where in the text
 * it does (0 to 3). A text of fewer than 7 bytes may have no whole word and has none here.
 */
export function alignedWords(text: Buffer): { base: number; words: Int32Array } {
  if (text.length < 7) return { base: 0, words: NONE };
  const base = -text.byteOffset & 3;
  return { base, words: new Int32Array(text.buffer, text.byteOffset + base, (text.length - base) >> 2) };
}
