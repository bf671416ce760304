import assert from 'node:assert/strict';
import test from 'node:test';
import { CHUNK_HEADER_BYTES } from '../shared/chunk.ts';
import { encodeLines } from '../shared/columns.ts';
import { newUlid } from '../shared/ulid.ts';
import { Tail } from './tail.ts';
import type { Read, Store, Stored } from './store/store.ts';

const RUN = newUlid(1);

/** A chunk of `count` lines of about `bytes` bytes in all. */
function chunk(firstLine: number, count = 2, { task = 't', bytes = 0 } = {}): Stored {
  const text = Buffer.alloc(Math.ceil(bytes / count), 'x');
  const encoded = encodeLines(
    RUN,
    firstLine - 1,
    Array.from({ length: count }, (_, i) => ({ time: i, kind: 0, text })),
  );
  return {
    ...{ kind: 'chunk', task, run: RUN, firstLine, position: firstLine - 1, count },
    header: encoded.subarray(0, CHUNK_HEADER_BYTES),
    body: encoded.subarray(CHUNK_HEADER_BYTES),
  };
}

/** A store of which only `read` is there, which keeps what it was asked. */
function storeOf(read: (from: number) => Stored[]): { store: Store; reads: number[] } {
  const reads: number[] = [];
  const store = {
    read: ({ from }: Read) => {
      const line = 'line' in from ? from.line : 0;
      reads.push(line);
      return Promise.resolve(read(line));
    },
  };
  return { store: store as unknown as Store, reads };
}

function firstLines(segments: readonly { firstLine: number }[] | undefined): number[] | undefined {
  return segments?.map((segment) => segment.firstLine);
}

test('what is appended while somebody reads is in memory, from any line in it on', () => {
  const tail = new Tail(storeOf(() => []));
  const reader = tail.open('t');
  for (const line of [1, 3, 5]) tail.stored(chunk(line));
  assert.deepEqual(firstLines(reader.recent(1)), [1, 3, 5]);
  assert.deepEqual(firstLines(reader.recent(4)), [3, 5]);
  assert.equal(reader.recent(7), undefined);
  assert.ok(reader.endsAt(7));
});

test('what was trimmed is handed out no more, also by a read that began before', async () => {
  const late = Promise.withResolvers<Stored[]>();
  const store = { read: () => late.promise } as unknown as Store;
  const tail = new Tail({ store });
  const reader = tail.open('t');
  const read = reader.read({ line: 1, maxBytes: 1 });
  tail.forget('t', 4);
  late.resolve([chunk(1), chunk(3)]);
  await read;
  assert.equal(reader.recent(1), undefined);
  for (const line of [5, 7, 9]) tail.stored(chunk(line));
  tail.forget('t', 7);
  assert.equal(reader.recent(5), undefined);
  assert.equal(reader.recent(8), undefined);
  assert.deepEqual(firstLines(reader.recent(9)), [9]);
  tail.forget('t', 100);
  assert.equal(tail.bytes, 0);
  reader.close();
});

test('what was trimmed from any task is not handed out any more either', async () => {
  const heads: Record<string, number | undefined> = { t: 2, u: 0 };
  const head = (task: string) => Promise.resolve(heads[task] === undefined ? undefined : { trimmedLine: heads[task] });
  const tail = new Tail({ store: { head } as unknown as Store });
  const readers = Object.fromEntries(['t', 'u', 'new'].map((task) => [task, tail.open(task)]));
  for (const task of ['t', 'u']) for (const line of [1, 3]) tail.stored(chunk(line, 2, { task }));
  await tail.forgetTrimmed();
  assert.equal(readers.t.recent(1), undefined);
  assert.deepEqual(firstLines(readers.t.recent(3)), [3]);
  assert.deepEqual(firstLines(readers.u.recent(1)), [1, 3]);
});

test('tasks that nobody reads take no memory', () => {
  const tail = new Tail(storeOf(() => []));
  const held: boolean[] = [];
  const look = (): void => void held.push(tail.bytes > 0);
  tail.stored(chunk(1));
  look();
  const readers = [tail.open('t'), tail.open('t')];
  tail.stored(chunk(3));
  look();
  readers[0].close();
  readers[0].close();
  look();
  readers[1].close();
  look();
  assert.deepEqual(held, [false, true, true, false]);
});

