import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Fixture } from './conformance-fixture.ts';
import { TestRun } from './conformance-run.ts';
import type { Expired, ExpirePolicy } from './store.ts';

/** What the contract says of lines that are too old or too many. */
export function retentionConformance(on: Fixture): void {
  describe('expire', () => {
    /** Two tasks by turns: a chunk of `t`, one of `u`, … each of two lines, taken in at 100, 200, … */
    async function fill(): Promise<{ t: TestRun; u: TestRun; chunkBytes: number }> {
      const [t, u] = [await TestRun.open(on.store, 't'), await TestRun.open(on.store, 'u')];
      for (let i = 0; i < 6; i++) {
        const run = i % 2 === 0 ? t : u;
        await run.append(run.chunk(`${i}a`, `${i}b`), 100 * (i + 1));
      }
      const chunkBytes = ((await on.store.task('t'))?.storedBytes ?? 0) / 3;
      return { t, u, chunkBytes };
    }

    const policies: [what: string, policy: (chunkBytes: number) => ExpirePolicy, gone: number[], at?: number][] = [
      ['nothing without a policy', () => ({}), []],
      ['what was taken in longer ago', () => ({ maxAgeMs: 400 }), [0, 1]],
      ['nothing that was taken in so long ago', () => ({ maxAgeMs: 600 }), []],
      ['all that is too old', () => ({ maxAgeMs: 1 }), [0, 1, 2, 3, 4, 5]],
      ['the oldest of all tasks if there is too much', (bytes) => ({ maxBytes: 4 * bytes }), [0, 1]],
      ['one more if a byte is too much', (bytes) => ({ maxBytes: 4 * bytes - 1 }), [0, 1, 2]],
      ['everything if nothing may be', () => ({ maxBytes: 0 }), [0, 1, 2, 3, 4, 5]],
      ['the oldest of each task that has too much', (bytes) => ({ maxTaskBytes: 2 * bytes }), [0, 1]],
      ['the oldest of each task that has too many lines', () => ({ maxTaskLines: 3 }), [0, 1, 2, 3]],
      ['by the strictest of several rules', (bytes) => ({ maxAgeMs: 600, maxBytes: 5 * bytes, maxTaskLines: 6 }), [0]],
    ];
    for (const [what, policyOf, gone] of policies) {
      test(`forgets ${what}`, async () => {
        const { chunkBytes } = await fill();
        const expired = await on.store.expire(policyOf(chunkBytes), 700);
        const tasks = new Set(gone.map((chunk) => chunk % 2)).size;
        const expected: Expired = {
          tasks,
          chunks: gone.length,
          lines: 2 * gone.length,
          bytes: gone.length * chunkBytes,
        };
        assert.deepEqual(expired, expected);
        for (const [task, rest] of [
          ['t', 0],
          ['u', 1],
        ] as const) {
          const lines = [0, 1, 2].flatMap((index) => {
            const chunk = 2 * index + rest;
            return ['a', 'b'].map((text, line) => {
              return `${2 * index + line + 1} ${gone.includes(chunk) ? 'trimmed' : `${chunk}${text}`}`;
            });
          });
          assert.deepEqual(await on.all(task), lines);
        }
        assert.deepEqual(await on.store.expire(policyOf(chunkBytes), 700), {
          tasks: 0,
          chunks: 0,
          lines: 0,
          bytes: 0,
        });
      });
    }

    test('goes by when the store took lines in, not by what their times say', async () => {
      const run = await TestRun.open(on.store, 't');
      // Their own time is 1000, in the far past of one append and the future of the other.
      await run.append(run.chunk('early'), 10);
      await run.append(run.chunk('late'), 1_000_000);
      await on.store.expire({ maxAgeMs: 100 }, 1_000_050);
      assert.deepEqual(await on.all('t'), ['1 trimmed', '2 late']);
    });

    test('keeps nothing for ever that came while the clock was ahead', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.append(run.chunk('a'), 1e9);
      await run.append(run.chunk('b'), 1e9);
      assert.equal((await on.store.expire({ maxAgeMs: 100 }, 1000)).lines, 0);
      assert.equal((await on.store.expire({ maxAgeMs: 100 }, 1101)).lines, 2);
    });

    test('leaves what is pinned, also where there is too much, until it is no longer', async () => {
      const { chunkBytes } = await fill();
      assert.equal(await on.store.pin('t', true), true);
      assert.equal((await on.store.task('t'))?.pinned, true);
      assert.equal((await on.store.expire({ maxBytes: 4 * chunkBytes }, 700)).lines, 4);
      assert.equal((await on.store.expire({ maxAgeMs: 1, maxTaskLines: 1 }, 10_000)).lines, 2);
      assert.deepEqual((await on.all('t')).at(0), '1 0a');
      assert.deepEqual(
        await on.all('u'),
        [1, 2, 3, 4, 5, 6].map((line) => `${line} trimmed`),
      );
      assert.equal(await on.store.pin('t', false), true);
      assert.equal((await on.store.expire({ maxAgeMs: 1 }, 10_000)).lines, 6);
      assert.equal((await on.store.size()).chunks, 0);
    });

    test('of an unknown task there is nothing to pin', async () => {
      assert.equal(await on.store.pin('nobody', true), false);
      assert.equal(await on.store.task('nobody'), undefined);
    });

    test('takes gaps along, which count for no lines and no bytes', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.gap(5, 'dropped');
      await run.append(run.chunk('a'), 500);
      assert.deepEqual(await on.store.expire({ maxAgeMs: 100 }, 550), { tasks: 1, chunks: 1, lines: 0, bytes: 0 });
      const task = await on.store.task('t');
      assert.deepEqual([task?.trimmedLine, task?.missing, task?.lines], [5, 0, 1]);
    });

    test('reuses no number, and the run goes on and is verified', async () => {
      const { t } = await fill();
      await on.store.expire({ maxAgeMs: 1 }, 10_000);
      const outcome = await t.lines('z');
      assert.deepEqual('firstLine' in outcome && [outcome.firstLine, outcome.position], [7, 12]);
      assert.equal((await t.end()).outcome, 'verified');
    });

    test('of many chunks of many tasks forgets them all', async () => {
      const runs = await Promise.all(Array.from({ length: 30 }, (_, index) => TestRun.open(on.store, `t${index}`)));
      await Promise.all(runs.flatMap((run) => Array.from({ length: 20 }, () => run.lines('a'))));
      assert.deepEqual(
        { ...(await on.store.expire({ maxTaskLines: 3 }, 5)), bytes: 0 },
        {
          tasks: 30,
          chunks: 510,
          lines: 510,
          bytes: 0,
        },
      );
      assert.equal((await on.store.expire({ maxBytes: 0 }, 5)).chunks, 90);
      assert.equal((await on.store.size()).chunks, 0);
    });
  });
}
