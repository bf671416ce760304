import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeLinkFrame, LinkFrameReader } from './link-frames.ts';

const FRAMES = ['{"type":"progress"}', Buffer.alloc(0), Buffer.from([1, 2, 3]), '', Buffer.alloc(300, 7)];
const BODY = Buffer.concat(FRAMES.flatMap(encodeLinkFrame));
const EXPECTED = FRAMES.map(
  (frame) => `${typeof frame === 'string' ? 'text' : 'binary'} ${Buffer.from(frame).toString('hex')}`,
);

function read(pieces: readonly Buffer[], maxBytes = 1000): string[] {
  const reader = new LinkFrameReader(maxBytes);
  const found: string[] = [];
  for (const piece of pieces)
    for (const { kind, payload } of reader.push(piece)) found.push(`${kind} ${payload.toString('hex')}`);
  reader.end();
  return found;
}

test('the bytes are those of the diagram', () => {
  assert.equal(Buffer.concat(encodeLinkFrame('ab')).toString('hex'), '02000000' + '00' + '6162');
  assert.equal(Buffer.concat(encodeLinkFrame(Buffer.from([255]))).toString('hex'), '01000000' + '01' + 'ff');
});

test('frames are found however the body is cut', () => {
  assert.deepEqual(read([BODY]), EXPECTED);
  for (let at = 0; at <= BODY.length; at++) assert.deepEqual(read([BODY.subarray(0, at), BODY.subarray(at)]), EXPECTED);
  assert.deepEqual(read([...BODY].map((byte) => Buffer.from([byte]))), EXPECTED);
});

test('what can not be is refused, by the name of the member', () => {
  const rows: [string, RegExp][] = [
    ['ffffffff01', /^bad frame: length: is 4294967295, over 1000$/],
    ['0100000002ff', /^bad frame: kind: is 2$/],
    ['0300000001ff', /^bad frame: the body ends within it$/],
    ['03', /^bad frame: the body ends within it$/],
  ];
  for (const [hex, message] of rows) assert.throws(() => read([Buffer.from(hex, 'hex')]), { message });
});
