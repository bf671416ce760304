import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openReading, T0, TestRun } from './reading.fixture.ts';
import type { Reader } from './reader.ts';

const { signal } = new AbortController();

/** What a reader that begins now is given: line numbers, and gaps in brackets. */
async function given(reader: Reader, task: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { events } of reader.follow(task, { from: 1, untilHead: true, signal })) {
    for (const event of events) {
      if (event.type === 'gap') found.push(`[${event.fromLine}-${event.toLine} ${event.reason}]`);
      if (event.type !== 'lines') continue;
      for (let i = event.first; i < event.end; i++) found.push(String(event.block.firstLine + i));
    }
  }
  return found;
}

test('what is deleted is gone at once, also for those who begin while others have it in memory', async (t) => {
  const reading = await openReading(t);
  const { reader, tail } = reading;
  const follower = tail.open('t');
  const run = await new TestRun(reading, 't').open();
  await run.write({ text: '1', time: T0 }, { text: '2', time: T0 + 10 });
  await run.gap(1);
  await run.write({ text: '4', time: T0 + 20 }, { text: '5', time: T0 + 30 }, { text: '6', time: T0 + 15 });
  assert.deepEqual(await given(reader, 't'), ['1', '2', '[3-3 dropped]', '4', '5', '6']);
  assert.ok(follower.recent(1));

  // Line 6 is not later than that, and stands behind one that is.
  assert.equal(await reader.deleteUntil('t', T0 + 20), 3);
  assert.equal(follower.recent(1), undefined);
  assert.deepEqual(await given(reader, 't'), ['[1-4 trimmed]', '5', '6']);

  await run.write({ text: '7', time: T0 + 40 });
  assert.equal(await reader.deleteUntil('t', T0 + 20), 0);
  assert.deepEqual(await given(reader, 't'), ['[1-4 trimmed]', '5', '6', '7']);
  assert.equal(await reader.deleteUntil('t', T0 + 1000), 3);
  assert.deepEqual(await given(reader, 't'), ['[1-7 trimmed]']);
  assert.equal(await reader.deleteUntil('nobody', T0), 0);
  follower.close();
});

test('one read of the store brings no more than a few MiB, however well that was compressed', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  for (let n = 0; n < 12; n++) await run.write('x'.repeat(1_000_000));
  const stored = await reading.store.read({ from: { task: 't', line: 1 }, maxBytes: 1024 * 1024 });
  assert.equal(stored.length, 4);
  assert.equal((await given(reading.reader, 't')).length, 12);
});
