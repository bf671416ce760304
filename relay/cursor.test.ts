import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { encodeLines } from '../shared/columns.ts';
import { KIND_MORE } from '../shared/line.ts';
import type { Batch, EndEvent, ReadEvent } from './cursor.ts';
import { compileFilter, type FilterSpec } from './filter.ts';
import { openReading, TestRun, until, type Reading } from './reading.fixture.ts';
import type { FollowOptions } from './reader.ts';
import { openSqliteStore } from './store/sqlite.ts';

/** An event in a few characters: `3 text`, `gap 4-5 dropped`, `end failed 1`. */
function show(event: ReadEvent): string[] {
  if (event.type === 'gap') return [`gap ${event.fromLine}-${event.toLine} ${event.reason}`];
  if (event.type === 'end') return [`end ${event.task.status} ${event.task.exitCode}`];
  const lines = event.block.lines();
  assert.ok(lines);
  const indices = event.matches ?? Array.from({ length: event.end - event.first }, (_, i) => event.first + i);
  return Array.from(
    indices,
    (i) => `${event.block.firstLine + i} ${lines.text.toString('utf8', lines.starts[i], lines.starts[i + 1] - 1)}`,
  );
}

/** Follows in the background and keeps what came. */
class Follower {
  readonly seen: string[] = [];
  nextLine = 0;
  readonly ended: Promise<void>;
  readonly #abort = new AbortController();

  constructor(reading: Reading, task: string, options: Partial<FollowOptions> & { spec?: FilterSpec } = {}) {
    const { spec, ...rest } = options;
    const following = reading.reader.follow(task, {
      from: 1,
      filter: compileFilter(spec),
      signal: this.#abort.signal,
      ...rest,
    });
    this.ended = this.#follow(following);
  }

  async #follow(following: AsyncGenerator<Batch>): Promise<void> {
    try {
      for await (const batch of following) {
        for (const event of batch.events) this.seen.push(...show(event));
        this.nextLine = batch.nextLine;
      }
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error;
    }
  }

  saw(count: number): Promise<void> {
    return until(() => this.seen.length >= count);
  }

  async stop(): Promise<string[]> {
    this.#abort.abort();
    await this.ended;
    return this.seen;
  }
}

test('a follower of a task that does not exist yet gets its lines, gaps and end', async (t) => {
  const reading = await openReading(t);
  const follower = new Follower(reading, 't');
  await turn();
  const run = await new TestRun(reading, 't').open();
  await run.write('one', 'two');
  await follower.saw(2);
  await run.gap(3);
  await run.write('six');
  await follower.saw(4);
  await run.end(7);
  await follower.saw(5);
  assert.deepEqual(await follower.stop(), ['1 one', '2 two', 'gap 3-5 dropped', '6 six', 'end failed 7']);
});

test('history comes as live lines do, from any line on', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  for (let i = 1; i <= 9; i += 3) await run.write(`${i}`, `${i + 1}`, `${i + 2}`);
  await run.gap(2, 'agent-died');
  for (const from of [1, 2, 5, 9, 10, 11, 12, 20]) {
    const follower = new Follower(reading, 't', { from, untilHead: true });
    await follower.ended;
    const lines = [1, 2, 3, 4, 5, 6, 7, 8, 9].filter((line) => line >= from).map((line) => `${line} ${line}`);
    const gap = from <= 11 ? [`gap ${Math.max(from, 10)}-11 agent-died`] : [];
    assert.deepEqual(follower.seen, [...lines, ...gap], `from ${from}`);
  }
});

test('a cursor past the head waits until its line is there', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  await run.write('one');
  const ahead = new Follower(reading, 't', { from: 4 });
  const other = new Follower(reading, 't');
  await other.saw(1);
  for (const text of ['two', 'three', 'four']) await run.write(text);
  await ahead.saw(1);
  await other.saw(4);
  assert.deepEqual(await ahead.stop(), ['4 four']);
  assert.deepEqual(await other.stop(), ['1 one', '2 two', '3 three', '4 four']);
});

