import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { FaultyProxy, type Fate } from './faulty-proxy.ts';
import { NUMBERED, NUMBERED_EXIT_CODE, parts } from './numbered.ts';
import { relayEnv, startAgent, startRelay, temporaryFolder } from './programs.ts';
import { Random } from './random.ts';
import { readLog, Viewer } from './viewer.ts';

const ROUNDS = 20;
const FAULTS = 6;

const networks: [name: string, seed: number, fates: Fate[]][] = [
  ['is cut', 1, ['cut']],
  ['is cut or stalls', 2, ['cut', 'stall']],
  ['is left half open', 3, ['half-open']],
  ['does it all', 4, ['cut', 'stall', 'half-open']],
];

for (const [name, seed, fates] of networks) {
  test(
    `a network that ${name}: every line once, in order, for the relay and for a viewer behind it (seed ${seed})`,
    { timeout: 60_000 },
    async (t) => {
      const folder = temporaryFolder(t);
      const random = new Random(seed);
      const relay = await startRelay(t, join(folder, 'data'));
      const faults = { random, fates, bytes: [400, 3000], faults: FAULTS } as const;
      const agentSide = new FaultyProxy(relay.port, faults);
      const viewerSide = new FaultyProxy(relay.port, { ...faults, fates: ['cut', 'stall'] });
      const task = 't';
      const env = {
        ...relayEnv(await agentSide.start(t), join(folder, 'spool')),
        // A half-open connection is found after so long.
        KERUTA_WEBSOCKET_TIMEOUT: '1s',
        KERUTA_WEBSOCKET_RECONNECT_MAX_INTERVAL: '200ms',
        KERUTA_DRAIN_TIMEOUT: '40s',
      };
      const agent = startAgent(t, ['execute', '--task-id', task, '--no-tee', '--', ...NUMBERED], {
        env,
        stdin: 'pipe',
      });
      const viewer = new Viewer(t, { url: (await viewerSide.start(t)).url, task });
      let last = 0;
      for (let round = 0; round < ROUNDS; round++) {
        last += 1 + random.below(4000);
        agent.process.stdin?.write(`${last}\n`);
        await viewer.sees(last);
      }
      agent.process.stdin?.end();

      assert.equal((await agent.result).exitCode, NUMBERED_EXIT_CODE);
      const end = await viewer.ended();
      assert.deepEqual([end.verified, end.lines, end.missing], [true, last, 0]);
      assert.deepEqual(parts(viewer.log), [`lines 1-${last}`]);
      assert.deepEqual(parts(await readLog({ url: relay.url, task })), [`lines 1-${last}`]);
      assert.deepEqual([agentSide.met, viewerSide.met], [FAULTS, FAULTS], 'all faults happened');
    },
  );
}
