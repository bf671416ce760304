import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pipelineOf } from '../store/pipeline-of.ts';
import type { TaskRecord, TaskStatus } from '../store/store.ts';
import { progressOf, type PipelineProgress } from './progress.ts';

const OPEN: readonly TaskStatus[] = ['running', 'lost'];

function task(status: TaskStatus, said: Partial<TaskRecord> = {}): TaskRecord {
  const openRuns = OPEN.includes(status) ? 1 : 0;
  const startedAt = status === 'pending' ? null : 100;
  const endedAt = status === 'pending' || openRuns === 1 ? null : 200;
  const counted = { lines: 0, missing: 0, textBytes: 0, createdAt: 1, updatedAt: 2, runs: 1 };
  const notes = { message: null, progress: null, errorCode: null, exitCode: null, signal: null };
  return { task: 't', status, openRuns, startedAt, endedAt, ...counted, ...notes, ...said } as TaskRecord;
}

function progress(...tasks: TaskRecord[]): PipelineProgress {
  return progressOf(pipelineOf('p', tasks), tasks);
}

const STATUSES: [tasks: TaskStatus[], TaskStatus][] = [
  [['pending'], 'pending'],
  [['pending', 'pending'], 'pending'],
  [['succeeded', 'pending'], 'running'],
  [['failed', 'pending'], 'running'],
  [['pending', 'running'], 'running'],
  [['lost', 'running'], 'running'],
  [['failed', 'running'], 'running'],
  [['lost', 'pending', 'failed'], 'lost'],
  [['succeeded', 'failed', 'cancelled'], 'failed'],
  [['succeeded', 'cancelled'], 'cancelled'],
  [['succeeded', 'succeeded'], 'succeeded'],
];
for (const [statuses, expected] of STATUSES) {
  test(`tasks that are ${statuses.join(', ')} are a pipeline that is ${expected}`, () => {
    assert.equal(progress(...statuses.map((status) => task(status))).status, expected);
  });
}

const PERCENTS: [what: string, tasks: TaskRecord[], number][] = [
  ['a task that is announced', [task('pending')], 0],
  ['a task that says nothing of it', [task('running')], 0],
  ['a task that does', [task('running', { progress: 37.9 })], 37],
  ['a task that is lost on its way', [task('lost', { progress: 40 })], 40],
  ['a task that failed half way', [task('failed', { progress: 50 })], 100],
  ['two of three that have ended', [task('succeeded'), task('cancelled'), task('running')], 66],
  ['one that says 100 and still runs', [task('running', { progress: 100 }), task('succeeded')], 100],
];
for (const [what, tasks, expected] of PERCENTS) {
  test(`${what} makes ${expected} percent`, () => {
    assert.equal(progress(...tasks).percent, expected);
  });
}

test('it started with its first task, and ended with its last if none is open', () => {
  const [early, late] = [
    task('succeeded', { startedAt: 50, endedAt: 60 }),
    task('failed', { startedAt: 55, endedAt: 300 }),
  ];
  const times = ({ startedAt, endedAt }: PipelineProgress): unknown => [startedAt, endedAt];
  assert.deepEqual(times(progress(early, late)), [50, 300]);
  assert.deepEqual(times(progress(early, task('running'))), [50, null]);
  assert.deepEqual(times(progress(early, task('pending'))), [50, null]);
  assert.deepEqual(times(progress(task('pending'))), [null, null]);
});

const ERRORS: [tasks: TaskRecord[], string | null][] = [
  [[task('succeeded', { message: 'well done' })], null],
  [[task('failed', { message: 'no disk' }), task('failed', { message: 'later' })], 't: no disk'],
  [[task('failed', { message: 'no disk', errorCode: 'E7' })], 't: E7: no disk'],
  [[task('failed', { exitCode: 3 })], 't: failed with exit code 3'],
  [[task('failed', { exitCode: 137, signal: 'SIGKILL' })], 't: failed by SIGKILL'],
  [[task('failed')], 't: failed'],
  [[task('lost')], 't: the agent has fallen silent'],
];
for (const [tasks, expected] of ERRORS) {
  test(`what went wrong is told as ${JSON.stringify(expected)}`, () => {
    assert.equal(progress(...tasks).errorMessage, expected);
  });
}
