import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { newUlid } from '../../../shared/ulid.ts';
import type { RunRecord, TaskRecord } from '../../store/store.ts';
import { pipelineOf } from '../../store/pipeline-of.ts';
import { pipelineProgress, stageProgress, type Progress } from './progress.ts';

const T0 = Date.parse('2026-01-02T03:04:05.678Z');
const at = (ms: number): string => new Date(T0 + ms).toISOString();

const TASK: TaskRecord = {
  ...{ task: 'build', pipelineId: 'p', labels: {}, createdAt: T0, updatedAt: T0 + 5000, exitCode: null, signal: null },
  ...{ startedAt: T0 + 1000, endedAt: null },
  ...{ lines: 0, counts: [], textBytes: 0, storedBytes: 0, missing: 0, minTime: null, maxTime: null, pinned: false },
  ...{ message: null, progress: null, errorCode: null, nextLine: 1, trimmedLine: 0, revision: 1 },
  ...{ status: 'running', openRuns: 1, runs: 1 },
};
const RUN: RunRecord = {
  ...{ task: 'build', run: newUlid(0), status: 'running', workerId: 'w-1', labels: {}, agentVersion: '0' },
  ...{ startedAt: T0 + 1000, openedAt: T0 + 1100, lastSeen: T0 + 2000, endedAt: null, exitCode: null, signal: null },
  ...{ reason: null, nextSeq: 0, reportedSeq: 0, digest: '', verified: null, lines: 0, textBytes: 0, missing: 0 },
};
const RUNNING: Progress = {
  pipelineId: 'p',
  stageId: 'build',
  status: 1,
  progressPercentage: 0,
  message: 'running',
  timestamp: at(5000),
  startedAt: at(1000),
  completedAt: '',
  workerPodNames: ['w-1'],
  errorMessage: '',
};
const ENDED: RunRecord = { ...RUN, status: 'succeeded', endedAt: T0 + 4000, exitCode: 0, reason: 'exited' };
const FAILED: RunRecord = { ...ENDED, status: 'failed', exitCode: 3 };
const failed: Partial<TaskRecord> = { status: 'failed', openRuns: 0 };
const failure: Partial<Progress> = { status: 3, progressPercentage: 100, message: 'failed', completedAt: at(4000) };

const STAGES: [what: string, task: Partial<TaskRecord>, runs: RunRecord[], shown: Partial<Progress>][] = [
  [
    'that is only announced',
    { status: 'pending', openRuns: 0, runs: 0 },
    [],
    { status: 0, message: 'pending', startedAt: '', workerPodNames: [] },
  ],
  ['that runs', {}, [RUN], {}],
  [
    'that says how far it is',
    { progress: 33.4, message: 'compiling' },
    [RUN],
    { progressPercentage: 33, message: 'compiling' },
  ],
  [
    'that has succeeded',
    { status: 'succeeded', openRuns: 0, progress: 90 },
    [ENDED],
    { status: 2, progressPercentage: 100, message: 'succeeded', completedAt: at(4000) },
  ],
  ['that has failed', failed, [FAILED], { ...failure, errorMessage: 'Exited with code 3' }],
  [
    'that was killed',
    failed,
    [{ ...FAILED, exitCode: null, signal: 'SIGKILL', reason: 'signalled' }],
    { ...failure, errorMessage: 'Killed by a signal (SIGKILL)' },
  ],
  [
    'that took too long',
    failed,
    [{ ...FAILED, exitCode: 124, reason: 'timeout' }],
    { ...failure, errorMessage: 'Took too long' },
  ],
  [
    'that has failed without saying how',
    failed,
    [{ ...FAILED, exitCode: null, reason: null }],
    { ...failure, errorMessage: 'Failed' },
  ],
  [
    'that says why it has failed',
    { ...failed, errorCode: 'OOM', message: 'no memory' },
    [FAILED],
    { ...failure, message: 'no memory', errorMessage: 'OOM: no memory' },
  ],
  [
    'whose agent is lost',
    { status: 'lost', openRuns: 1, progress: 40 },
    [{ ...RUN, status: 'lost' }],
    { status: 3, progressPercentage: 40, message: 'lost', errorMessage: 'The agent has fallen silent' },
  ],
  [
    'that was cancelled',
    { status: 'cancelled', openRuns: 0 },
    [{ ...ENDED, status: 'cancelled' }],
    { status: 4, progressPercentage: 100, message: 'cancelled', completedAt: at(4000) },
  ],
  [
    'that is tried again',
    { runs: 2 },
    [FAILED, { ...RUN, startedAt: T0 + 4500, workerId: 'w-2' }],
    { workerPodNames: ['w-1', 'w-2'] },
  ],
  [
    'whose pods are known',
    { runs: 3 },
    [
      { ...RUN, labels: { pod: 'pod-a' } },
      { ...RUN, labels: { pod: 'pod-b' } },
      { ...RUN, labels: { pod: 'pod-a' } },
    ],
    { workerPodNames: ['pod-a', 'pod-b'] },
  ],
];

