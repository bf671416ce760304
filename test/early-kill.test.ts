import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { NUMBERED, parts } from './numbered.ts';
import { relayEnv, runAgent, startAgent, startRelay, temporaryFolder } from './programs.ts';
import { spoolFiles } from './spools.ts';
import { readLog, Viewer } from './viewer.ts';

const task = 't';

/** Sooner or later than its spool is begun: which of both is a matter of luck. */
for (const lines of [1, 5, 2000]) {
  test(
    `an agent killed as soon as ${lines} of its lines are at a viewer: each is there once, and the next run goes on behind`,
    { timeout: 120_000 },
    async (t) => {
      const folder = temporaryFolder(t);
      const spool = join(folder, 'spool');
      const relay = await startRelay(t, join(folder, 'data'));
      const env = relayEnv(relay, spool);
      const place = { url: relay.url, task };
      const viewer = new Viewer(t, place);
      const args = ['execute', '--task-id', task, '--no-tee', '--', ...NUMBERED];
      const agent = startAgent(t, args, { env, stdin: 'pipe' });
      agent.process.stdin?.write(`${lines}\n`);
      await viewer.sees(lines);
      agent.process.kill('SIGKILL');
      await agent.result;

      const next = await runAgent(t, ['execute', '--task-id', task, '--', 'echo', '1 line of the next run'], { env });
      assert.deepEqual([next.exitCode, next.stderr], [0, '']);
      const log = parts(await readLog(place));
      const died = log.length > 2 ? [`agent-died ${lines + 1}-${lines + 1}`] : [];
      const at = lines + 1 + died.length;
      assert.deepEqual(log, [`lines 1-${lines}`, ...died, `lines ${at}-${at} as 1-1`]);
      assert.deepEqual(spoolFiles(spool), []);
    },
  );
}
