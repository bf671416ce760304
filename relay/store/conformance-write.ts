import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeLines } from '../../shared/columns.ts';
import { kindOf, pairOf } from '../../shared/line.ts';
import type { EndReason } from '../../shared/wire.ts';
import { stored, type Fixture } from './conformance-fixture.ts';
import { linesOf, openRun, TestRun } from './conformance-run.ts';
import type { TaskStatus } from './store.ts';

/** What the contract says of those who write. */
export function writingConformance(on: Fixture): void {
  describe('open', () => {
    test('creates task and run', async () => {
      const { fence: _, ...opened } = await on.store.open(openRun('t'));
      assert.deepEqual(opened, { epoch: on.store.epoch(), nextSeq: 0, digest: '00'.repeat(16), ended: false });
      assert.equal((await on.store.task('t'))?.status, 'running');
    });

    test('fences every earlier writer of the run', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.lines('a');
      const later = await run.reopened();
      assert.deepEqual(await run.append(run.chunk('b')), { outcome: 'fenced' });
      assert.deepEqual(await run.end(), { outcome: 'fenced' });
      await run.seen(1_000_000, 99);
      assert.equal((await on.store.runs('t'))[0].reportedSeq, 1);
      assert.equal((await later.append(later.chunk('b'))).outcome, 'stored');
    });

    test('says where a known run goes on', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.lines('a', 'b');
      const { nextSeq, digest, ended } = await on.store.open(run.hello);
      assert.deepEqual({ nextSeq, digest, ended }, { nextSeq: 2, digest: run.digest, ended: false });
    });

    test('makes a lost run run again, and leaves an ended one ended', async () => {
      const lost = await TestRun.open(on.store, 't');
      await on.store.markLost(Infinity, 5);
      assert.equal((await on.store.head('t'))?.status, 'lost');
      await lost.reopened();
      assert.equal((await on.store.head('t'))?.status, 'running');
      await (await lost.reopened()).end();
      assert.equal((await on.store.open(lost.hello)).ended, true);
      assert.equal((await on.store.head('t'))?.status, 'succeeded');
    });

    test('mints a new epoch when the store has forgotten what it acknowledged, once', async () => {
      const epoch = on.store.epoch();
      const opened = await on.store.open({ ...openRun('t'), epoch, ackedSeq: 7 });
      assert.notEqual(opened.epoch, epoch);
      assert.equal(on.store.epoch(), opened.epoch);
      assert.equal(opened.nextSeq, 0);
      const next = await on.store.open({ ...openRun('t'), epoch, ackedSeq: 7 });
      assert.equal(next.epoch, opened.epoch);
    });

    test('keeps its epoch for what another store acknowledged, and over reopening', async () => {
      const epoch = on.store.epoch();
      await on.store.open({ ...openRun('t'), epoch: 'another', ackedSeq: 7 });
      await on.store.open({ ...openRun('t'), ackedSeq: 7 });
      await on.store.close();
      assert.equal((await on.another()).epoch(), epoch);
    });
  });

  describe('append', () => {
    test('numbers the lines of a task from 1 and those of the store from 0, over runs and tasks', async () => {
      const one = await TestRun.open(on.store, 't');
      const two = await TestRun.open(on.store, 't');
      const other = await TestRun.open(on.store, 'u');
      assert.deepEqual(await one.lines('a', 'b'), stored({ nextSeq: 2, firstLine: 1, position: 0, count: 2 }));
      assert.deepEqual(await other.lines('x'), stored({ nextSeq: 1, firstLine: 1, position: 2, count: 1 }));
      assert.deepEqual(await two.lines('c'), stored({ nextSeq: 1, firstLine: 3, position: 3, count: 1 }));
      assert.deepEqual(await one.lines('d'), stored({ nextSeq: 3, firstLine: 4, position: 4, count: 1 }));
      assert.deepEqual(await on.all('t'), ['1 a', '2 b', '3 c', '4 d']);
      assert.equal(await on.store.nextPosition(), 5);
    });

    test('answers what is there already as a duplicate and changes nothing', async () => {
      const run = await TestRun.open(on.store, 't');
      const chunk = run.chunk('a', 'b');
      await run.append(chunk);
      const before = [await on.store.task('t'), await on.store.runs('t')];
      assert.deepEqual(await run.append(chunk), { outcome: 'duplicate', nextSeq: 2 });
      assert.deepEqual([await on.store.task('t'), await on.store.runs('t')], before);
    });

    test('clips what overlaps', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.append(run.chunk('a', 'b'));
      const outcome = await run.append(run.chunkFrom(1, 'b', 'c', 'd'));
      const clipped = run.chunkFrom(2, 'c', 'd');
      assert.deepEqual(outcome, { ...stored({ nextSeq: 4, firstLine: 3, position: 2, count: 2 }), clipped });
      assert.deepEqual(await on.all('t'), ['1 a', '2 b', '3 c', '4 d']);
    });

    test('keeps of an overlapping chunk that cannot be read a gap over exactly its lines', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.append(run.chunk('a', 'b'));
      const broken = run.chunkFrom(1, 'b', 'c', 'd');
      broken[broken.length - 1] ^= 0xff;
      assert.equal((await run.append(broken)).outcome, 'stored');
      assert.deepEqual(await on.all('t'), ['1 a', '2 b', '3 corrupt', '4 corrupt']);
    });

    test('refuses what starts above the next seq and names it', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.lines('a');
      assert.deepEqual(await run.append(run.chunkFrom(5, 'z')), { outcome: 'expected', nextSeq: 1 });
      assert.deepEqual(await on.all('t'), ['1 a']);
    });

    test('refuses unknown runs and ended ones', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.lines('a');
      await run.end();
      assert.deepEqual(await run.append(run.chunk('b')), { outcome: 'ended', nextSeq: 1 });
      const { bytes } = { bytes: run.chunk('b') };
      const unknown = { task: 'nobody', run: run.run, fence: run.fence, bytes, now: 1 };
      assert.deepEqual(await on.store.append(unknown), { outcome: 'fenced' });
      assert.equal(await on.store.head('nobody'), undefined);
    });

    test('applies appends of one moment in the order of the calls', async () => {
      const runs = await Promise.all(Array.from({ length: 10 }, (_, index) => TestRun.open(on.store, `t${index % 3}`)));
      const chunks = runs.flatMap((run) =>
        Array.from({ length: 20 }, (_, seq) => () => run.append(run.chunkFrom(seq, `${run.run} ${seq}`))),
      );
      const outcomes = await Promise.all(chunks.map((append) => append()));
      assert.deepEqual([...new Set(outcomes.map(({ outcome }) => outcome))], ['stored']);
      const lines = await linesOf(on.store, { position: 0 });
      for (const { run } of runs) {
        const own = lines.filter((line) => line.includes(run)).map((line) => line.split(' ').at(-1));
        assert.deepEqual(
          own,
          Array.from({ length: 20 }, (_, seq) => String(seq)),
        );
      }
    });

    test('takes gaps as lines that have numbers and are not counted', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.lines('a');
      await run.gap(3, 'dropped');
      await run.lines('b');
      assert.deepEqual(await on.all('t'), ['1 a', '2 dropped', '3 dropped', '4 dropped', '5 b']);
      const task = await on.store.task('t');
      assert.deepEqual([task?.lines, task?.missing, task?.nextLine], [2, 3, 6]);
      assert.deepEqual((await on.store.read({ from: { task: 't', line: 3 }, maxBytes: 1 }))[0], {
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
      const run = await TestRun.open(on.store, 't');
      const kinds = [kindOf('stdout', 'INFO'), kindOf('stderr', 'ERROR'), kindOf('stderr', 'ERROR')];
      const lines = kinds.map((kind, index) => ({ time: 500 - index, kind, text: Buffer.from('abc') }));
      const bytes = encodeLines(run.run, 0, lines);
      await run.append(bytes, 77);
      const task = await on.store.task('t');
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
          startedAt: 1,
          endedAt: null,
          exitCode: null,
          signal: null,
          lines: 3,
          counts,
          textBytes: 12,
          storedBytes: bytes.length,
          missing: 0,
          minTime: 498,
          maxTime: 500,
          pinned: false,
          message: null,
          progress: null,
          errorCode: null,
        },
      );
    });
  });

  describe('end', () => {
    test('is verified when numbers and digest agree, and says so again', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.lines('a', 'b');
      await run.gap(2, 'dropped');
      assert.deepEqual(await run.end(), { outcome: 'verified', nextSeq: 4 });
      assert.deepEqual(await run.end(), { outcome: 'verified', nextSeq: 4 });
      const [record] = await on.store.runs('t');
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
        const run = await TestRun.open(on.store, 't');
        await run.lines('a', 'b');
        const answer = { outcome: 'unverified', nextSeq: 2, digest: run.digest };
        assert.deepEqual(await run.end(said), answer);
        assert.deepEqual(await run.end(said), answer);
        assert.equal((await on.store.runs('t'))[0].verified, false);
      });
    }

    test('with missing lines changes nothing', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.lines('a');
      const before = await on.store.runs('t');
      assert.deepEqual(await run.end({ nextSeq: 3 }), { outcome: 'missing', nextSeq: 1 });
      assert.deepEqual(await on.store.runs('t'), before);
    });

    test('of an unknown run is fenced', async () => {
      const run = await TestRun.open(on.store, 't');
      run.task = 'nobody';
      assert.deepEqual(await run.end(), { outcome: 'fenced' });
    });

    test('comes after the appends that were called before it', async () => {
      const run = await TestRun.open(on.store, 't');
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
        const run = await TestRun.open(on.store, 't');
        await run.end({ reason, exitCode });
        assert.equal((await on.store.runs('t'))[0].status, status);
        const task = await on.store.task('t');
        assert.deepEqual([task?.status, task?.exitCode, task?.openRuns], [status, exitCode, 0]);
      });
    }
  });
}
