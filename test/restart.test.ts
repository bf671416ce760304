import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { NUMBERED, NUMBERED_EXIT_CODE, parts } from './numbered.ts';
import { apartFromAbsence, relayEnv, startAgent, startRelay, temporaryFolder } from './programs.ts';
import { readLog, Viewer } from './viewer.ts';

test(
  'a relay that is restarted under load, again and again: every line once, and nobody hears of it',
  { timeout: 120_000 },
  async (t) => {
    const folder = temporaryFolder(t);
    const data = join(folder, 'data');
    const tasks = ['a', 'b', 'c'];
    let relay = await startRelay(t, data);
    const env = relayEnv(relay, join(folder, 'spool'));
    const agents = tasks.map((task) => {
      const args = ['execute', '--task-id', task, '--no-tee', '--', ...NUMBERED];
      return startAgent(t, args, { env, stdin: 'pipe' });
    });
    const viewers = tasks.map((task) => new Viewer(t, { url: relay.url, task }));
    let last = 0;
    for (let restarts = 0; restarts < 3; restarts++) {
      const before = last;
      last += 20_000;
      for (const agent of agents) agent.process.stdin?.write(`${last}\n`);
      await Promise.all(viewers.map((viewer) => viewer.sees(before + 5000)));
      assert.equal(await relay.stop(), 0);
      relay = await startRelay(t, data, { port: relay.port });
    }
    for (const agent of agents) agent.process.stdin?.end();
    for (const [i, agent] of agents.entries()) {
      const { exitCode, stderr } = await agent.result;
      assert.deepEqual([exitCode, apartFromAbsence(stderr)], [NUMBERED_EXIT_CODE, '']);
      const end = await viewers[i].ended();
      assert.deepEqual([end.verified, end.lines, end.missing], [true, last, 0]);
      assert.deepEqual(parts(viewers[i].log), [`lines 1-${last}`]);
      assert.deepEqual(parts(await readLog({ url: relay.url, task: tasks[i] })), [`lines 1-${last}`]);
    }
  },
);
