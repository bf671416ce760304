import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { encodeLines } from '../../shared/columns.ts';
import { CHUNK_HEADER_BYTES } from '../../shared/chunk.ts';
import { kindOf } from '../../shared/line.ts';
import { newUlid } from '../../shared/ulid.ts';
import { bytesOf, ownSegment } from '../block.ts';
import { openReading } from '../reading.fixture.ts';
import type { StoredChunk, Walk, Walked } from '../store/store.ts';
import { KnownTasks } from './known-tasks.ts';
import { MergedTail } from './merged-tail.ts';
import { Follower, mergedOf, openMerged } from './merged.fixture.ts';

const RUN = newUlid(1);

/** A chunk of one line as it was appended. */
function chunkAt(position: number, { task = 't', bytes = 8 } = {}): StoredChunk {
  const chunk = encodeLines(RUN, position, [{ time: 1, kind: kindOf('stdout', 'INFO'), text: randomBytes(bytes) }]);
  const [header, body] = [chunk.subarray(0, CHUNK_HEADER_BYTES), chunk.subarray(CHUNK_HEADER_BYTES)];
  return { kind: 'chunk', task, run: RUN, firstLine: position + 1, position, count: 1, header, body };
}

/** A tail over tasks that say of themselves which pipeline they are of: what stands before a slash. */
function openTail(walk: (walk: Walk) => Promise<Walked>, maxBytes?: number): { tail: MergedTail; facts: KnownTasks } {
  const store = {
    walk,
    change: () => Promise.resolve(1),
    task: (task: string) => Promise.resolve({ pipelineId: task.split('/')[0], labels: {} } as never),
  };
  const facts = new KnownTasks({ store });
  return { tail: new MergedTail({ store, facts, ...(maxBytes !== undefined && { maxBytes }) }), facts };
}

const nothing = (): Promise<Walked> => Promise.reject(new Error('nothing is to be read here'));

const positionsFrom = async (tail: MergedTail, position: number): Promise<number[] | undefined> =>
  (await tail.recent(position))?.segments.map((segment) => segment.position);

test('keeps nothing while nobody reads, and lets go of all when the last one leaves', async () => {
  const { tail } = openTail(nothing);
  tail.stored(chunkAt(0));
  assert.equal(tail.end, undefined);
  const [close, closeOther] = [tail.open(), tail.open()];
  tail.stored(chunkAt(1));
  assert.equal(tail.end, 2);
  close();
  close();
  assert.deepEqual(await positionsFrom(tail, 1), [1]);
  closeOther();
  assert.equal(tail.bytes, 0);
  assert.equal(await tail.recent(1), undefined);
});

for (const [what, told, expected] of [
  ['in order', [0, 1, 2, 3], [0, 1, 2, 3]],
  ['the other way round', [0, 3, 2, 1], [0, 1, 2, 3]],
  ['twice', [0, 1, 1, 0, 2, 2], [0, 1, 2]],
  ['with one still on its way', [0, 1, 3, 4], [0, 1]],
] as const) {
  test(`serves an unbroken range of appends that were told ${what}`, async () => {
    const { tail } = openTail(nothing);
    tail.open();
    for (const position of told) tail.stored(chunkAt(position));
    assert.deepEqual(await positionsFrom(tail, 0), expected);
    assert.equal(tail.end, expected.length);
    assert.equal(await tail.recent(expected.length), undefined);
  });
}

test('gives up waiting for what others have appended, and goes on behind it', async () => {
  const { tail } = openTail(nothing);
  tail.open();
  tail.stored(chunkAt(0));
  for (let position = 2; position < 1500; position++) tail.stored(chunkAt(position));
  assert.equal(await tail.recent(0), undefined);
  assert.equal((await positionsFrom(tail, 2))?.at(0), 2);
  assert.equal(tail.end, 1500);
});

test('keeps little of what came before its turn, if that is large', async () => {
  const { tail } = openTail(nothing);
  tail.open();
  tail.stored(chunkAt(0));
  for (let position = 2; position < 40; position++) tail.stored(chunkAt(position, { bytes: 1_000_000 }));
  assert.equal((await positionsFrom(tail, 2))?.at(0), 2);
  // What is counted is let go of as well: as much has room again.
  for (let position = 41; position < 57; position++) tail.stored(chunkAt(position, { bytes: 1_000_000 }));
  assert.equal(tail.end, 40);
  tail.stored(chunkAt(40));
  assert.equal(tail.end, 57);
});

test('what was trimmed before its turn had come is not handed out', async () => {
  const { tail } = openTail(nothing);
  tail.open();
  tail.stored(chunkAt(0, { task: 'u' }));
  tail.stored(chunkAt(2));
  tail.forget('t', 3);
  tail.stored(chunkAt(1, { task: 'u' }));
  assert.deepEqual(await positionsFrom(tail, 1), [1]);
});