test('a follower sees what another handle appends', async (t) => {
  const reading = await openReading(t);
  const other = await openSqliteStore({ path: reading.path });
  t.after(() => other.close());
  const here = await new TestRun(reading, 't').open();
  const there = await new TestRun({ store: other }, 't').open();
  const follower = new Follower(reading, 't');
  const written: string[] = [];
  for (let i = 0; i < 20; i++) {
    await (i % 3 === 0 ? there : here).write(`line ${i}`);
    written.push(`${i + 1} line ${i}`);
    if (i % 5 === 0) await follower.saw(i);
  }
  await follower.saw(20);
  assert.deepEqual(await follower.stop(), written);
});

test('the end is told once, and again after another run', async (t) => {
  const reading = await openReading(t);
  const follower = new Follower(reading, 't');
  const first = await new TestRun(reading, 't').open();
  await first.write('one');
  await first.end(1);
  await follower.saw(2);
  const second = await new TestRun(reading, 't').open();
  await second.write('two');
  await second.end(0);
  await follower.saw(4);
  assert.deepEqual(await follower.stop(), ['1 one', 'end failed 1', '2 two', 'end succeeded 0']);
});

test('with expectRuns the end waits for so many runs', async (t) => {
  const reading = await openReading(t);
  const follower = new Follower(reading, 't', { expectRuns: 2 });
  for (const text of ['one', 'two']) {
    const run = await new TestRun(reading, 't').open();
    await run.write(text);
    await run.end();
  }
  await follower.saw(3);
  assert.deepEqual(await follower.stop(), ['1 one', '2 two', 'end succeeded 0']);
});

test('parallel runs end together, and a lost one is open', async (t) => {
  const reading = await openReading(t);
  const [first, second] = await Promise.all([new TestRun(reading, 't').open(), new TestRun(reading, 't').open()]);
  const follower = new Follower(reading, 't');
  await first.write('one');
  await first.end();
  await follower.saw(1);
  await reading.store.markLost(Infinity, Date.now());
  await second.open();
  await second.write('two');
  await second.end();
  await follower.saw(3);
  assert.deepEqual(await follower.stop(), ['1 one', '2 two', 'end succeeded 0']);
});

test('a task that has ended is told so at the head of its history', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  await run.write('one');
  const open = new Follower(reading, 't', { untilHead: true });
  await open.ended;
  await run.end(3);
  const closed = new Follower(reading, 't', { untilHead: true });
  await closed.ended;
  assert.deepEqual([open.seen, closed.seen], [['1 one'], ['1 one', 'end failed 3']]);
});

test('what was trimmed is a gap', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  for (const text of ['one', 'two', 'three']) await run.write(text);
  await reading.store.trim('t', 2);
  const follower = new Follower(reading, 't', { untilHead: true });
  await follower.ended;
  assert.deepEqual(follower.seen, ['gap 1-2 trimmed', '3 three']);
});

test('a chunk that contradicts its header is a gap over exactly its lines, in memory and in the store', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  await run.write('one');
  const live = new Follower(reading, 't');
  await live.saw(1);
  await run.append(await lying(run));
  await run.write('four');
  await live.saw(3);
  const seen = ['1 one', 'gap 2-3 corrupt', '4 four'];
  assert.deepEqual(await live.stop(), seen);
  const later = new Follower(reading, 't', { untilHead: true });
  await later.ended;
  assert.deepEqual(later.seen, seen);
  const inside = new Follower(reading, 't', { untilHead: true, from: 3 });
  await inside.ended;
  assert.deepEqual(inside.seen, ['gap 3-3 corrupt', '4 four']);
});

/** Two lines whose kinds differ from the header's, with the right CRC. */
async function lying(run: TestRun): Promise<Buffer> {
  const { crc32 } = await import('node:zlib');
  const bytes = encodeLines(run.run, run.seq, [
    { time: 1, kind: 0, text: Buffer.from('a') },
    { time: 1, kind: KIND_MORE, text: Buffer.from('b') },
  ]);
  bytes[36] = 0;
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

test('under a filter the place goes on although nothing matches', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  const follower = new Follower(reading, 't', { spec: { text: ['needle'] } });
  await run.write('hay', 'hay');
  await until(() => follower.nextLine === 3);
  await run.write('hay', 'a Needle');
  await follower.saw(1);
  assert.deepEqual(await follower.stop(), ['4 a Needle']);
});

