import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everyCut } from '../../../../test/cuts.ts';
import { FrameCutter, frameOf } from './frames.ts';

const MAX = 40;

const STREAMS: { what: string; bytes: Buffer; frames: string[]; within?: true }[] = [
  { what: 'nothing', bytes: Buffer.alloc(0), frames: [] },
  { what: 'one message', bytes: frameOf(Buffer.from('abc')), frames: ['abc'] },
  {
    what: 'several, an empty one among them',
    bytes: Buffer.concat([frameOf(Buffer.from('a')), frameOf(Buffer.alloc(0)), frameOf(Buffer.from('b'.repeat(MAX)))]),
    frames: ['a', '', 'b'.repeat(MAX)],
  },
  {
    what: 'one that is too large, passed over',
    bytes: Buffer.concat([frameOf(Buffer.alloc(MAX + 1)), frameOf(Buffer.from('next'))]),
    frames: ['41 bytes', 'next'],
  },
  { what: 'a compressed one', bytes: Buffer.from('0100000001ff0000000000', 'hex'), frames: ['compressed', ''] },
  { what: 'half a head', bytes: Buffer.from('000000', 'hex'), frames: [], within: true },
  { what: 'half a message', bytes: Buffer.from('00000000026162000000000463', 'hex'), frames: ['ab'], within: true },
  {
    what: 'half of one that is too large',
    bytes: Buffer.from('00ffffffff61', 'hex'),
    frames: ['4294967295 bytes'],
    within: true,
  },
];

for (const { what, bytes, frames, within = false } of STREAMS) {
  test(`cuts ${what}, however it comes`, () => {
    everyCut(bytes, (parts) => {
      const cutter = new FrameCutter(MAX);
      const found = parts.flatMap((part) =>
        Array.from(cutter.cut(part), (frame) => {
          if ('tooLarge' in frame) return `${frame.tooLarge} bytes`;
          return frame.compressed ? 'compressed' : frame.bytes.toString();
        }),
      );
      assert.deepEqual(found, frames);
      assert.equal(cutter.within, within);
      return found;
    });
  });
}

test('a long message that comes byte by byte is whole', () => {
  const text = 'x'.repeat(5000);
  const cutter = new FrameCutter(10_000);
  const frames = Array.from(frameOf(Buffer.from(text)), (byte) => [...cutter.cut(Buffer.from([byte]))]).flat();
  assert.deepEqual(frames, [{ bytes: Buffer.from(text), compressed: false }]);
});
