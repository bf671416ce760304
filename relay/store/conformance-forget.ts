import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeLines } from '../../shared/columns.ts';
import { kindOf } from '../../shared/line.ts';
import { stored, type Fixture } from './conformance-fixture.ts';
import { linesOf, TestRun } from './conformance-run.ts';
import type { Trimmed } from './store.ts';

/** What the contract says of forgetting. */
export function forgettingConformance(on: Fixture): void {
  describe('trim', () => {
    const trims: [what: string, through: number, Trimmed, left: string[]][] = [
      ['nothing', 0, { trimmedLine: 0, lines: 0 }, ['1 a', '2 b', '3 dropped', '4 dropped', '5 c', '6 d', '7 e']],
      ['within a chunk', 1, { trimmedLine: 1, lines: 1 }, ['2 b', '3 dropped', '4 dropped', '5 c', '6 d', '7 e']],
      ['at the end of one', 2, { trimmedLine: 2, lines: 2 }, ['3 dropped', '4 dropped', '5 c', '6 d', '7 e']],
      ['within a gap', 3, { trimmedLine: 3, lines: 2 }, ['4 dropped', '5 c', '6 d', '7 e']],
      ['at the end of a gap', 4, { trimmedLine: 4, lines: 2 }, ['5 c', '6 d', '7 e']],
      ['within the last chunk', 6, { trimmedLine: 6, lines: 4 }, ['7 e']],
      ['everything', 7, { trimmedLine: 7, lines: 5 }, []],
      ['past the head', 99, { trimmedLine: 7, lines: 5 }, []],
    ];
    for (const settled of ['as it was appended', 'merged']) {
      for (const [what, through, answer, left] of trims) {
        test(`forgets exactly the lines ${what}, of what is ${settled}`, async () => {
          const run = await TestRun.open(on.store, 't');
          await run.lines('a');
          await run.lines('b');
          await run.gap(2, 'dropped');
          await run.lines('c', 'd');
          await run.lines('e');
          if (settled === 'merged') await on.settle();
          assert.deepEqual(await on.store.trim('t', through), answer);
          assert.deepEqual(await on.store.trim('t', through), { ...answer, lines: 0 });
          const trimmed = Array.from({ length: answer.trimmedLine }, (_, index) => `${index + 1} trimmed`);
          assert.deepEqual(await on.all('t'), [...trimmed, ...left]);
          const positions = left.map((line) => `${Number(line.split(' ')[0]) - 1} ${line.split(' ')[1]}`);
          assert.deepEqual(await linesOf(on.store, { position: 0 }), positions);
          const task = await on.store.task('t');
          const missing = left.filter((line) => line.endsWith('dropped')).length;
          const lines = left.length - missing;
          assert.deepEqual(
            [task?.lines, task?.missing, task?.textBytes, task?.trimmedLine, task?.nextLine],
            [lines, missing, 2 * lines, answer.trimmedLine, 8],
          );
          assert.deepEqual(await run.lines('f'), stored({ nextSeq: 8, firstLine: 8, position: 7, count: 1 }));
        });
      }
    }

    test('leaves of a chunk that cannot be read a gap over exactly the rest', async () => {
      const run = await TestRun.open(on.store, 't');
      const broken = run.chunk('a', 'b', 'c');
      broken[broken.length - 1] ^= 0xff;
      await run.append(broken);
      await run.lines('d');
      assert.deepEqual(await on.store.trim('t', 1), { trimmedLine: 1, lines: 1 });
      assert.deepEqual(await on.all('t'), ['1 trimmed', '2 corrupt', '3 corrupt', '4 d']);
      const task = await on.store.task('t');
      assert.deepEqual([task?.lines, task?.missing], [1, 2]);
    });

    test('reuses no number, and a late duplicate stays one', async () => {
      const run = await TestRun.open(on.store, 't');
      const chunk = run.chunk('a', 'b');
      await run.append(chunk);
      assert.equal((await on.store.trim('t', 99)).trimmedLine, 2);
      assert.deepEqual(await run.append(chunk), { outcome: 'duplicate', nextSeq: 2 });
      assert.deepEqual(await run.lines('c'), stored({ nextSeq: 3, firstLine: 3, position: 2, count: 1 }));
      assert.deepEqual(await on.all('t'), ['1 trimmed', '2 trimmed', '3 c']);
      assert.equal((await run.end()).outcome, 'verified');
    });

    test('of everything leaves a task without lines and times', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.lines('a', 'b');
      await on.store.trim('t', 2);
      const task = await on.store.task('t');
      assert.deepEqual(
        [task?.lines, task?.textBytes, task?.storedBytes, task?.minTime, task?.maxTime],
        [0, 0, 0, null, null],
      );
      assert.equal((await on.store.size()).chunks, 0);
      assert.deepEqual(await on.all('t'), ['1 trimmed', '2 trimmed']);
    });

    test('of an unknown task is nothing', async () => {
      assert.deepEqual(await on.store.trim('nobody', 9), { trimmedLine: 0, lines: 0 });
    });

    test('of many chunks forgets them all', async () => {
      const run = await TestRun.open(on.store, 't');
      await Promise.all(Array.from({ length: 700 }, () => run.lines('a')));
      assert.equal((await on.store.trim('t', 600)).trimmedLine, 600);
      assert.equal((await on.store.size()).chunks, 100);
    });
  });

  describe('lastLineUntil', () => {
    const times = [10, 20, 20, 15, 30, 5];
    const places: [time: number, line: number][] = [
      [9, 0],
      [10, 1],
      [19, 1],
      [20, 5],
      [29, 5],
      [30, 7],
      [Infinity, 7],
    ];
    for (const settled of ['as it was appended', 'merged']) {
      test(`is the last line before any that is later, in what is ${settled}`, async () => {
        const run = await TestRun.open(on.store, 't');
        // A gap stands at line 4, and has no time that counts.
        for (const slice of [times.slice(0, 2), times.slice(2, 3), 'gap' as const, times.slice(3)]) {
          if (slice === 'gap') await run.gap(1, 'dropped');
          else await run.append(timedChunk(run, slice));
        }
        if (settled === 'merged') await on.settle();
        for (const [time, line] of places) assert.equal(await on.store.lastLineUntil('t', time), line, `until ${time}`);
        await on.store.trim('t', 2);
        assert.equal(await on.store.lastLineUntil('t', 10), 0);
        assert.equal(await on.store.lastLineUntil('t', 20), 5);
        await on.store.trim('t', 9);
        assert.equal(await on.store.lastLineUntil('t', 99), 0);
      });
    }

    test('of an unknown task is none', async () => {
      assert.equal(await on.store.lastLineUntil('nobody', 9), 0);
    });
  });
}

function timedChunk(run: TestRun, times: number[]): Buffer {
  const kind = kindOf('stdout', 'INFO');
  const lines = times.map((time) => ({ time, kind, text: Buffer.from(String(time)) }));
  return encodeLines(run.run, run.next(times.length), lines);
}
