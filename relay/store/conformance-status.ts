import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Fixture } from './conformance-fixture.ts';
import { TestRun } from './conformance-run.ts';

/** What the contract says of the status of runs and tasks. */
export function statusConformance(on: Fixture): void {
  describe('a task of several runs', () => {
    test('is running while one is open, failed if one failed beside the newest', async () => {
      const one = await TestRun.open(on.store, 't', { startedAt: 100 });
      const two = await TestRun.open(on.store, 't', { startedAt: 150 });
      await one.end({ exitCode: 1, endedAt: 200 });
      assert.equal((await on.store.head('t'))?.status, 'running');
      await two.end({ endedAt: 300 });
      assert.equal((await on.store.head('t'))?.status, 'failed');
    });

    test('is as the newest if a failed one was over before it started', async () => {
      const one = await TestRun.open(on.store, 't', { startedAt: 100 });
      await one.end({ exitCode: 1, endedAt: 200 });
      const two = await TestRun.open(on.store, 't', { startedAt: 200 });
      await two.end({ endedAt: 300 });
      assert.equal((await on.store.head('t'))?.status, 'succeeded');
    });

    test('is lost when all that are open are', async () => {
      const one = await TestRun.open(on.store, 't', { startedAt: 100 });
      await TestRun.open(on.store, 't', { startedAt: 150 });
      await one.seen(50);
      assert.equal((await on.store.markLost(20, 60)).length, 1);
      assert.equal((await on.store.head('t'))?.status, 'running');
      assert.equal((await on.store.markLost(55, 70)).length, 1);
      assert.equal((await on.store.head('t'))?.status, 'lost');
      assert.equal((await on.store.head('t'))?.openRuns, 2);
    });

    test('has its runs in the order in which they were opened, with what they said of themselves', async () => {
      const said = { workerId: 'w', pipelineId: 'p', taskName: 'n', command: 'make', labels: { a: 'b' } };
      const one = await TestRun.open(on.store, 't', { ...said, startedAt: 5, now: 6 });
      const two = await TestRun.open(on.store, 't');
      const [first, second] = await on.store.runs('t');
      assert.deepEqual([first.run, second.run], [one.run, two.run]);
      const { workerId, pipelineId, taskName, command, labels, startedAt, openedAt } = first;
      assert.deepEqual({ workerId, pipelineId, taskName, command, labels }, said);
      assert.deepEqual([startedAt, openedAt], [5, 6]);
      assert.equal('pipelineId' in second, false);
      const task = await on.store.task('t');
      assert.deepEqual([task?.name, task?.pipelineId, task?.labels], ['n', 'p', {}]);
      assert.deepEqual(await on.store.runs('t', [two.run, 'nobody']), [second]);
      assert.deepEqual(await on.store.runs('t', []), []);
      assert.deepEqual(await on.store.runs('u', [one.run]), []);
    });
  });

  describe('seen and markLost', () => {
    test('seen keeps a run from being lost and notes how far it is', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.seen(500, 40);
      assert.deepEqual(await on.store.markLost(500, 600), []);
      assert.equal((await on.store.runs('t'))[0].reportedSeq, 40);
      await run.seen(400, 30);
      const [{ lastSeen, reportedSeq }] = await on.store.runs('t');
      assert.deepEqual([lastSeen, reportedSeq], [500, 40]);
    });

    test('what is reported is never below what is stored', async () => {
      const run = await TestRun.open(on.store, 't');
      await run.lines('a', 'b');
      assert.equal((await on.store.runs('t'))[0].reportedSeq, 2);
    });

    test('markLost names each run once and leaves ended ones', async () => {
      const run = await TestRun.open(on.store, 't');
      await (await TestRun.open(on.store, 'u')).end();
      assert.deepEqual(await on.store.markLost(1_000, 1_000), [{ task: 't', run: run.run }]);
      assert.deepEqual(await on.store.markLost(1_000, 1_000), []);
    });

    test('markLost leaves the runs of a task that needs no sign of life', async () => {
      const [one, other] = [await TestRun.open(on.store, 't'), await TestRun.open(on.store, 'u')];
      assert.deepEqual(await on.store.markLost(1_000, 1_000, 't'), [{ task: 'u', run: other.run }]);
      assert.deepEqual(await on.store.markLost(1_000, 1_000), [{ task: 't', run: one.run }]);
    });

    test('a lost run that appends or is seen runs again', async () => {
      const run = await TestRun.open(on.store, 't');
      await on.store.markLost(1_000, 1_000);
      await run.lines('a');
      assert.equal((await on.store.head('t'))?.status, 'running');
      await on.store.markLost(2_000, 2_000);
      await run.seen(3_000);
      assert.equal((await on.store.head('t'))?.status, 'running');
    });

    test('each change of status changes the revision, an append does not', async () => {
      const revisions: (number | undefined)[] = [];
      const note = async (): Promise<void> => void revisions.push((await on.store.head('t'))?.revision);
      const run = await TestRun.open(on.store, 't');
      await note();
      await on.store.markLost(1_000, 1_000);
      await note();
      await run.reopened();
      await note();
      await TestRun.open(on.store, 't');
      await note();
      assert.equal(new Set(revisions).size, 4);
      assert.deepEqual(
        revisions,
        revisions.toSorted((a = 0, b = 0) => a - b),
      );
      const again = await run.reopened();
      await again.lines('a');
      assert.equal((await on.store.head('t'))?.revision, revisions.at(-1));
    });
  });
}
