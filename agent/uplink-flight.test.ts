import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flight } from './uplink-flight.ts';

function sent(counts: number[]): Flight {
  const flight = new Flight();
  let firstSeq = 0;
  for (const count of counts) {
    flight.push({ firstSeq, count, lines: count, textBytes: count, crc: 7 }, count);
    firstSeq += count;
  }
  return flight;
}

test('an ack covers the records that end at or below it', () => {
  const flight = sent([10, 10, 10]);
  assert.deepEqual([flight.ack(5), flight.acked.seq, flight.bytes], [false, 0, 30]);
  assert.deepEqual([flight.ack(25), flight.acked.seq, flight.bytes], [true, 20, 10]);
  assert.deepEqual([flight.ack(20), flight.acked.seq], [false, 20]);
});

test('what is sent again after a rewind comes to the same chain', () => {
  const flight = sent([10, 10, 10]);
  const { sent: before } = flight;
  assert.equal(flight.rewind(10), true);
  assert.deepEqual([flight.sent.seq, flight.bytes], [10, 10]);
  for (const firstSeq of [10, 20]) flight.push({ firstSeq, count: 10, lines: 10, textBytes: 10, crc: 7 }, 10);
  assert.deepEqual(flight.sent, before);
});

test('a rewind into a record, or below what is acknowledged, is refused', () => {
  const flight = sent([10, 10, 10]);
  flight.ack(20);
  assert.deepEqual([flight.rewind(25), flight.rewind(10), flight.sent.seq], [false, false, 30]);
  assert.deepEqual([flight.find(20)?.seq, flight.find(30)?.seq, flight.find(10)], [20, 30, undefined]);
});
