import assert from 'node:assert/strict';
import { test } from 'node:test';
import { positionWriter } from '../../shared/cursor.ts';
import { compileFilter } from '../filter.ts';
import { openReading, T0, TestRun } from '../reading.fixture.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import type { Walk } from '../store/store.ts';
import type { MergedBatch } from './merged-event.ts';
import { MergedReader, type MergedFollow } from './merged-reader.ts';
import { Follower, openMerged, readAll, shown } from './merged.fixture.ts';

const TIMEOUT = { timeout: 30_000 };

test('history and what comes live are one thing, of everything and of a group', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const [one, two, alone] = [await on.open('t', 'p'), await on.open('u', 'p'), await on.open('alone')];
  await one.write('a', 'b');
  await alone.write('x');
  const followers = ['p', undefined, 'alone'].map(
    (group) => new Follower(on.merged, { from: 0, ...(group && { group }) }),
  );
  await followers[1].until((seen) => seen.length === 3);
  await two.write('c');
  await one.gap(2);
  await alone.write('y');
  await two.write('d', 'e');
  const all = ['0 t a', '1 t b', '2 alone x', '3 u c', '4-5 t dropped 3-4', '6 alone y', '7 u d', '8 u e'];
  const expected = [all.filter((line) => !line.includes('alone')), all, ['2 alone x', '6 alone y']];
  for (const [index, follower] of followers.entries()) {
    await follower.until((seen) => seen.length === expected[index].length);
    assert.deepEqual(follower.seen, expected[index]);
    await follower.stop();
  }
  assert.equal(on.merged.tail.bytes, 0);
});

test('whoever resumes at any position misses nothing and gets nothing twice', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const [one, two] = [await on.open('t', 'p'), await on.open('u')];
  for (let i = 0; i < 5; i++) {
    await one.write(`a${i}`, `b${i}`);
    await two.write(`x${i}`);
  }
  for (const group of [undefined, 'p', 'u']) {
    const all = await readAll(on.merged, group === undefined ? {} : { group });
    for (let from = 0; from <= 15; from++) {
      const rest = all.filter((line) => Number.parseInt(line) >= from);
      assert.deepEqual(await readAll(on.merged, { from, ...(group !== undefined && { group }) }), rest);
    }
  }
});

test(
  'what was trimmed is a gap: of everything nobody’s, of a group its task’s, of another group none',
  TIMEOUT,
  async (t) => {
    const on = await openMerged(t);
    const [one, two, alone] = [await on.open('t', 'p'), await on.open('u', 'p'), await on.open('alone')];
    for (const text of ['a', 'b', 'c']) for (const run of [one, two, alone]) await run.write(text);
    await on.reader.deleteUntil('t', T0);
    await one.write('d');
    assert.deepEqual(await readAll(on.merged), [
      ...['0-0 nobody trimmed -', '1 u a', '2 alone a', '3-3 nobody trimmed -', '4 u b', '5 alone b'],
      ...['6-6 nobody trimmed -', '7 u c', '8 alone c', '9 t d'],
    ]);
    assert.deepEqual(await readAll(on.merged, { group: 'p' }), [
      '1 u a',
      '4 u b',
      '0-6 t trimmed -3',
      '7 u c',
      '9 t d',
    ]);
    assert.deepEqual(await readAll(on.merged, { group: 'p', from: 7 }), ['7 u c', '9 t d']);
    assert.deepEqual(await readAll(on.merged, { group: 'alone' }), ['2 alone a', '5 alone b', '8 alone c']);
  },
);

test('what is trimmed while it is followed is not handed out any more', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const run = await on.open('t');
  const live = new Follower(on.merged, { from: 0 });
  await run.write('a', 'b');
  await live.until((seen) => seen.length === 2);
  await on.reader.deleteUntil('t', T0);
  await run.write('c');
  assert.deepEqual(await readAll(on.merged), ['0-1 nobody trimmed -', '2 t c']);
  await live.until((seen) => seen.length === 3);
  assert.deepEqual(live.seen, ['0 t a', '1 t b', '2 t c']);
  await live.stop();
});

test('all that is trimmed is one gap up to the head', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  await (await on.open('t')).write('a', 'b');
  await (await on.open('u')).write('c');
  for (const task of ['t', 'u']) await on.reader.deleteUntil(task, T0);
  assert.deepEqual(await readAll(on.merged), ['0-2 nobody trimmed -']);
  assert.deepEqual(await readAll(on.merged, { group: 'u' }), ['0-2 u trimmed -1']);
  assert.deepEqual(await readAll(on.merged, { from: 3 }), []);
});

