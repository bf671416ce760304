import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { FaultyProxy } from './faulty-proxy.ts';
import { NUMBERED, NUMBERED_EXIT_CODE, parts } from './numbered.ts';
import { relayEnv, startAgent, startRelay, temporaryFolder } from './programs.ts';
import { Random } from './random.ts';
import { UpgradeProxy, type Treatment } from './upgrade-proxy.ts';
import { readLog, Viewer } from './viewer.ts';

const FAULTS = 12;
const ENV = { KERUTA_WEBSOCKET_RECONNECT_MAX_INTERVAL: '200ms', KERUTA_DRAIN_TIMEOUT: '40s' };

for (const treatment of ['refuses', 'hangs up', 'forgets it'] as const satisfies Treatment[]) {
  test(`a proxy that ${treatment === 'forgets it' ? 'forgets an upgrade' : `${treatment} at an upgrade`}: the log goes over HTTP`, async (t) => {
    const folder = temporaryFolder(t);
    const relay = await startRelay(t, join(folder, 'data'));
    const proxy = new UpgradeProxy(relay, treatment);
    const env = { ...relayEnv(await proxy.start(t), join(folder, 'spool')), ...ENV };
    const agent = startAgent(t, ['execute', '--task-id', 't', '--no-tee', '--', ...NUMBERED], { env, stdin: 'pipe' });
    const viewer = new Viewer(t, { url: relay.url, task: 't' });
    agent.process.stdin?.write('1\n');
    await viewer.sees(1);
    agent.process.stdin?.end('30000\n');
    const { exitCode, stderr } = await agent.result;
    assert.deepEqual([exitCode, stderr], [NUMBERED_EXIT_CODE, '']);
    const end = await viewer.ended();
    assert.deepEqual([end.verified, end.lines, end.missing], [true, 30_000, 0]);
    assert.deepEqual(parts(viewer.log), ['lines 1-30000']);
    assert.equal(proxy.upgrades, 3);
  });
}

test(
  'over HTTP, through cuts, stalls and a relay that is killed: every line once, in order',
  { timeout: 60_000 },
  async (t) => {
    const folder = temporaryFolder(t);
    const data = join(folder, 'data');
    const random = new Random(5);
    const relay = await startRelay(t, data);
    const network = new FaultyProxy(relay.port, {
      random,
      fates: ['cut', 'stall'],
      bytes: [400, 3000],
      faults: FAULTS,
    });
    const proxy = new UpgradeProxy(await network.start(t), 'refuses');
    const env = {
      ...relayEnv(await proxy.start(t), join(folder, 'spool')),
      ...ENV,
      KERUTA_WEBSOCKET_HTTP_FALLBACK: 'always',
      KERUTA_API_TIMEOUT: '2s',
    };
    const agent = startAgent(t, ['execute', '--task-id', 't', '--no-tee', '--', ...NUMBERED], { env, stdin: 'pipe' });
    let viewer = new Viewer(t, { url: relay.url, task: 't' });
    let last = 0;
    const write = async (rounds: number): Promise<void> => {
      for (let round = 0; round < rounds; round++) {
        last += 1 + random.below(4000);
        agent.process.stdin?.write(`${last}\n`);
        await viewer.sees(last);
      }
    };
    await write(8);
    await relay.kill();
    const again = await startRelay(t, data, { port: relay.port });
    viewer = new Viewer(t, { url: again.url, task: 't' });
    while (network.met < FAULTS) await write(1);
    agent.process.stdin?.end();

    assert.equal((await agent.result).exitCode, NUMBERED_EXIT_CODE);
    const end = await viewer.ended();
    assert.deepEqual([end.verified, end.lines, end.missing], [true, last, 0]);
    assert.deepEqual(parts(await readLog({ url: again.url, task: 't' })), [`lines 1-${last}`]);
  },
);
