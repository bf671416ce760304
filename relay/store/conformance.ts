/* eslint-disable @typescript-eslint/no-floating-promises -- node:test's runner awaits what its calls return */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { encodeLines } from '../../shared/columns.ts';
import { kindOf, pairOf, type Level, type Source } from '../../shared/line.ts';
import type { EndReason } from '../../shared/wire.ts';
import { compareWithModel } from './conformance-random.ts';
import { linesOf, openRun, TestRun } from './conformance-run.ts';
import type { Store, TaskQuery, TaskStatus, Wants } from './store.ts';

/** A new, empty store of the kind that is tested, and ways to have it again. */
export interface TestStore {
  /** Another handle on the same store. */
  open: () => Promise<Store>;
  /** Removes the store, whose handles are closed. */
  dispose: () => Promise<void>;
}

/** What random actions found once, so that it stays found. Append only. */
const SEEDS = [1, 2, 3, 4];

/** Every sentence of the contract (store.ts) as a test. `create` makes an empty store for each. */
export function storeConformance(name: string, create: () => Promise<TestStore>): void {
  describe(`${name}: the store's contract`, () => {
    let testStore: TestStore;
    let store: Store;
    const handles: Store[] = [];

    async function another(): Promise<Store> {
      const handle = await testStore.open();
      handles.push(handle);
      return handle;
    }
    beforeEach(async () => {
      testStore = await create();
      store = await another();
    });
    afterEach(async () => {
      for (const handle of handles.splice(0)) await handle.close();
      await testStore.dispose();
    });

    const all = (task: string): Promise<string[]> => linesOf(store, { task, line: 1 });

    describe('open', () => {
      test('creates task and run', async () => {
        const { fence: _, ...opened } = await store.open(openRun('t'));
        assert.deepEqual(opened, { epoch: store.epoch(), nextSeq: 0, digest: '00'.repeat(16), ended: false });
        assert.equal((await store.task('t'))?.status, 'running');
      });

      test('fences every earlier writer of the run', async () => {
        const run = await TestRun.open(store, 't');
        await run.lines('a');
        const later = await run.reopened();
        assert.deepEqual(await run.append(run.chunk('b')), { outcome: 'fenced' });
        assert.deepEqual(await run.end(), { outcome: 'fenced' });
        await run.seen(1_000_000, 99);
        assert.equal((await store.runs('t'))[0].reportedSeq, 1);
        assert.equal((await later.append(later.chunk('b'))).outcome, 'stored');
      });

      test('says where a known run goes on', async () => {
        const run = await TestRun.open(store, 't');
        await run.lines('a', 'b');
        const { nextSeq, digest, ended } = await store.open(run.hello);
        assert.deepEqual({ nextSeq, digest, ended }, { nextSeq: 2, digest: run.digest, ended: false });
      });

      test('makes a lost run run again, and leaves an ended one ended', async () => {
        const lost = await TestRun.open(store, 't');
        await store.markLost(Infinity, 5);
        assert.equal((await store.head('t'))?.status, 'lost');
        await lost.reopened();
        assert.equal((await store.head('t'))?.status, 'running');
        await (await lost.reopened()).end();
        assert.equal((await store.open(lost.hello)).ended, true);
        assert.equal((await store.head('t'))?.status, 'succeeded');
      });

      test('mints a new epoch when the store has forgotten what it acknowledged, once', async () => {
        const epoch = store.epoch();
        const opened = await store.open({ ...openRun('t'), epoch, ackedSeq: 7 });
        assert.notEqual(opened.epoch, epoch);
        assert.equal(store.epoch(), opened.epoch);
        assert.equal(opened.nextSeq, 0);
        const next = await store.open({ ...openRun('t'), epoch, ackedSeq: 7 });
        assert.equal(next.epoch, opened.epoch);
      });

      test('keeps its epoch for what another store acknowledged, and over reopening', async () => {
        const epoch = store.epoch();
        await store.open({ ...openRun('t'), epoch: 'another', ackedSeq: 7 });
        await store.open({ ...openRun('t'), ackedSeq: 7 });
        await store.close();
        assert.equal((await another()).epoch(), epoch);
      });
    });

    describe('append', () => {
      test('numbers the lines of a task from 1 and those of the store from 0, over runs and tasks', async () => {
        const one = await TestRun.open(store, 't');
        const two = await TestRun.open(store, 't');
        const other = await TestRun.open(store, 'u');
        assert.deepEqual(await one.lines('a', 'b'), stored({ nextSeq: 2, firstLine: 1, position: 0, count: 2 }));
        assert.deepEqual(await other.lines('x'), stored({ nextSeq: 1, firstLine: 1, position: 2, count: 1 }));
        assert.deepEqual(await two.lines('c'), stored({ nextSeq: 1, firstLine: 3, position: 3, count: 1 }));
        assert.deepEqual(await one.lines('d'), stored({ nextSeq: 3, firstLine: 4, position: 4, count: 1 }));
        assert.deepEqual(await all('t'), ['1 a', '2 b', '3 c', '4 d']);
        assert.equal(await store.nextPosition(), 5);
      });

      test('answers what is there already as a duplicate and changes nothing', async () => {
        const run = await TestRun.open(store, 't');
        const chunk = run.chunk('a', 'b');
        await run.append(chunk);
        const before = [await store.task('t'), await store.runs('t')];
        assert.deepEqual(await run.append(chunk), { outcome: 'duplicate', nextSeq: 2 });
        assert.deepEqual([await store.task('t'), await store.runs('t')], before);
      });

      test('clips what overlaps', async () => {
        const run = await TestRun.open(store, 't');
        await run.append(run.chunk('a', 'b'));
        const outcome = await run.append(run.chunkFrom(1, 'b', 'c', 'd'));
        const clipped = run.chunkFrom(2, 'c', 'd');
        assert.deepEqual(outcome, { ...stored({ nextSeq: 4, firstLine: 3, position: 2, count: 2 }), clipped });
        assert.deepEqual(await all('t'), ['1 a', '2 b', '3 c', '4 d']);
      });

      test('keeps of an overlapping chunk that cannot be read a gap over exactly its lines', async () => {
        const run = await TestRun.open(store, 't');
        await run.append(run.chunk('a', 'b'));
        const broken = run.chunkFrom(1, 'b', 'c', 'd');
        broken[broken.length - 1] ^= 0xff;
        assert.equal((await run.append(broken)).outcome, 'stored');
        assert.deepEqual(await all('t'), ['1 a', '2 b', '3 corrupt', '4 corrupt']);
      });

      test('refuses what starts above the next seq and names it', async () => {
        const run = await TestRun.open(store, 't');
        await run.lines('a');
        assert.deepEqual(await run.append(run.chunkFrom(5, 'z')), { outcome: 'expected', nextSeq: 1 });
        assert.deepEqual(await all('t'), ['1 a']);
      });

      test('refuses unknown runs and ended ones', async () => {
        const run = await TestRun.open(store, 't');
        await run.lines('a');
        await run.end();
        assert.deepEqual(await run.append(run.chunk('b')), { outcome: 'ended', nextSeq: 1 });
        const { bytes } = { bytes: run.chunk('b') };
        const unknown = { task: 'nobody', run: run.run, fence: run.fence, bytes, now: 1 };
        assert.deepEqual(await store.append(unknown), { outcome: 'fenced' });
        assert.equal(await store.head('nobody'), undefined);
      });

      test('applies appends of one moment in the order of the calls', async () => {
        const runs = await Promise.all(Array.from({ length: 10 }, (_, index) => TestRun.open(store, `t${index % 3}`)));
        const chunks = runs.flatMap((run) =>
          Array.from({ length: 20 }, (_, seq) => () => run.append(run.chunkFrom(seq, `${run.run} ${seq}`))),
        );
        const outcomes = await Promise.all(chunks.map((append) => append()));
        assert.deepEqual([...new Set(outcomes.map(({ outcome }) => outcome))], ['stored']);
        const lines = await linesOf(store, { position: 0 });
        for (const { run } of runs) {
          const own = lines.filter((line) => line.includes(run)).map((line) => line.split(' ').at(-1));
          assert.deepEqual(
            own,
            Array.from({ length: 20 }, (_, seq) => String(seq)),
          );
        }
      });

      test('takes gaps as lines that have numbers and are not counted', async () => {
        const run = await TestRun.open(store, 't');
        await run.lines('a');
        await run.gap(3, 'dropped');
        await run.lines('b');
        assert.deepEqual(await all('t'), ['1 a', '2 dropped', '3 dropped', '4 dropped', '5 b']);
        const task = await store.task('t');
        assert.deepEqual([task?.lines, task?.missing, task?.nextLine], [2, 3, 6]);
        assert.deepEqual((await store.read({ from: { task: 't', line: 3 }, maxBytes: 1 }))[0], {
          kind: 'gap',
          task: 't',
          run: run.run,
          firstLine: 2,
          position: 1,
          count: 3,
          reason: 'dropped',
          time: 1000,
        });
      });

      test('counts lines, pairs, bytes and times', async () => {
        const run = await TestRun.open(store, 't');
        const kinds = [kindOf('stdout', 'INFO'), kindOf('stderr', 'ERROR'), kindOf('stderr', 'ERROR')];
        const lines = kinds.map((kind, index) => ({ time: 500 - index, kind, text: Buffer.from('abc') }));
        const bytes = encodeLines(run.run, 0, lines);
        await run.append(bytes, 77);
        const task = await store.task('t');
        const counts = new Array<number>(12).fill(0);
        counts[pairOf(kinds[0])] = 1;
        counts[pairOf(kinds[1])] = 2;
        assert.deepEqual(
          { ...task },
          {
            task: 't',
            labels: {},
            nextLine: 4,
            trimmedLine: 0,
            revision: task?.revision,
            status: 'running',
            openRuns: 1,
            runs: 1,
            createdAt: 1,
            updatedAt: 77,
            exitCode: null,
            signal: null,
            lines: 3,
            counts,
            textBytes: 12,
            storedBytes: bytes.length,
            missing: 0,
            minTime: 498,
            maxTime: 500,
          },
        );
      });
    });

    describe('end', () => {
      test('is verified when numbers and digest agree, and says so again', async () => {
        const run = await TestRun.open(store, 't');
        await run.lines('a', 'b');
        await run.gap(2, 'dropped');
        assert.deepEqual(await run.end(), { outcome: 'verified', nextSeq: 4 });
        assert.deepEqual(await run.end(), { outcome: 'verified', nextSeq: 4 });
        const [record] = await store.runs('t');
        assert.deepEqual(
          [record.verified, record.status, record.exitCode, record.reason],
          [true, 'succeeded', 0, 'exited'],
        );
        assert.deepEqual([record.lines, record.missing, record.textBytes], [2, 2, 4]);
      });

      for (const [what, said] of [
        ['another digest', { digest: 'ff'.repeat(16) }],
        ['fewer lines', { lines: 1 }],
        ['other bytes', { bytes: 5 }],
        ['an earlier end', { nextSeq: 1 }],
      ] as const) {
        test(`with ${what} is unverified, and says so again`, async () => {
          const run = await TestRun.open(store, 't');
          await run.lines('a', 'b');
          const answer = { outcome: 'unverified', nextSeq: 2, digest: run.digest };
          assert.deepEqual(await run.end(said), answer);
          assert.deepEqual(await run.end(said), answer);
          assert.equal((await store.runs('t'))[0].verified, false);
        });
      }

      test('with missing lines changes nothing', async () => {
        const run = await TestRun.open(store, 't');
        await run.lines('a');
        const before = await store.runs('t');
        assert.deepEqual(await run.end({ nextSeq: 3 }), { outcome: 'missing', nextSeq: 1 });
        assert.deepEqual(await store.runs('t'), before);
      });

      test('of an unknown run is fenced', async () => {
        const run = await TestRun.open(store, 't');
        run.task = 'nobody';
        assert.deepEqual(await run.end(), { outcome: 'fenced' });
      });

      test('comes after the appends that were called before it', async () => {
        const run = await TestRun.open(store, 't');
        const [appended, ended] = await Promise.all([run.lines('a'), run.end()]);
        assert.deepEqual([appended.outcome, ended.outcome], ['stored', 'verified']);
      });

      for (const [status, reason, exitCode] of [
        ['succeeded', 'exited', 0],
        ['failed', 'exited', 3],
        ['failed', 'signalled', null],
        ['failed', 'timeout', 124],
        ['cancelled', 'cancelled', 143],
        ['failed', 'not-started', 127],
        ['failed', 'agent-died', null],
      ] as [TaskStatus, EndReason, number | null][]) {
        test(`by ${reason} with ${exitCode} makes run and task ${status}`, async () => {
          const run = await TestRun.open(store, 't');
          await run.end({ reason, exitCode });
          assert.equal((await store.runs('t'))[0].status, status);
          const task = await store.task('t');
          assert.deepEqual([task?.status, task?.exitCode, task?.openRuns], [status, exitCode, 0]);
        });
      }
    });

    describe('a task of several runs', () => {
      test('is running while one is open, failed if one failed beside the newest', async () => {
        const one = await TestRun.open(store, 't', { startedAt: 100 });
        const two = await TestRun.open(store, 't', { startedAt: 150 });
        await one.end({ exitCode: 1, endedAt: 200 });
        assert.equal((await store.head('t'))?.status, 'running');
        await two.end({ endedAt: 300 });
        assert.equal((await store.head('t'))?.status, 'failed');
      });

      test('is as the newest if a failed one was over before it started', async () => {
        const one = await TestRun.open(store, 't', { startedAt: 100 });
        await one.end({ exitCode: 1, endedAt: 200 });
        const two = await TestRun.open(store, 't', { startedAt: 200 });
        await two.end({ endedAt: 300 });
        assert.equal((await store.head('t'))?.status, 'succeeded');
      });

      test('is lost when all that are open are', async () => {
        const one = await TestRun.open(store, 't', { startedAt: 100 });
        await TestRun.open(store, 't', { startedAt: 150 });
        await one.seen(50);
        assert.equal((await store.markLost(20, 60)).length, 1);
        assert.equal((await store.head('t'))?.status, 'running');
        assert.equal((await store.markLost(55, 70)).length, 1);
        assert.equal((await store.head('t'))?.status, 'lost');
        assert.equal((await store.head('t'))?.openRuns, 2);
      });

      test('has its runs in the order in which they were opened, with what they said of themselves', async () => {
        const said = { workerId: 'w', pipelineId: 'p', taskName: 'n', command: 'make', labels: { a: 'b' } };
        const one = await TestRun.open(store, 't', { ...said, startedAt: 5, now: 6 });
        const two = await TestRun.open(store, 't');
        const [first, second] = await store.runs('t');
        assert.deepEqual([first.run, second.run], [one.run, two.run]);
        const { workerId, pipelineId, taskName, command, labels, startedAt, openedAt } = first;
        assert.deepEqual({ workerId, pipelineId, taskName, command, labels }, said);
        assert.deepEqual([startedAt, openedAt], [5, 6]);
        assert.equal('pipelineId' in second, false);
        const task = await store.task('t');
        assert.deepEqual([task?.name, task?.pipelineId, task?.labels], ['n', 'p', {}]);
      });
    });

    describe('seen and markLost', () => {
      test('seen keeps a run from being lost and notes how far it is', async () => {
        const run = await TestRun.open(store, 't');
        await run.seen(500, 40);
        assert.deepEqual(await store.markLost(500, 600), []);
        assert.equal((await store.runs('t'))[0].reportedSeq, 40);
        await run.seen(400, 30);
        const [{ lastSeen, reportedSeq }] = await store.runs('t');
        assert.deepEqual([lastSeen, reportedSeq], [500, 40]);
      });

      test('what is reported is never below what is stored', async () => {
        const run = await TestRun.open(store, 't');
        await run.lines('a', 'b');
        assert.equal((await store.runs('t'))[0].reportedSeq, 2);
      });

      test('markLost names each run once and leaves ended ones', async () => {
        const run = await TestRun.open(store, 't');
        await (await TestRun.open(store, 'u')).end();
        assert.deepEqual(await store.markLost(1_000, 1_000), [{ task: 't', run: run.run }]);
        assert.deepEqual(await store.markLost(1_000, 1_000), []);
      });

      test('a lost run that appends or is seen runs again', async () => {
        const run = await TestRun.open(store, 't');
        await store.markLost(1_000, 1_000);
        await run.lines('a');
        assert.equal((await store.head('t'))?.status, 'running');
        await store.markLost(2_000, 2_000);
        await run.seen(3_000);
        assert.equal((await store.head('t'))?.status, 'running');
      });

      test('each change of status changes the revision, an append does not', async () => {
        const revisions: (number | undefined)[] = [];
        const note = async (): Promise<void> => void revisions.push((await store.head('t'))?.revision);
        const run = await TestRun.open(store, 't');
        await note();
        await store.markLost(1_000, 1_000);
        await note();
        await run.reopened();
        await note();
        await TestRun.open(store, 't');
        await note();
        assert.equal(new Set(revisions).size, 4);
        assert.deepEqual(
          revisions,
          revisions.toSorted((a = 0, b = 0) => a - b),
        );
        const again = await run.reopened();
        await again.lines('a');
        assert.equal((await store.head('t'))?.revision, revisions.at(-1));
      });
    });

    describe('read', () => {
      test('starts at the chunk that holds the line', async () => {
        const run = await TestRun.open(store, 't');
        await run.lines('a', 'b', 'c');
        await run.lines('d', 'e');
        for (const [line, expected] of [
          [-1, ['1 a', '2 b', '3 c', '4 d', '5 e']],
          [0, ['1 a', '2 b', '3 c', '4 d', '5 e']],
          [1, ['1 a', '2 b', '3 c', '4 d', '5 e']],
          [3, ['3 c', '4 d', '5 e']],
          [4, ['4 d', '5 e']],
          [5, ['5 e']],
        ] as const) {
          assert.deepEqual(await linesOf(store, { task: 't', line }), expected);
        }
      });

      test('at or past the head is empty, and so is an unknown task', async () => {
        await (await TestRun.open(store, 't')).lines('a');
        for (const from of [
          { task: 't', line: 2 },
          { task: 't', line: 99 },
          { task: 'nobody', line: 1 },
          { position: 1 },
        ]) {
          assert.deepEqual(await store.read({ from, maxBytes: 1e6 }), []);
        }
      });

      test('from a position goes over all tasks', async () => {
        const one = await TestRun.open(store, 't');
        const two = await TestRun.open(store, 'u');
        await one.lines('a', 'b');
        await two.lines('x');
        await one.lines('c');
        assert.deepEqual(await linesOf(store, { position: 0 }), ['0 a', '1 b', '2 x', '3 c']);
        assert.deepEqual(await linesOf(store, { position: 1 }), ['1 b', '2 x', '3 c']);
        assert.deepEqual(await linesOf(store, { position: 2 }), ['2 x', '3 c']);
      });

      test('stops at maxBytes, but never before the first chunk', async () => {
        const run = await TestRun.open(store, 't');
        for (const text of ['a', 'b', 'c', 'd']) await run.lines(text.repeat(500));
        const chunks = async (maxBytes: number): Promise<number> =>
          (await store.read({ from: { task: 't', line: 2 }, maxBytes })).length;
        assert.equal(await chunks(1), 1);
        assert.equal(await chunks(1100), 2);
        assert.equal(await chunks(1e6), 3);
      });

      const wanted: [string, Wants, string[]][] = [
        ['everything', {}, ['a', 'b', 'c']],
        ['a level of a source', { pairs: 1 << pairOf(kindOf('stderr', 'ERROR')) }, ['b']],
        [
          'several pairs',
          { pairs: (1 << pairOf(kindOf('stderr', 'ERROR'))) | (1 << pairOf(kindOf('stdout', 'INFO'))) },
          ['a', 'b'],
        ],
        ['no pair', { pairs: 0 }, []],
        ['times from, inclusive', { from: 2000 }, ['b', 'c']],
        ['times to, inclusive', { to: 2000 }, ['a', 'b']],
        ['headers only', { headersOnly: true }, []],
      ];
      for (const [what, wants, expected] of wanted) {
        test(`wanting ${what} brings the bodies of ${expected.join(', ') || 'none'}, and all headers`, async () => {
          const run = await TestRun.open(store, 't');
          for (const [text, source, level, time] of [
            ['a', 'stdout', 'INFO', 1000],
            ['b', 'stderr', 'ERROR', 2000],
            ['c', 'agent', 'DEBUG', 3000],
          ] as [string, Source, Level, number][]) {
            await run.append(
              encodeLines(run.run, run.next(1), [{ time, kind: kindOf(source, level), text: Buffer.from(text) }]),
            );
          }
          const read = await store.read({ from: { task: 't', line: 1 }, maxBytes: 1e6, wants });
          assert.deepEqual(
            read.map(({ kind, count }) => [kind, count]),
            new Array(3).fill(['chunk', 1]),
          );
          const bodies = read.flatMap((chunk) =>
            chunk.kind === 'chunk' && chunk.body ? [chunk.body.toString('latin1', 0, 1)] : [],
          );
          assert.deepEqual(bodies, expected);
        });
      }
    });

    describe('wait', () => {
      const never = new AbortController().signal;

      test('is over at once if the task is past that line, or its revision is newer', async () => {
        await (await TestRun.open(store, 't')).lines('a');
        const revision = (await store.head('t'))?.revision ?? 0;
        await store.wait('t', { nextLine: 1, revision }, never);
        await store.wait('t', { nextLine: 99, revision: revision - 1 }, never);
        await store.waitAll(0, never);
      });

      test('ends with an append, a status, a task that comes to be', async () => {
        const created = store.wait('t', { nextLine: 1, revision: 0 }, never);
        const run = await TestRun.open(store, 't');
        await created;
        const { revision = 0 } = (await store.head('t')) ?? {};
        const appended = store.wait('t', { nextLine: 1, revision }, never);
        const anywhere = store.waitAll(0, never);
        await run.lines('a');
        await Promise.all([appended, anywhere]);
        const ended = store.wait('t', { nextLine: 2, revision }, never);
        await run.end();
        await ended;
      });

      test('wakes whoever waits on another handle of the store', async () => {
        const other = await another();
        const created = other.wait('t', { nextLine: 1, revision: 0 }, never);
        const run = await TestRun.open(store, 't');
        await created;
        const { revision = 0 } = (await other.head('t')) ?? {};
        const waits = [other.wait('t', { nextLine: 1, revision }, never), other.waitAll(0, never)];
        await run.lines('a');
        await Promise.all(waits);
        assert.deepEqual(await linesOf(other, { task: 't', line: 1 }), ['1 a']);
      });

      test('wakes after whoever appended', async () => {
        const run = await TestRun.open(store, 't');
        const { revision = 0 } = (await store.head('t')) ?? {};
        const order: string[] = [];
        const woken = store.wait('t', { nextLine: 1, revision }, never).then(() => order.push('reader'));
        await run.lines('a');
        order.push('writer');
        await woken;
        assert.deepEqual(order, ['writer', 'reader']);
      });

      test('goes on while nothing happens to that task', async () => {
        const run = await TestRun.open(store, 't');
        const other = await TestRun.open(store, 'u');
        const { revision = 0 } = (await store.head('t')) ?? {};
        let over = false;
        const waiting = store.wait('t', { nextLine: 2, revision }, never).then(() => (over = true));
        await run.lines('a');
        await other.lines('x');
        await store.head('t');
        await turn();
        assert.equal(over, false);
        await run.lines('b');
        await waiting;
      });

      test('rejects with the reason of its signal, before and after', async () => {
        const abort = new AbortController();
        const waits = [store.wait('t', { nextLine: 1, revision: 0 }, abort.signal), store.waitAll(9, abort.signal)];
        const reason = new Error('gone');
        abort.abort(reason);
        waits.push(store.wait('t', { nextLine: 1, revision: 0 }, abort.signal), store.waitAll(9, abort.signal));
        for (const wait of waits) await assert.rejects(wait, reason);
      });

      test('wakes thousands at once', async () => {
        const run = await TestRun.open(store, 't');
        const { revision = 0 } = (await store.head('t')) ?? {};
        const waits = Array.from({ length: 5000 }, () => store.wait('t', { nextLine: 1, revision }, never));
        await run.lines('a');
        await Promise.all(waits);
      });
    });

    describe('trim', () => {
      test('forgets whole chunks and leaves a gap that says so', async () => {
        const run = await TestRun.open(store, 't');
        await run.lines('a', 'b');
        await run.gap(1, 'dropped');
        await run.lines('c', 'd');
        assert.equal(await store.trim('t', 1), 0);
        assert.equal(await store.trim('t', 4), 3);
        assert.equal(await store.trim('t', 2), 3);
        assert.deepEqual(await all('t'), ['1 trimmed', '2 trimmed', '3 trimmed', '4 c', '5 d']);
        assert.deepEqual(await linesOf(store, { task: 't', line: 2 }), ['2 trimmed', '3 trimmed', '4 c', '5 d']);
        assert.deepEqual(await linesOf(store, { position: 0 }), ['3 c', '4 d']);
        const task = await store.task('t');
        assert.deepEqual([task?.lines, task?.missing, task?.textBytes, task?.trimmedLine], [2, 0, 4, 3]);
      });

      test('reuses no number, and a late duplicate stays one', async () => {
        const run = await TestRun.open(store, 't');
        const chunk = run.chunk('a', 'b');
        await run.append(chunk);
        assert.equal(await store.trim('t', 99), 2);
        assert.deepEqual(await run.append(chunk), { outcome: 'duplicate', nextSeq: 2 });
        assert.deepEqual(await run.lines('c'), stored({ nextSeq: 3, firstLine: 3, position: 2, count: 1 }));
        assert.deepEqual(await all('t'), ['1 trimmed', '2 trimmed', '3 c']);
        assert.equal((await run.end()).outcome, 'verified');
      });

      test('of everything leaves a task without lines and times', async () => {
        const run = await TestRun.open(store, 't');
        await run.lines('a', 'b');
        await store.trim('t', 2);
        const task = await store.task('t');
        assert.deepEqual(
          [task?.lines, task?.textBytes, task?.storedBytes, task?.minTime, task?.maxTime],
          [0, 0, 0, null, null],
        );
        assert.equal((await store.size()).chunks, 0);
        assert.deepEqual(await all('t'), ['1 trimmed', '2 trimmed']);
      });

      test('of an unknown task is nothing', async () => {
        assert.equal(await store.trim('nobody', 9), 0);
      });

      test('of many chunks forgets them all', async () => {
        const run = await TestRun.open(store, 't');
        await Promise.all(Array.from({ length: 700 }, () => run.lines('a')));
        assert.equal(await store.trim('t', 600), 600);
        assert.equal((await store.size()).chunks, 100);
      });
    });

    describe('tasks', () => {
      const queries: [string, Omit<TaskQuery, 'limit'>, string[]][] = [
        ['all', {}, ['gamma', 'beta', 'alpha']],
        ['created before a task', { before: 'gamma' }, ['beta', 'alpha']],
        ['created before an unknown task', { before: 'nobody' }, []],
        ['of a status', { status: 'succeeded' }, ['beta']],
        ['of a pipeline', { pipelineId: 'p' }, ['gamma', 'alpha']],
        ['with a label', { labels: { os: 'linux' } }, ['beta', 'alpha']],
        ['with all labels', { labels: { os: 'linux', 'a "b".c': '1' } }, ['beta']],
        ['with text in the id', { q: 'ET' }, ['beta']],
        ['with text in the name', { q: 'nightly' }, ['alpha']],
        ['with text that is no pattern', { q: '%' }, []],
        ['created since', { since: 20 }, ['gamma', 'beta']],
      ];
      for (const [what, query, expected] of queries) {
        test(`finds those ${what}, the newest first`, async () => {
          await TestRun.open(store, 'alpha', {
            pipelineId: 'p',
            labels: { os: 'linux' },
            taskName: 'Nightly',
            now: 10,
          });
          const beta = await TestRun.open(store, 'beta', { labels: { os: 'linux', 'a "b".c': '1' }, now: 20 });
          await beta.end();
          await TestRun.open(store, 'gamma', { pipelineId: 'p', now: 30 });
          const found = await store.tasks({ ...query, limit: 10 });
          assert.deepEqual(
            found.map(({ task }) => task),
            expected,
          );
          assert.deepEqual(await store.tasks({ ...query, limit: 1 }), found.slice(0, 1));
          for (const record of found) assert.deepEqual(record, await store.task(record.task));
        });
      }

      test('an unknown task is undefined, and has no runs', async () => {
        assert.equal(await store.task('nobody'), undefined);
        assert.deepEqual(await store.runs('nobody'), []);
      });
    });

    describe('close', () => {
      test('finishes what was called', async () => {
        const run = await TestRun.open(store, 't');
        const calls = [run.lines('a'), run.lines('b'), run.seen(9)];
        await store.close();
        assert.equal((await Promise.all(calls)).length, 3);
        store = await another();
        assert.deepEqual(await all('t'), ['1 a', '2 b']);
      });

      test('ends waiting and every later call', async () => {
        const { signal } = new AbortController();
        const waits = [store.wait('t', { nextLine: 1, revision: 0 }, signal), store.waitAll(0, signal)];
        const refused = waits.map((wait) => assert.rejects(wait, { reason: 'closed' }));
        await store.close();
        await store.close();
        await Promise.all(refused);
        for (const call of [
          () => store.head('t'),
          () => store.open(openRun('t')),
          () => store.read({ from: { position: 0 }, maxBytes: 1 }),
          () => store.trim('t', 1),
          () => store.wait('t', { nextLine: 1, revision: 0 }, signal),
          () => store.waitAll(0, signal),
        ]) {
          await assert.rejects(call, { name: 'StoreError', reason: 'closed' });
        }
      });
    });

    describe('two handles', () => {
      test('see what the other did, and number together', async () => {
        const other = await another();
        const one = await TestRun.open(store, 't');
        const two = await TestRun.open(other, 't');
        await one.lines('a');
        await two.lines('b');
        await one.lines('c');
        assert.deepEqual(await all('t'), ['1 a', '2 b', '3 c']);
        assert.deepEqual(await linesOf(other, { task: 't', line: 1 }), await all('t'));
      });

      test('fence each other', async () => {
        const run = await TestRun.open(store, 't');
        await run.lines('a');
        await (await another()).open(run.hello);
        assert.deepEqual(await run.append(run.chunk('b')), { outcome: 'fenced' });
      });

      test('take each other’s epoch', async () => {
        const other = await another();
        const opened = await other.open({ ...openRun('t'), epoch: other.epoch(), ackedSeq: 5 });
        await store.head('t');
        assert.equal(store.epoch(), opened.epoch);
      });

      test('that write at once lose and repeat nothing', async () => {
        const other = await another();
        const runs = [await TestRun.open(store, 't'), await TestRun.open(other, 't')];
        const each = Array.from({ length: 30 }, (_, index) => index);
        await Promise.all(runs.map(async (run) => Promise.all(each.map((index) => run.lines(`${run.run} ${index}`)))));
        const lines = await all('t');
        assert.equal(lines.length, 60);
        for (const { run } of runs) {
          const own = lines.filter((line) => line.includes(run)).map((line) => Number(line.split(' ').at(-1)));
          assert.deepEqual(own, each);
        }
      });
    });

    for (const seed of [...SEEDS, Date.now() % 2 ** 31]) {
      test(`random actions do what they do to the model (seed ${seed})`, async () => {
        await compareWithModel(seed, another);
      });
    }
  });
}

function stored(numbers: { nextSeq: number; firstLine: number; position: number; count: number }): object {
  return { outcome: 'stored', ...numbers };
}