test('a filter holds over all tasks, by workers too', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const one = await new TestRun({ store: on.store }, 't').open({}, { workerId: 'w1' });
  const two = await new TestRun({ store: on.store }, 'u').open({}, { workerId: 'w2' });
  await one.write('a', { text: 'b', level: 'ERROR' });
  await two.write({ text: 'c', level: 'ERROR' }, 'd');
  await one.write('needle a', { text: 'f', level: 'ERROR' });
  for (const [filter, expected] of [
    [{ levels: ['ERROR'] }, ['1 t b', '2 u c', '5 t f']],
    [{ text: ['A'] }, ['0 t a', '4 t needle a']],
    [{ workers: ['w2'] }, ['2 u c', '3 u d']],
    [{ workers: ['w1'], levels: ['ERROR'] }, ['1 t b', '5 t f']],
    [{ runs: [two.run] }, ['2 u c', '3 u d']],
    [{ text: ['nowhere'] }, []],
  ] as const) {
    assert.deepEqual(await readAll(on.merged, { filter: compileFilter(filter) }), expected);
  }
});

test('tells the position up to which was searched although nothing was found', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const run = await on.open('t');
  const follower = new Follower(on.merged, { from: 0, filter: compileFilter({ text: ['never'] }) });
  await run.write('a', 'b');
  const seen = new Follower(on.merged, { from: 0 });
  await seen.until((lines) => lines.length === 2);
  await run.write('c');
  await seen.until((lines) => lines.length === 3);
  await follower.stop();
  assert.deepEqual(follower.seen, []);
  assert.ok(follower.nextPosition >= 2);
  await seen.stop();
});

test('only tasks that may be read are shown, by the labels of their newest run', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const secret = await on.open('t', undefined, { team: 'a' });
  const open = await on.open('u', undefined, { team: 'b' });
  const follower = new Follower(on.merged, { from: 0, may: ({ labels }) => labels.team === 'b' });
  await secret.write('hidden');
  await secret.gap(1);
  await open.write('shown');
  await follower.until((seen) => seen.length === 1);
  // A new run takes its task from one team to the other; from its first line on at the latest.
  const moved = await on.open('t', undefined, { team: 'b' });
  const gone = await on.open('u', undefined, { team: 'a' });
  await gone.write('hidden now');
  await open.write('hidden as well');
  await moved.write('shown now');
  await follower.until((seen) => seen.length === 2);
  assert.deepEqual(follower.seen, ['2 u shown', '5 t shown now']);
  await follower.stop();
});

test('says the end of a group once, behind all of its lines, and again after another run', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const [one, two] = [await on.open('t', 'p'), await on.open('u', 'p')];
  const follower = new Follower(on.merged, { from: 0, group: 'p' });
  await one.write('a');
  await one.end();
  await two.write('b');
  await two.end();
  await follower.until((seen) => seen.at(-1)?.startsWith('end') === true);
  const again = await on.open('t', 'p');
  await again.write('c');
  await again.end();
  await follower.until((seen) => seen.length === 5);
  assert.deepEqual(follower.seen, ['0 t a', '1 u b', 'end 2 runs', '2 t c', 'end 3 runs']);
  await follower.stop();
  assert.deepEqual(await readAll(on.merged, { group: 'p', from: 2 }), ['2 t c', 'end 3 runs']);
  assert.deepEqual(await readAll(on.merged, { group: 'p', from: 3 }), ['end 3 runs']);
  assert.deepEqual(await readAll(on.merged, { from: 2 }), ['2 t c']);
});

test('says the end of a group again although a task with its runs has left it', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  for (const task of ['t', 't', 'u']) await (await on.open(task, 'p')).end();
  const follower = new Follower(on.merged, { from: 0, group: 'p' });
  await follower.until((seen) => seen.length === 1);
  const elsewhere = new Follower(on.merged, { from: 0, group: 'q' });
  await (await on.open('t', 'q')).end();
  // Both groups are looked at together.
  await elsewhere.until((seen) => seen.length === 1);
  await (await on.open('u', 'p')).end();
  await follower.until((seen) => seen.length === 2);
  assert.deepEqual(follower.seen, ['end 3 runs', 'end 2 runs']);
  for (const one of [follower, elsewhere]) await one.stop();
});

