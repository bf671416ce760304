import assert from 'node:assert/strict';

/** Inputs up to this size are also cut in three at every pair of places. */
const THREE_PARTS_BYTES = 24;

/**
 * Every cut gives the same result: feeds a streaming parser the input whole, cut in two at every place (empty parts
 * too), in three if it is short, and byte by byte, and compares what `feed` returns, deeply and strictly.
 * `feed` makes a new parser and gives it the parts in order. Each part is a copy in memory of its own, so that a parser
 * that reads beyond its part finds something else there.
 */
export function everyCut(input: Buffer, feed: (parts: Buffer[]) => unknown): void {
  const expected = feed(cut(input, []));
  const check = (places: number[]): void => {
    const actual = feed(cut(input, places));
    assert.deepStrictEqual(actual, expected, `cut at ${places.join(', ')}, the result is another one`);
  };
  for (let at = 0; at <= input.length; at++) check([at]);
  if (input.length <= THREE_PARTS_BYTES) {
    for (let a = 1; a < input.length; a++) for (let b = a; b < input.length; b++) check([a, b]);
  }
  check(Array.from({ length: Math.max(0, input.length - 1) }, (_, i) => i + 1));
}

/** The parts of the input between the places, which are in ascending order. */
export function cut(input: Buffer, places: readonly number[]): Buffer[] {
  const bounds = [0, ...places, input.length];
  return bounds.slice(1).map((to, i) => guarded(input.subarray(bounds[i], to)));
}

/** A copy with other bytes before and behind it, at an address that may be odd. */
function guarded(part: Buffer): Buffer {
  const memory = Buffer.alloc(part.length + 24, 0xa5);
  const at = 8 + (part.length % 8);
  part.copy(memory, at);
  return memory.subarray(at, at + part.length);
}
