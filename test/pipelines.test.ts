import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { relayEnv, startAgent, startRelay, temporaryFolder } from './programs.ts';

interface Pipeline {
  status: string;
  progress: number;
  taskCount: number;
  lines: number;
  endedAt: string | null;
  errorMessage: string | null;
  tasks: { taskId: string; status: string; pipelineId: string }[];
}

test('two agents of one pipeline are shown as one, with what becomes of both', { timeout: 60_000 }, async (t) => {
  const folder = temporaryFolder(t);
  const relay = await startRelay(t, join(folder, 'data'));
  const env = relayEnv(relay, join(folder, 'spool'));
  const get = async (path: string): Promise<unknown> => (await fetch(`${relay.url}/api/v1${path}`)).json();
  const shown = async (): Promise<Pipeline> => (await get('/pipelines/nightly%2F7')) as Pipeline;
  const execute = (task: string, script: string) => {
    const args = ['execute', '--task-id', task, '--pipeline-id', 'nightly/7', '--worker-id', `w-${task}`];
    return startAgent(t, [...args, '--', 'sh', '-c', script], { env, stdin: 'pipe' });
  };

  const build = execute('build', 'echo built; read go; exit 0');
  while ((await shown()).lines !== 1);
  const check = execute('check', 'echo checked; read go; echo failed; exit 3');
  while ((await shown()).lines !== 2);
  const running = await shown();
  assert.deepEqual([running.status, running.progress, running.endedAt], ['running', 0, null]);

  build.process.stdin?.end('go\n');
  assert.equal((await build.result).exitCode, 0);
  const half = await shown();
  assert.deepEqual([half.status, half.progress, half.endedAt], ['running', 50, null]);

  check.process.stdin?.end('go\n');
  assert.equal((await check.result).exitCode, 3);
  const { tasks, ...over } = await shown();
  assert.deepEqual(
    tasks.map(({ taskId, status, pipelineId }) => [taskId, status, pipelineId]),
    [
      ['build', 'succeeded', 'nightly/7'],
      ['check', 'failed', 'nightly/7'],
    ],
  );
  const { status, progress, taskCount, lines, errorMessage } = over;
  assert.deepEqual(
    { status, progress, taskCount, lines, errorMessage },
    { status: 'failed', progress: 100, taskCount: 2, lines: 3, errorMessage: 'check: failed with exit code 3' },
  );
  assert.ok(over.endedAt !== null);
  const list = (await get('/pipelines?q=NIGHT')) as { content: Pipeline[]; next: null };
  assert.deepEqual(
    list.content.map((one) => [one.status, one.taskCount]),
    [['failed', 2]],
  );
  // What they wrote is theirs: by task, and by worker.
  const { count } = (await get('/tasks/check/logs/count?worker=w-check')) as { count: number };
  assert.deepEqual([count, await get('/tasks/check/logs/count?worker=w-build')], [2, { count: 0 }]);
});
