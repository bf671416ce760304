import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { relayEnv, runAgent, startRelay, temporaryFolder } from './programs.ts';
import { readLines, readLog, readTask } from './viewer.ts';

const CONCURRENT = { timeout: 60_000, concurrency: 2 };
const task = 't';

async function execute(t: TestContext, env: Record<string, string>, script: string) {
  const folder = temporaryFolder(t);
  const relay = await startRelay(t, join(folder, 'data'));
  const result = await runAgent(t, ['execute', '--task-id', task, '--', 'sh', '-c', script], {
    env: { ...relayEnv(relay, join(folder, 'spool')), ...env },
  });
  return { ...result, place: { url: relay.url, task } };
}

describe('what is not shipped by the wish of the user', CONCURRENT, () => {
  test('is shown by the tee, is no gap, and is said', async (t) => {
    const { stdout, place } = await execute(
      t,
      { KERUTA_LOG_EXCLUDE_PATTERNS: '^debug' },
      'echo a; echo debug x; echo b',
    );
    assert.equal(stdout, 'a\ndebug x\nb\n');
    assert.deepEqual(await readLines(place), ['a', 'b', 'logStreaming.filters kept 1 line out of this log']);
    assert.equal((await readTask(place)).missing, 0);
  });

  test('above a rate, is dropped: each line is in the log or in a gap', async (t) => {
    const env = { KERUTA_RATE_LIMIT_PER_SECOND: '100', KERUTA_RATE_LIMIT_POLICY: 'drop' };
    const { stdout, stderr, place } = await execute(t, env, 'seq 20000');
    assert.equal(stdout.split('\n').length, 20_001);
    const log = await readLog(place);
    let next = 1;
    for (const entry of log) {
      if (entry.type === 'gap') {
        assert.equal(entry.reason, 'dropped');
        next += entry.toLine - entry.fromLine + 1;
      } else {
        assert.equal(entry.message, String(next++));
      }
    }
    assert.equal(next, 20_001);
    const { missing, lines, runs } = await readTask(place);
    assert.equal(missing + lines, 20_000);
    assert.ok(lines >= 100);
    assert.equal(runs[0].verified, true);
    assert.match(stderr, new RegExp(`${missing} lines are missing from the log`));
  });

  test('above a rate, is delayed: all of it arrives', async (t) => {
    const env = { KERUTA_RATE_LIMIT_PER_SECOND: '2000' };
    const { place } = await execute(t, env, 'seq 5000');
    const lines = await readLines(place);
    assert.deepEqual(
      lines.slice(0, 5000),
      Array.from({ length: 5000 }, (_, i) => String(i + 1)),
    );
    assert.match(lines[5000] ?? '', /^performance\.rateLimitPerSecond \(2000\) holds this log back: /);
    assert.equal((await readTask(place)).runs[0].verified, true);
  });

  for (const command of [['execute', '--task-id', task, '--', 'true'], ['config'], ['flush']]) {
    test(`a pattern that can't be read is named with its place by ${command[0]}`, async (t) => {
      const config = join(temporaryFolder(t), 'k.yaml');
      writeFileSync(config, `logStreaming:\n  filters:\n    excludePatterns:\n      - '('\n`);
      const [name, ...rest] = command;
      const { exitCode, stderr } = await runAgent(t, [name, '--config', config, ...rest]);
      assert.equal(exitCode, 2);
      assert.match(
        stderr,
        /^keruta-agent: logStreaming\.filters\.excludePatterns \(.*k\.yaml, line 3\): "\(" is no regular /,
      );
    });
  }
});
