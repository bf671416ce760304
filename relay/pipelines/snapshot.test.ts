import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANYBODY, Principal } from '../auth/principal.ts';
import { openReading, TestRun } from '../reading.fixture.ts';
import { readSnapshot, visibleTo } from './snapshot.ts';

test('shows to everybody only the tasks that they may read, and sums of these', async (t) => {
  const reading = await openReading(t);
  for (const [task, team] of [
    ['build', 'a'],
    ['check', 'b'],
    ['deploy', 'b'],
  ]) {
    const run = await new TestRun(reading, task).open({ team }, { pipelineId: 'p' });
    await run.write('a', 'b');
  }
  const snapshot = await readSnapshot(reading.store, 'p');
  const seen = (principal: Principal): unknown[] => {
    const { tasks, pipeline } = visibleTo(principal, snapshot);
    return [tasks.map(({ task }) => task), pipeline?.tasks, pipeline?.lines];
  };
  assert.deepEqual(seen(ANYBODY), [['build', 'check', 'deploy'], 3, 6]);
  assert.deepEqual(seen(new Principal('b', [{ scope: 'read', labels: { team: 'b' } }])), [['check', 'deploy'], 2, 4]);
  assert.deepEqual(seen(new Principal('one', [{ scope: 'read', tasks: ['b*'] }])), [['build'], 1, 2]);
  assert.deepEqual(seen(new Principal('none', [{ scope: 'ingest' }])), [[], undefined, undefined]);
});