test('lines that came while nothing was found come before the end', TIMEOUT, async (t) => {
  const reading = await openReading(t);
  const held = Promise.withResolvers<undefined>();
  const walked = Promise.withResolvers<undefined>();
  const ended = Promise.withResolvers<undefined>();
  const store = new Proxy(reading.store, {
    get(target, name) {
      if (name === 'walk') {
        return async (walk: Walk) => {
          const answer = await target.walk(walk);
          walked.resolve(undefined);
          await held.promise;
          return answer;
        };
      }
      if (name === 'task') {
        return async (task: string) => {
          const record = await target.task(task);
          if (record?.openRuns === 0) setImmediate(() => ended.resolve(undefined));
          return record;
        };
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });
  const follower = new Follower(new MergedReader({ store }), { from: 0, group: 't' });
  await walked.promise;
  const run = await new TestRun({ store: reading.store }, 't').open();
  await run.write('a');
  await run.end();
  await ended.promise;
  held.resolve(undefined);
  await follower.until((seen) => seen.length === 2);
  assert.deepEqual(follower.seen, ['0 t a', 'end 1 runs']);
  await follower.stop();
});

test('who comes when the last one has just left is served', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const run = await on.open('t');
  for (let i = 0; i < 20; i++) {
    const [gone, next] = [0, 1].map(() => new Follower(on.merged, { from: i }));
    await next.stop();
    const leaving = gone.stop();
    const come = new Follower(on.merged, { from: i });
    await leaving;
    const later = new Follower(on.merged, { from: i });
    await come.stop();
    await run.write('a');
    await later.until((seen) => seen.length === 1);
    await later.stop();
  }
});

test('a task without a pipeline is a group that ends, too', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const follower = new Follower(on.merged, { from: 0, group: 't' });
  const run = await on.open('t');
  await run.write('a');
  await run.end();
  await follower.until((seen) => seen.length === 2);
  assert.deepEqual(follower.seen, ['0 t a', 'end 1 runs']);
  await follower.stop();
});

test('a place in the future waits until the store is there', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const run = await on.open('t');
  for (const group of [undefined, 't']) {
    const head = await on.merged.place('now');
    const follower = new Follower(on.merged, { from: head + 2, ...(group !== undefined && { group }) });
    await run.write('a');
    await run.write('b', 'c');
    await follower.until((seen) => seen.length === 1);
    assert.deepEqual(follower.seen, [`${head + 2} t c`]);
    await follower.stop();
  }
});

test('whoever waits in the future keeps nobody awake', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const run = await on.open('t');
  const walks: number[] = [];
  const walk = on.store.walk.bind(on.store);
  on.store.walk = (asked) => {
    walks.push(asked.position);
    return walk(asked);
  };
  const follower = new Follower(on.merged, { from: 0 });
  await run.write('a');
  await follower.until((seen) => seen.length === 1);
  const ahead = [new Follower(on.merged, { from: 1e12 }), new Follower(on.merged, { from: 1e12, group: 't' })];
  for (const line of ['b', 'c', 'd']) {
    await run.write(line);
    await follower.until((seen) => seen.at(-1)?.endsWith(line) === true);
  }
  // What does not wait reads again and again: turns enough for a hundred reads.
  const read = walks.length;
  for (let i = 0; i < 100; i++) await on.store.change();
  assert.ok(walks.length - read < 10, `read ${walks.length - read} times`);
  for (const one of [follower, ...ahead]) await one.stop();
});

test('understands start, now and cursors of its own, and says what else is wrong', TIMEOUT, async (t) => {
  const { merged, open, store } = await openMerged(t);
  await (await open('t')).write('a', 'b');
  assert.equal(await merged.place('start'), 0);
  assert.equal(await merged.place('now'), 2);
  assert.equal(await merged.place(merged.cursors()(1)), 1);
  for (const [place, message] of [
    ['', /is no place in the merged streams of this store/],
    ['nonsense!', /is no place in the merged streams of this store/],
    ['7', /is no place/],
    [positionWriter('another-store')(1), /but in those of another/],
    [Buffer.from(`${store.epoch()}.1`).toString('base64url'), /is no place/],
  ] as const) {
    await assert.rejects(merged.place(place), { code: 'INVALID_CURSOR', message });
  }
});

test('lines that can’t be read are a gap with their numbers', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const [one, two] = [await on.open('t', 'p'), await on.open('u', 'p')];
  await one.write('a');
  const broken = two.encode(['b', 'c']);
  // The body's last byte: the length of the last line.
  broken[broken.length - 1] ^= 0x55;
  await two.append(broken);
  await one.write('d');
  const expected = ['0 t a', '1-2 u corrupt 1-2', '3 t d'];
  assert.deepEqual(await readAll(on.merged), expected);
  assert.deepEqual(await readAll(on.merged, { group: 'p' }), expected);
});