describe('a stage', () => {
  for (const [what, task, runs, shown] of STAGES) {
    test(what, () => {
      assert.deepEqual(stageProgress({ ...TASK, ...task }, runs, 'p'), { ...RUNNING, ...shown });
    });
  }
});

test('of a stage that was tried very often, the newest pods are named', () => {
  const runs = Array.from({ length: 150 }, (_, i) => ({ ...RUN, workerId: `w-${i}` }));
  const { workerPodNames } = stageProgress(TASK, runs, 'p');
  assert.deepEqual([workerPodNames.length, workerPodNames.at(-1)], [100, 'w-149']);
});

describe('a pipeline as a whole', () => {
  const ended = { openRuns: 0, endedAt: T0 + 4000 };
  const [PENDING, LOST, DONE, CANCELLED]: Partial<TaskRecord>[] = [
    { status: 'pending', openRuns: 0, runs: 0, startedAt: null },
    { status: 'lost', task: 'lost' },
    { status: 'succeeded', ...ended },
    { status: 'cancelled', ...ended },
  ];
  const FAILURE: Partial<TaskRecord> = { status: 'failed', ...ended, exitCode: 3, task: 'bad' };
  const rows: [
    tasks: Partial<TaskRecord>[],
    status: number,
    percent: number,
    error: RegExp,
    times: [string, string],
  ][] = [
    [[PENDING], 0, 0, /^$/, ['', '']],
    [[{}], 1, 0, /^$/, [at(1000), '']],
    [[{ progress: 50 }, DONE], 1, 75, /^$/, [at(1000), '']],
    [[PENDING, DONE], 1, 50, /^$/, [at(1000), '']],
    [[{}, DONE, DONE], 1, 66, /^$/, [at(1000), '']],
    [[DONE, DONE], 2, 100, /^$/, [at(1000), at(4000)]],
    [[FAILURE, {}], 1, 50, /^bad: .*3/, [at(1000), '']],
    [[FAILURE, DONE], 3, 100, /^bad: .*3/, [at(1000), at(4000)]],
    [[{ ...FAILURE, message: 'no memory' }], 3, 100, /^bad: no memory$/, [at(1000), at(4000)]],
    [[LOST, DONE], 3, 50, /^lost: /, [at(1000), '']],
    [[LOST, {}], 1, 0, /^lost: /, [at(1000), '']],
    [[CANCELLED, DONE], 4, 100, /^$/, [at(1000), at(4000)]],
  ];
  for (const [given, status, percent, error, times] of rows) {
    test(given.map((task) => task.status ?? 'running').join(', '), () => {
      const tasks = given.map((task) => ({ ...TASK, ...task }));
      const pipeline = pipelineOf('p', tasks);
      const {
        errorMessage,
        message: _words,
        ...shown
      } = pipelineProgress({ pipelineId: 'p', pipeline, tasks, leftOut: 0 });
      assert.match(errorMessage, error);
      assert.deepEqual(shown, {
        ...{ pipelineId: 'p', stageId: '', status, progressPercentage: percent, timestamp: at(5000) },
        ...{ startedAt: times[0], completedAt: times[1], workerPodNames: [] },
      });
    });
  }
});
