import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Answers } from './answers.ts';

const ack = { status: 'ACK' } as const;

function told(answers: Answers, max = Infinity): string[] {
  return answers.take(max).map(({ status, sequence, message }) => `${status} ${sequence} ${message}`.trim());
}

test('answers come in the order of the entries, whatever order they are found in', () => {
  const answers = new Answers();
  const first = answers.expect(2, 1);
  const second = answers.expect(1, 0);
  const third = answers.expect(1, 3);
  answers.settle(third, ack);
  answers.settle(second, { status: 'RETRY', message: 'no' });
  assert.equal(answers.ready, false);
  assert.equal(answers.awaited, 3);
  answers.settle(first, ack);
  assert.equal(answers.awaited, 0);
  assert.deepEqual(told(answers), ['ACK 1', 'ACK 2', 'RETRY 0 no', 'ACK 3']);
  assert.equal(answers.ready, false);
});

test('they can be taken a few at a time', () => {
  const answers = new Answers();
  answers.settle(answers.expect(3, 1), ack);
  answers.settle(answers.expect(2, 4), ack);
  assert.deepEqual(told(answers, 2), ['ACK 1', 'ACK 2']);
  assert.deepEqual(told(answers, 2), ['ACK 3', 'ACK 4']);
  assert.deepEqual(told(answers, 2), ['ACK 5']);
});

test('a million answers that are alike take the room of one, and none is forgotten', () => {
  const answers = new Answers();
  for (let sequence = 1; sequence < 1_000_000; sequence += 1000) answers.settle(answers.expect(1000, sequence), ack);
  assert.equal(answers.forgotten, 0);
  assert.deepEqual(told(answers, 2), ['ACK 1', 'ACK 2']);
});

test('of answers that differ, those beyond a bound are forgotten and counted, and the next ones say so by their number', () => {
  const answers = new Answers();
  for (let i = 0; i < 2000; i++) {
    answers.settle(answers.expect(1, 2 * i + 1), ack);
    answers.settle(answers.expect(1, 2 * i + 2), { status: 'RETRY', message: 'full' });
  }
  assert.equal(answers.forgotten, 4000 - 1024);
  assert.deepEqual(told(answers).slice(-1), ['RETRY 1024 full']);
  answers.settle(answers.expect(1, 4001), ack);
  assert.deepEqual(told(answers), ['ACK 4001']);
});
