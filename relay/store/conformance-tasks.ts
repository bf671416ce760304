import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Fixture } from './conformance-fixture.ts';
import { TestRun } from './conformance-run.ts';
import type { TaskNote, TaskQuery, TaskRecord } from './store.ts';

/** What the contract says of tasks, what is said of them, and of sizes. */
export function tasksConformance(on: Fixture): void {
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
        await TestRun.open(on.store, 'alpha', {
          pipelineId: 'p',
          labels: { os: 'linux' },
          taskName: 'Nightly',
          now: 10,
        });
        const beta = await TestRun.open(on.store, 'beta', { labels: { os: 'linux', 'a "b".c': '1' }, now: 20 });
        await beta.end();
        await TestRun.open(on.store, 'gamma', { pipelineId: 'p', now: 30 });
        const found = await on.store.tasks({ ...query, limit: 10 });
        assert.deepEqual(
          found.map(({ task }) => task),
          expected,
        );
        assert.deepEqual(await on.store.tasks({ ...query, limit: 1 }), found.slice(0, 1));
        for (const record of found) assert.deepEqual(record, await on.store.task(record.task));
      });
    }

    test('an unknown task is undefined, and has no runs', async () => {
      assert.equal(await on.store.task('nobody'), undefined);
      assert.deepEqual(await on.store.runs('nobody'), []);
    });
  });

  describe('annotate', () => {
    test('sets what is given, leaves what is not, takes away what is null', async () => {
      await TestRun.open(on.store, 't');
      const notes: [TaskNote, TaskNote][] = [
        [
          { message: 'halfway', progress: 50 },
          { message: 'halfway', progress: 50, errorCode: null },
        ],
        [{ errorCode: 'E1' }, { message: 'halfway', progress: 50, errorCode: 'E1' }],
        [
          { message: null, progress: 62.5 },
          { message: null, progress: 62.5, errorCode: 'E1' },
        ],
        [{}, { message: null, progress: 62.5, errorCode: 'E1' }],
      ];
      for (const [note, expected] of notes) {
        await on.store.annotate('t', note, 5);
        const { message = null, progress = null, errorCode = null } = (await on.store.task('t')) ?? {};
        assert.deepEqual({ message, progress, errorCode }, expected);
      }
    });

    test('of a new task announces it, pending and without runs, which then runs', async () => {
      const created = on.store.wait('t', { nextLine: 1, revision: 0 }, new AbortController().signal);
      await on.store.annotate('t', { message: 'queued' }, 7);
      await created;
      const { status, runs, labels, createdAt, nextLine, exitCode } = (await on.store.task('t')) as TaskRecord;
      assert.deepEqual([status, runs, labels, createdAt, nextLine, exitCode], ['pending', 0, {}, 7, 1, null]);
      assert.deepEqual(await on.store.tasks({ limit: 5, status: 'pending', q: 't' }), [await on.store.task('t')]);
      assert.deepEqual(await on.store.tasks({ limit: 5, labels: { a: 'b' } }), []);
      assert.deepEqual(await on.store.runs('t'), []);
      assert.deepEqual(await on.all('t'), []);
      assert.deepEqual(await on.store.trim('t', 5), { trimmedLine: 0, lines: 0 });
      assert.equal(await on.store.lastLineUntil('t', Infinity), 0);
      const run = await TestRun.open(on.store, 't');
      await run.lines('a');
      assert.deepEqual([(await on.store.head('t'))?.status, await on.all('t')], ['running', ['1 a']]);
      assert.equal((await on.store.task('t'))?.message, 'queued');
    });

    test('makes the revision grow', async () => {
      await TestRun.open(on.store, 't');
      const { revision = 0 } = (await on.store.head('t')) ?? {};
      const changed = on.store.wait('t', { nextLine: 1, revision }, new AbortController().signal);
      await on.store.annotate('t', { progress: 1 }, 5);
      await changed;
      assert.ok(((await on.store.head('t'))?.revision ?? 0) > revision);
    });
  });

  describe('size', () => {
    test('counts chunks and what they take', async () => {
      assert.equal((await on.store.size()).chunks, 0);
      const run = await TestRun.open(on.store, 't');
      await run.lines('a');
      await run.gap(2, 'dropped');
      const { chunks, bytes, pendingBytes, freeBytes } = await on.store.size();
      assert.equal(chunks, 2);
      assert.ok(bytes > 0 && pendingBytes >= 0 && freeBytes >= 0 && pendingBytes + freeBytes <= bytes);
    });
  });
}
