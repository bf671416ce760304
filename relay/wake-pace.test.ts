import assert from 'node:assert/strict';
import test from 'node:test';
import { WakePace } from './wake-pace.ts';

test('the first wake is immediate', () => {
  assert.equal(new WakePace().wait(0), 0);
});

for (const { readers, took, next } of [
  { readers: 'few', took: 0.1, next: 5 },
  { readers: 'some', took: 2, next: 5 },
  { readers: 'many', took: 8, next: 20 },
  { readers: 'too many', took: 40, next: 25 },
]) {
  test(`${readers} readers, whose wake took ${took} ms, are woken again ${next} ms after it began`, () => {
    const pace = new WakePace();
    pace.woke(100, 100 + took);
    assert.equal(100 + took + pace.wait(100 + took), Math.max(100 + next, 100 + took));
    assert.equal(pace.wait(100 + next), 0);
  });
}

test('a wake that was quick ends the pause that a slow one has made', () => {
  const pace = new WakePace();
  pace.woke(0, 20);
  pace.woke(25, 25.1);
  assert.equal(pace.wait(30), 0);
});