test('holds no more than its limit, the newest whatever its size, and counts what it holds', async () => {
  const { tail } = openTail(nothing, 50_000);
  tail.open();
  for (let position = 0; position < 100; position++) {
    tail.stored(chunkAt(position, { bytes: 3000 }));
    assert.ok(tail.bytes <= 50_000);
  }
  const held = await tail.recent(99);
  assert.equal(held?.segments.length, 1);
  tail.stored(chunkAt(100, { bytes: 200_000 }));
  assert.deepEqual(await positionsFrom(tail, 100), [100]);
  assert.equal(await tail.recent(99), undefined);
  // What is decoded and rendered counts, too.
  const [segment] = (await tail.recent(100))?.segments ?? [];
  assert.ok(segment.kind === 'block');
  segment.rendered('key', () => Buffer.alloc(1000));
  assert.equal(tail.bytes, bytesOf(segment));
});

test('gives readers of a group its segments, and knows where there are none', async () => {
  const { tail, facts } = openTail(nothing);
  tail.open();
  for (const task of ['a/1', 'a/2', 'b/1']) await facts.load({ task, run: RUN });
  ['a/1', 'b/1', 'a/2', 'b/1'].forEach((task, position) => tail.stored(chunkAt(position, { task })));
  const ofGroup = await tail.recent(1, 'a');
  assert.deepEqual([ofGroup?.segments.map(({ position }) => position), ofGroup?.nextPosition], [[2], 4]);
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((position) => tail.isQuiet('a', position)),
    [false, false, false, true, false],
  );
  assert.equal(tail.isQuiet('c', 0), true);
  // Nobody knows yet whose a new run's lines are.
  tail.stored({ ...chunkAt(4), run: newUlid(2), task: 'new/1' });
  assert.equal(tail.isQuiet('c', 0), false);
  assert.deepEqual(
    (await tail.recent(3, 'new'))?.segments.map(({ position }) => position),
    [4],
  );
});

test('reads the same place once for all who ask for it at the same time', async () => {
  const reads: number[] = [];
  const { tail } = openTail(({ position }) => {
    reads.push(position);
    return Promise.resolve({ stored: [chunkAt(position)], nextPosition: position + 1 });
  });
  tail.open();
  const read = { position: 5, maxBytes: 1000 };
  const [one, other, alone] = await Promise.all([
    tail.read(read),
    tail.read(read),
    tail.read({ ...read, alone: true }),
  ]);
  assert.equal(one, other);
  assert.notEqual(one, alone);
  assert.deepEqual(reads, [5, 5]);
});

test('what was asked for before a trim is not kept after it', async () => {
  const answer = Promise.withResolvers<Walked>();
  const { tail } = openTail(() => answer.promise);
  tail.open();
  const reading = tail.read({ position: 0, maxBytes: 1000 });
  tail.forget('t', 1);
  answer.resolve({ stored: [chunkAt(0)], nextPosition: 1 });
  assert.equal((await reading).segments.length, 1);
  assert.equal(tail.bytes, 0);
});

test('shares its blocks with the tail of the task: each is decoded once', () => {
  const chunk = chunkAt(0);
  const block = ownSegment(chunk);
  assert.equal(ownSegment(chunk), block);
  assert.notEqual(ownSegment(chunkAt(0)), block);
});

test(
  'hundreds of readers read from memory, once for all, and cost little more than one',
  { timeout: 60_000 },
  async (t) => {
    const reading = await openReading(t);
    let walks = 0;
    const store = new Proxy(reading.store, {
      get(target, name) {
        if (name === 'walk') walks++;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
      },
    });
    const on = mergedOf({ ...reading, store });
    const [run, other] = [await on.open('t', 'p'), await on.open('u', 'p')];
    await run.write('first');
    const followers = Array.from(
      { length: 400 },
      (_, index) => new Follower(on.merged, { from: 1, ...(index % 2 === 0 && { group: 'p' }) }),
    );
    for (let i = 0; i < 25; i++) {
      await run.write(`a${i}`);
      await other.write(`b${i}`);
    }
    await Promise.all(followers.map((follower) => follower.until((seen) => seen.length === 50)));
    assert.ok(on.merged.tail.bytes < 1024 * 1024);
    assert.ok(walks < 100, `${walks} reads`);
    assert.equal(reading.reader.followed.delivered, 20_000);
    await Promise.all(followers.map((follower) => follower.stop()));
  },
);

test('readers of a group sleep while others write', { timeout: 30_000 }, async (t) => {
  const on = await openMerged(t);
  const [run, other] = [await on.open('t', 'p'), await on.open('u')];
  await run.write('a');
  const abort = new AbortController();
  const quiet = on.merged.follow({ from: 0, group: 'p', signal: abort.signal });
  const batches: number[] = [];
  const reading = (async () => {
    for await (const { nextPosition } of quiet) batches.push(nextPosition);
  })();
  const busy = new Follower(on.merged, { from: 0 });
  await busy.until((seen) => seen.length === 1);
  for (let i = 0; i < 200; i++) await other.write(`x${i}`);
  await busy.until((seen) => seen.length === 201);
  await run.write('b');
  await busy.until((seen) => seen.length === 202);
  while (batches.at(-1) !== 202) await new Promise(setImmediate);
  // The first line, the first one of a run that nobody knew, and the last line; a few more where wakes met.
  assert.ok(batches.length < 20, `${batches.length} batches`);
  abort.abort(new Error('over'));
  await assert.rejects(reading, /over/);
  await busy.stop();
});
