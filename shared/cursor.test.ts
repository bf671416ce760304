import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { cursorWriter, decodeCursor, encodeCursor } from './cursor.ts';

test('a cursor is read back as it was written, whatever the length of its epoch', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9A-Z]{1,40}$/), fc.nat({ max: Number.MAX_SAFE_INTEGER }), (epoch, line) => {
      const text = encodeCursor({ epoch, line });
      assert.equal(text, Buffer.from(`${epoch}.${line}`).toString('base64url'));
      assert.equal(cursorWriter(epoch)(line), text);
      assert.deepEqual(decodeCursor(text), { epoch, line });
    }),
  );
});

for (const { text, what } of [
  { what: 'nothing', text: '' },
  { what: 'a line number', text: '42' },
  { what: 'what is not base64url', text: 'not a cursor' },
  { what: 'an epoch without a line', text: Buffer.from('EPOCH.').toString('base64url') },
  { what: 'a line without an epoch', text: Buffer.from('.7').toString('base64url') },
  { what: 'a line beyond every number', text: Buffer.from('EPOCH.9999999999999999').toString('base64url') },
  { what: 'a negative line', text: Buffer.from('EPOCH.-1').toString('base64url') },
  { what: 'a very long text', text: 'A'.repeat(10_000) },
]) {
  test(`${what} is no cursor`, () => assert.equal(decodeCursor(text), undefined));
}
