import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileFilter } from './filter.ts';
import { placeBefore } from './place-before.ts';
import { openReading, TestRun } from './reading.fixture.ts';
import type { ScanRange } from './scan-range.ts';
import type { Scanned } from './search/scan.ts';

test('the place is found from which on so many lines match, however few or many of them lie together', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  // 20,000 lines; the first 9,000 hold an x each, of the others every hundredth.
  const hits: number[] = [];
  for (let first = 1; first <= 20_000; first += 1000) {
    const lines = Array.from({ length: 1000 }, (_, i) => {
      const hit = first + i <= 9000 || (first + i) % 100 === 0;
      if (hit) hits.push(first + i);
      return hit ? 'x' : 'o';
    });
    await run.write(...lines);
  }
  const { signal } = new AbortController();
  const filter = compileFilter({ text: ['x'] });
  for (const before of [20_001, 15_000, 9001, 5000, 2, 1]) {
    const below = hits.filter((line) => line < before);
    for (const count of [0, 1, 7, 100, 111, 5000, 9100, 50_000]) {
      const place = await reading.reader.placeBefore('t', { before, count, filter, signal });
      const wanted = count === 0 ? before : (below.at(-count) ?? 1);
      assert.equal(place, below.length < count ? 1 : wanted, `${count} before ${before}`);
    }
  }
});

test('of many small pieces only those are kept that may be needed, and the place is right', async () => {
  const { signal } = new AbortController();
  // Every line from 1 to 30,000 is a block of its own and matches; behind them none does.
  const scan = async function* ({ from, through }: ScanRange): AsyncGenerator<Scanned, void, undefined> {
    for (let line = from; line <= Math.min(through, 30_000); line++) {
      const block = { blockFirst: line, blockEnd: line + 1 };
      yield await Promise.resolve({
        events: [{ type: 'lines', ...block, first: line, count: 1, matches: undefined }],
        nextLine: line + 1,
      });
    }
  };
  const filter = compileFilter({ text: ['x'] });
  for (const count of [1, 10, 4096, 20_000]) {
    assert.equal(await placeBefore(scan, { before: 100_000, count, filter, signal }), 30_001 - count);
  }
});
