import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { MarkFinder, markExpression, readMark, type Mark } from './mark.ts';

const STREAM = Buffer.from(
  'event: x\n\ndata: {"m":"INFO @@1767323045678.123#07:00001234 a"}\n@ @@1767323045679.000#00:00000000@@1767323045680.500#99:99999999',
);
const MARKS: Mark[] = [
  { time: 1767323045678.123, script: 7, number: 1234 },
  { time: 1767323045679, script: 0, number: 0 },
  { time: 1767323045680.5, script: 99, number: 99_999_999 },
];

function marksIn(parts: readonly Buffer[]): Mark[] {
  const found: Mark[] = [];
  const finder = new MarkFinder((bytes, at) => found.push(readMark(bytes, at)));
  for (const part of parts) finder.push(part);
  return found;
}

test('marks are found whole, at every cut, and byte by byte', () => {
  assert.deepEqual(marksIn([STREAM]), MARKS);
  for (let cut = 0; cut <= STREAM.length; cut++) {
    assert.deepEqual(marksIn([STREAM.subarray(0, cut), STREAM.subarray(cut)]), MARKS, `cut at ${cut}`);
  }
  assert.deepEqual(marksIn(Array.from(STREAM, (byte) => Buffer.from([byte]))), MARKS);
});

test('a mark that is not what was written is an error', () => {
  assert.throws(() => marksIn([Buffer.from('@@1767323045678.123#07:0000x234')]), /damaged/);
});

test('the expression makes a mark', () => {
  const made = runInNewContext(markExpression(7, 'n'), { performance, n: 12 }) as string;
  const [mark] = marksIn([Buffer.from(made)]);
  assert.equal(mark.script, 7);
  assert.equal(mark.number, 12);
  assert.ok(Math.abs(mark.time - Date.now()) < 60_000);
});
