import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RecordQueue, type QueuedRecord } from './delivery-queue.ts';

function record(firstSeq: number, count: number, lines = count): QueuedRecord {
  return { firstSeq, count, lines, textBytes: count, crc: firstSeq, bytes: Buffer.alloc(count) };
}

/** The same, as plainly as can be. */
class Model {
  records: QueuedRecord[] = [];
  spooledSeq = 0;
  nextSeq = 0;

  waiting(): QueuedRecord[] {
    return this.records.filter(({ firstSeq }) => firstSeq >= this.spooledSeq);
  }
}

const size = (records: QueuedRecord[]): number => records.reduce((sum, { bytes }) => sum + bytes.length + 256, 0);

test('agrees with a plain list under any sequence of calls', () => {
  const call = fc.record({
    op: fc.constantFrom('push', 'push', 'push', 'spooled', 'drop', 'shrink', 'gap'),
    n: fc.nat(50),
  });
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
      const queue = new RecordQueue();
      const model = new Model();
      for (const { op, n } of calls) {
        const picked = model.records.length === 0 ? undefined : model.records[n % model.records.length];
        if (op === 'push') {
          queue.push(record(model.nextSeq, n + 1));
          model.records.push(record(model.nextSeq, n + 1));
          model.nextSeq += n + 1;
        } else if (op === 'spooled' && picked && picked.firstSeq >= model.spooledSeq) {
          const seq = picked.firstSeq + picked.count;
          queue.spooled(seq);
          model.spooledSeq = seq;
        } else if (op === 'drop' && picked && picked.firstSeq + picked.count <= model.spooledSeq) {
          queue.dropBelow(picked.firstSeq + picked.count);
          model.records = model.records.filter(({ firstSeq }) => firstSeq > picked.firstSeq);
        } else if (op === 'shrink') {
          queue.shrinkSpooled(n * 20);
          while (size(model.records) - size(model.waiting()) > n * 20) model.records.shift();
        } else if (op === 'gap' && picked && picked.firstSeq >= model.spooledSeq) {
          const { count, lines } = queue.oldest(picked.firstSeq, queue.waitingBytes - n * 50);
          if (count === 0) continue;
          const gap = { ...record(picked.firstSeq, count, 0), bytes: Buffer.alloc(92) };
          const gone = model.records.filter(
            ({ firstSeq }) => firstSeq >= gap.firstSeq && firstSeq < gap.firstSeq + count,
          );
          assert.equal(
            lines,
            gone.reduce((sum, each) => sum + each.lines, 0),
          );
          queue.replace(gap);
          model.records.splice(model.records.indexOf(gone[0]), gone.length, gap);
        }
        assert.equal(queue.nextSeq, model.nextSeq);
        assert.equal(queue.firstSeq, model.records.at(0)?.firstSeq ?? model.nextSeq);
        assert.deepEqual([queue.bytes, queue.waitingBytes], [size(model.records), size(model.waiting())]);
        assert.deepEqual(queue.waiting(Infinity), model.waiting());
        for (const each of model.records) assert.deepEqual(queue.at(each.firstSeq), each);
      }
    }),
  );
});

test('a batch has at least one record and no more bytes than asked', () => {
  const queue = new RecordQueue();
  for (const firstSeq of [0, 10, 20]) queue.push(record(firstSeq, 10));
  const firstSeqs = (maxBytes: number): number[] => queue.waiting(maxBytes).map(({ firstSeq }) => firstSeq);
  assert.deepEqual([firstSeqs(1), firstSeqs(20), firstSeqs(29)], [[0], [0, 10], [0, 10]]);
});

test('a record that does not follow is refused', () => {
  const queue = new RecordQueue(5);
  assert.throws(() => queue.push(record(6, 1)), /6 does not follow 5/);
});