test('what another relay appended is read from the store, in its place', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const other = await openSqliteStore({ path: on.path });
  t.after(() => other.close());
  const [here, there] = [
    await on.open('t', 'p'),
    await new TestRun({ store: other }, 'u').open({}, { pipelineId: 'p' }),
  ];
  const followers = [{ from: 0 }, { from: 0, group: 'p' }].map((options) => new Follower(on.merged, options));
  const expected: string[] = [];
  for (let i = 0; i < 30; i++) {
    await here.write(`h${i}`);
    await there.write(`x${i}`);
    expected.push(`${2 * i} t h${i}`, `${2 * i + 1} u x${i}`);
  }
  for (const follower of followers) {
    await follower.until((seen) => seen.length === expected.length);
    assert.deepEqual(follower.seen, expected);
    await follower.stop();
  }
});

test('a task that joins a group brings what comes from then on, and no line is lost on the way', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const [old, other] = [await on.open('t'), await on.open('u', 'p')];
  const follower = new Follower(on.merged, { from: 0, group: 'p' });
  await old.write('before');
  await other.write('a');
  await follower.until((seen) => seen.length === 1);
  await (await on.open('t', 'p')).write('joined');
  await other.write('b');
  await follower.until((seen) => seen.length === 3);
  assert.deepEqual(follower.seen, ['1 u a', '2 t joined', '3 u b']);
  await follower.stop();
});

test('whoever does not read hurts nobody, and reads all of it later', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const run = await on.open('t');
  await run.write('first');
  const abort = new AbortController();
  const slow = on.merged.follow({ from: 0, signal: abort.signal });
  await slow.next();
  const quick = new Follower(on.merged, { from: 0 });
  for (let i = 0; i < 200; i++) await run.write(`line ${i}`);
  await quick.until((seen) => seen.length === 201);
  await quick.stop();
  assert.equal(on.reader.followed.lag().most, 201);
  let seen = 1;
  for await (const { events } of slow) {
    for (const event of events) if (event.type === 'lines') seen += event.end - event.first;
    if (seen === 201) break;
  }
  assert.equal(on.reader.followed.readers, 0);
  assert.equal(on.merged.tail.bytes, 0);
});

test('ends with the reason of its signal while it waits, and lets go of everything', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  for (const group of [undefined, 'p']) {
    const abort = new AbortController();
    const reading = on.merged.follow({ from: 0, signal: abort.signal, ...(group !== undefined && { group }) }).next();
    setImmediate(() => abort.abort(new Error('gone')));
    await assert.rejects(reading, /gone/);
    assert.equal(on.reader.followed.readers, 0);
  }
});

test('rejects when the store is closed under it', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const followers = [{ from: 0 }, { from: 0, group: 'p' }].map((options) => new Follower(on.merged, options));
  await on.open('t');
  await on.store.close();
  for (const follower of followers) await assert.rejects(follower.over, /closed/);
});

test('readers at the same place are given the same object, but for who may not see all of it', TIMEOUT, async (t) => {
  const on = await openMerged(t);
  const [one, secret] = [await on.open('t'), await on.open('secret')];
  const { signal } = new AbortController();
  const open = (options: Partial<MergedFollow> = {}): AsyncGenerator<MergedBatch> =>
    on.merged.follow({ from: 0, signal, ...options });
  const streams = [open(), open(), open({ may: ({ task }) => task !== 'secret' })];
  const next = (): Promise<MergedBatch[]> =>
    Promise.all(streams.map(async (stream) => (await stream.next()).value as MergedBatch));
  await one.write('a');
  await secret.write('b');
  // Runs are known from here on.
  for (const stream of streams) while (((await stream.next()).value as MergedBatch).nextPosition < 2);
  for (const [position, text] of ['c', 'd'].entries()) {
    const batches = next();
    await one.write(text);
    const [first, same, other] = await batches;
    assert.deepEqual(shown(first.events), [`${2 + position} t ${text}`]);
    assert.equal(same, first);
    assert.deepEqual(shown(other.events), shown(first.events));
  }
  const last = next();
  await secret.write('e');
  const [first, same, other] = await last;
  assert.deepEqual(shown(first.events), ['4 secret e']);
  assert.equal(same, first);
  assert.deepEqual(other.events, []);
  for (const stream of streams) await stream.return(undefined);
});
