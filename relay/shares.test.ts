import assert from 'node:assert/strict';
import test from 'node:test';
import { Joined, Shares } from './shares.ts';

test('what was made is the same until it is cleared', () => {
  const shares = new Shares(() => undefined);
  const made = shares.get('a', () => ({}));
  assert.equal(
    shares.get('a', () => ({})),
    made,
  );
  assert.notEqual(
    shares.get('b', () => ({})),
    made,
  );
  shares.clear();
  assert.notEqual(
    shares.get('a', () => ({})),
    made,
  );
});

test('that there is nothing is remembered, too', () => {
  const shares = new Shares(() => undefined);
  let asked = 0;
  for (let i = 0; i < 3; i++)
    shares.get('a', () => {
      asked++;
    });
  assert.equal(asked, 1);
});

test('however many places readers stand at, a bounded number is kept', () => {
  const shares = new Shares(() => undefined);
  const first = shares.get('0', () => ({}));
  for (let i = 1; i < 1000; i++) shares.get(`${i}`, () => ({}));
  assert.notEqual(
    shares.get('0', () => ({})),
    first,
  );
});

test('what is made when there is no room for more is counted like all else', () => {
  let held = 0;
  const shares = new Shares((bytes) => (held += bytes));
  for (let i = 0; i < 64; i++) shares.get(`${i}`, () => undefined);
  const joined = shares.get('next', () => new Joined(shares));
  joined.of('style', () => [Buffer.from('one '), Buffer.from('two')]);
  assert.equal(held, 7);
  shares.clear();
  assert.equal(held, 0);
});

test('parts are joined once for each style, and their memory is counted until they are cleared', () => {
  let held = 0;
  const shares = new Shares((bytes) => (held += bytes));
  const joined = new Joined(shares);
  const parts = [Buffer.from('one '), Buffer.from('two')];
  assert.equal(joined.made('s'), undefined);
  const [whole, ...none] = joined.of('s', () => parts);
  assert.equal(whole.toString(), 'one two');
  assert.deepEqual(none, []);
  assert.equal(joined.of('s', () => [])[0], whole);
  assert.equal(joined.made('s')?.[0], whole);
  assert.deepEqual(
    joined.of('other', () => []),
    [],
  );
  assert.equal(held, 7);
  shares.clear();
  assert.equal(held, 0);
  joined.of('late', () => parts);
  assert.equal(held, 0);
});

test('one part, or parts that are large, are handed on as they are', () => {
  let held = 0;
  const joined = new Joined(new Shares((bytes) => (held += bytes)));
  const one = Buffer.from('one');
  assert.equal(joined.of('one', () => [one])[0], one);
  const large = [Buffer.alloc(64 * 1024), one];
  assert.equal(
    joined.of('large', () => large),
    large,
  );
  assert.equal(held, 0);
});