test('a reader ends behind the last line that it wants', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  await run.write('one', 'two');
  const follower = new Follower(reading, 't', { from: 2, through: 3 });
  await follower.saw(1);
  await run.write('three', 'four');
  await follower.ended;
  assert.deepEqual(follower.seen, ['2 two', '3 three']);
});

test('readers that have stopped leave nothing behind', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  const followers = [new Follower(reading, 't'), new Follower(reading, 't', { from: 50 })];
  await run.write('one');
  await followers[0].saw(1);
  assert.ok(reading.tail.bytes > 0);
  for (const follower of followers) await follower.stop();
  assert.equal(reading.tail.bytes, 0);
});

test('chunks of many lines and of long ones come whole', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  await run.write(...Array.from({ length: 60_000 }, (_, i) => (i % 7 === 0 ? '' : `${i}`)));
  await run.write('x'.repeat(200_000), 'y'.repeat(300_000), 'z');
  const follower = new Follower(reading, 't', { untilHead: true });
  await follower.ended;
  assert.equal(follower.seen.length, 60_003);
  follower.seen.forEach((line, i) => assert.ok(line.startsWith(`${i + 1} `)));
});

test('the end waits for lines that came before it', async (t) => {
  const reading = await openReading(t);
  for (let round = 0; round < 20; round++) {
    const task = `t${round}`;
    const run = await new TestRun(reading, task).open();
    const ends: EndEvent[] = [];
    const abort = new AbortController();
    let lines = 0;
    const reads = (async () => {
      for await (const { events } of reading.reader.follow(task, { from: 1, signal: abort.signal })) {
        for (const event of events) {
          if (event.type === 'lines') lines += event.end - event.first;
          if (event.type === 'end') ends.push(event);
        }
        if (ends.length > 0) return;
      }
    })();
    for (let i = 0; i < round; i++) await run.write(`${i}`);
    await run.write('last');
    await run.end();
    await reads;
    assert.equal(lines, ends[0].task.lines);
    abort.abort();
  }
});

test('readers at the same place who want the same are given the same object of what comes', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  const { signal } = new AbortController();
  const batchesOf = (options: Partial<FollowOptions> = {}): AsyncGenerator<Batch> =>
    reading.reader.follow('t', { from: 3, filter: compileFilter(), signal, ...options });
  const keeper = new Follower(reading, 't');
  await run.write('one', 'two');
  await run.write('even', 'odd');
  // From here on the lines are in memory, and nothing comes that ends what is shared.
  await keeper.saw(4);
  const alike = [batchesOf(), batchesOf(), batchesOf()];
  const other = batchesOf({ filter: compileFilter({ text: ['odd'] }) });
  const batches = await Promise.all([...alike, other].map((each) => each.next()));
  const [one, two, three, odd] = batches.map(({ value }) => value as Batch);
  assert.deepEqual(one.events.flatMap(show), ['3 even', '4 odd']);
  assert.equal(two, one);
  assert.equal(three, one);
  assert.deepEqual(odd.events.flatMap(show), ['4 odd']);
  for (const each of [...alike, other]) await each.return(undefined);
  await keeper.stop();
});

test('what was trimmed is not handed out from what was shared before', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  const keeper = new Follower(reading, 't');
  await run.write('one', 'two');
  await keeper.saw(2);
  const early = new Follower(reading, 't');
  await early.saw(2);
  await reading.reader.deleteUntil('t', Number.MAX_SAFE_INTEGER);
  const late = new Follower(reading, 't');
  await late.saw(1);
  assert.deepEqual(await late.stop(), ['gap 1-2 trimmed']);
  await Promise.all([keeper.stop(), early.stop()]);
});