test('an append that follows one it never saw starts anew, and an old one changes nothing', () => {
  const tail = new Tail(storeOf(() => []));
  const reader = tail.open('t');
  tail.stored(chunk(1));
  tail.stored(chunk(9));
  assert.equal(reader.recent(1), undefined);
  tail.stored(chunk(3));
  assert.deepEqual(firstLines(reader.recent(9)), [9]);
});

test('what is not there is read once for all who ask, and kept if it goes on from what is', async () => {
  const { store, reads } = storeOf((line) => [chunk(line), chunk(line + 2)]);
  const tail = new Tail({ store });
  const reader = tail.open('t');
  const [one, other] = await Promise.all([1, 1].map((line) => reader.read({ line, maxBytes: 1000 })));
  assert.equal(one, other);
  assert.deepEqual(reads, [1]);
  assert.deepEqual(reader.recent(1), one);
  await reader.read({ line: 5, maxBytes: 1000 });
  await reader.read({ line: 90, maxBytes: 1000 });
  assert.deepEqual(firstLines(reader.recent(1)), [1, 3, 5, 7]);
  assert.equal(reader.recent(90), undefined);
});

test('what came without bodies is not kept', async () => {
  const bodyless = { ...chunk(1), body: undefined } as unknown as Stored;
  const tail = new Tail(storeOf(() => [bodyless]));
  const reader = tail.open('t');
  await reader.read({ line: 1, maxBytes: 1000, wants: { pairs: 1 } });
  assert.equal(reader.recent(1), undefined);
});

test('memory is bounded for a task and for all, counting what is decoded and rendered', () => {
  const limits = { maxTaskBytes: 200_000, maxBytes: 500_000 };
  const tail = new Tail({ ...storeOf(() => []), ...limits });
  for (let task = 0; task < 10; task++) {
    const reader = tail.open(`t${task}`);
    for (let i = 0; i < 40; i++) {
      tail.stored(chunk(1 + 2 * i, 2, { task: `t${task}`, bytes: 20_000 }));
      const block = reader.recent(1 + 2 * i)?.[0];
      assert.ok(block?.kind === 'block');
      assert.equal(block.lines()?.count, 2);
      block.rendered('x', () => Buffer.alloc(30_000));
      assert.ok(tail.bytes <= limits.maxBytes, `${tail.bytes}`);
    }
    assert.equal(reader.recent(1), undefined);
  }
  assert.ok(tail.bytes > limits.maxTaskBytes);
});

test('a block is decoded, searched and rendered once', () => {
  const tail = new Tail(storeOf(() => []));
  const reader = tail.open('t');
  tail.stored(chunk(1));
  const block = reader.recent(1)?.[0];
  assert.ok(block?.kind === 'block');
  assert.equal(block.lines(), block.lines());
  let calls = 0;
  for (let i = 0; i < 3; i++) {
    block.rendered('x', () => (calls++, Buffer.alloc(1)));
    block.matches('x', () => (calls++, undefined));
  }
  assert.equal(calls, 2);
});

test('what is kept of small chunks, decoded and rendered, keeps no larger memory with it', () => {
  const tail = new Tail(storeOf(() => []));
  const reader = tail.open('t');
  const buffers: Buffer[] = [];
  for (const [i, bytes] of [10, 3000, 20_000].entries()) {
    tail.stored(chunk(1 + 2 * i, 2, { bytes }));
    const block = reader.recent(1 + 2 * i)?.[0];
    assert.ok(block?.kind === 'block');
    buffers.push(block.lines()?.text ?? assert.fail('the lines can be read'));
    buffers.push(block.rendered('x', () => Buffer.from('x'.repeat(bytes))));
  }
  for (const { buffer, length } of buffers)
    assert.ok(buffer.byteLength - length < 1100, `${length} of ${buffer.byteLength}`);
});
