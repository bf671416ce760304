import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Fixture } from './conformance-fixture.ts';
import { TestRun } from './conformance-run.ts';
import type { PipelineQuery, TaskStatus } from './store.ts';

/** What the contract says of pipelines, and of the store's change. */
export function pipelinesConformance(on: Fixture): void {
  describe('pipelines', () => {
    test('add up their tasks', async () => {
      const build = await TestRun.open(on.store, 'build', { pipelineId: 'p', now: 10 });
      await build.lines('a', 'b');
      await build.end({ exitCode: 1, now: 40 });
      const check = await TestRun.open(on.store, 'check', { pipelineId: 'p', now: 20 });
      await check.gap(3, 'dropped');
      await TestRun.open(on.store, 'check', { pipelineId: 'p', now: 30 });
      await on.store.annotate('build', { progress: 20 }, 45);
      await on.store.annotate('check', { progress: 37.5 }, 46);
      await TestRun.open(on.store, 'alone', { now: 50 });
      const { updatedAt, ...pipeline } = (await on.store.pipeline('p')) ?? { updatedAt: 0 };
      assert.deepEqual(pipeline, {
        pipelineId: 'p',
        tasks: 2,
        statuses: statuses({ failed: 1, running: 1 }),
        runs: 3,
        openRuns: 2,
        progress: 137.5,
        createdAt: 10,
        lines: 2,
        missing: 3,
        textBytes: 4,
      });
      const tasks = await Promise.all(['build', 'check'].map((task) => on.store.task(task)));
      assert.equal(updatedAt, Math.max(...tasks.map((task) => task?.updatedAt ?? 0)));
    });

    test('that no task names are undefined', async () => {
      await TestRun.open(on.store, 't');
      assert.equal(await on.store.pipeline('t'), undefined);
      assert.deepEqual(await on.store.pipelines({ limit: 5 }), []);
    });

    test('lose a task that moves on to another one', async () => {
      await TestRun.open(on.store, 't', { pipelineId: 'p' });
      await TestRun.open(on.store, 't', { pipelineId: 'q' });
      assert.equal(await on.store.pipeline('p'), undefined);
      assert.equal((await on.store.pipeline('q'))?.tasks, 1);
      await TestRun.open(on.store, 't');
      assert.equal((await on.store.pipeline('q'))?.openRuns, 3);
    });

    const queries: [string, Omit<PipelineQuery, 'limit'>, string[]][] = [
      ['all', {}, ['gamma', 'beta', 'Alpha %']],
      ['older than one', { before: 'gamma' }, ['beta', 'Alpha %']],
      ['older than the oldest', { before: 'Alpha %' }, []],
      ['older than an unknown one', { before: 'nobody' }, []],
      ['with text in the id', { q: 'aLPHA' }, ['Alpha %']],
      ['with text that is no pattern', { q: '%' }, ['Alpha %']],
      ['with text, older than one', { q: 'a', before: 'beta' }, ['Alpha %']],
    ];
    for (const [what, query, expected] of queries) {
      test(`finds those ${what}, the newest first`, async () => {
        await TestRun.open(on.store, 't1', { pipelineId: 'Alpha %', now: 10 });
        await TestRun.open(on.store, 't2', { pipelineId: 'beta', now: 20 });
        await TestRun.open(on.store, 't3', { pipelineId: 'gamma', now: 30 });
        // Of an older one: it stays where it is.
        await TestRun.open(on.store, 't4', { pipelineId: 'Alpha %', now: 40 });
        const found = await on.store.pipelines({ ...query, limit: 10 });
        assert.deepEqual(
          found.map(({ pipelineId }) => pipelineId),
          expected,
        );
        assert.deepEqual(await on.store.pipelines({ ...query, limit: 1 }), found.slice(0, 1));
        for (const pipeline of found) assert.deepEqual(await on.store.pipeline(pipeline.pipelineId), pipeline);
      });
    }
  });

  describe('change', () => {
    const never = new AbortController().signal;
    const steps: [string, (run: TestRun) => Promise<unknown>][] = [
      ['a new task', () => TestRun.open(on.store, 'u')],
      ['another run', () => TestRun.open(on.store, 't')],
      ['what is said of a task', () => on.store.annotate('t', { progress: 5 }, 5)],
      ['a task that is announced', () => on.store.annotate('u', { message: 'queued' }, 5)],
      ['a lost run', () => on.store.markLost(1_000, 1_000)],
      ['an end', (run) => run.end()],
    ];
    for (const [what, step] of steps) {
      test(`grows with ${what}, and wakes whoever waits on any handle`, async () => {
        const other = await on.another();
        const run = await TestRun.open(on.store, 't');
        const before = await on.store.change();
        assert.equal(await other.change(), before);
        const waits = [on.store, other].map((handle) => handle.waitChange(before, never));
        await step(run);
        await Promise.all(waits);
        assert.ok((await on.store.change()) > before);
        assert.equal(await other.change(), await on.store.change());
        await on.store.waitChange(before, never);
      });
    }

    const ways: [string, (run: TestRun) => Promise<unknown>][] = [
      ['appends', (run) => run.lines('a')],
      ['is seen', (run) => run.seen(2_000)],
      ['says hello', (run) => run.reopened()],
    ];
    for (const [what, back] of ways) {
      test(`grows when a lost run ${what}`, async () => {
        const run = await TestRun.open(on.store, 't');
        await on.store.markLost(1_000, 1_000);
        const before = await on.store.change();
        await back(run);
        assert.ok((await on.store.change()) > before);
      });
    }

    test('stays with lines, signs of life and trims', async () => {
      const run = await TestRun.open(on.store, 't');
      const before = await on.store.change();
      await run.lines('a', 'b');
      await run.seen(5);
      await on.store.trim('t', 1);
      assert.equal(await on.store.change(), before);
    });

    test('outlives the handle', async () => {
      await TestRun.open(on.store, 't');
      const before = await on.store.change();
      await on.store.close();
      on.store = await on.another();
      assert.equal(await on.store.change(), before);
    });

    test('is waited for until the signal, or the end of the store', async () => {
      const abort = new AbortController();
      const waits = [on.store.waitChange(99, abort.signal), on.store.waitChange(99, never)];
      const refused = [
        assert.rejects(waits[0], { message: 'enough' }),
        assert.rejects(waits[1], { name: 'StoreError', reason: 'closed' }),
      ];
      abort.abort(new Error('enough'));
      await refused[0];
      await on.store.close();
      await refused[1];
      await assert.rejects(on.store.waitChange(0, never), { name: 'StoreError', reason: 'closed' });
    });
  });
}

function statuses(given: Partial<Record<TaskStatus, number>>): Record<TaskStatus, number> {
  return { pending: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0, lost: 0, ...given };
}
