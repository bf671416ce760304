import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { NUMBERED, NUMBERED_EXIT_CODE, counts, parts } from './numbered.ts';
import { relayEnv, runAgent, startAgent, startRelay, temporaryFolder } from './programs.ts';
import { Random } from './random.ts';
import { spoolFiles, spooledLines } from './spools.ts';
import { readLog, readTask, Viewer } from './viewer.ts';

const OPTIONS = { timeout: 180_000 };
const task = 't';
const numbered = (...options: string[]) => ['execute', '--task-id', task, '--no-tee', ...options, '--', ...NUMBERED];

for (const seed of [1, 2]) {
  test(
    `a relay killed in the middle of a flood, again and again: every line once, in order (seed ${seed})`,
    OPTIONS,
    async (t) => {
      const { data, spool } = folders(t);
      const random = new Random(seed);
      let relay = await startRelay(t, data);
      const place = { url: relay.url, task };
      const agent = startAgent(t, numbered(), { env: relayEnv(relay, spool), stdin: 'pipe' });
      const viewer = new Viewer(t, place);
      let last = 0;
      for (let kills = 0; kills < 3; kills++) {
        const before = last;
        last += 40_000;
        agent.process.stdin?.write(`${last}\n`);
        await viewer.sees(before + random.below(30_000) + 1);
        await relay.kill();
        relay = await startRelay(t, data, { port: relay.port });
      }
      agent.process.stdin?.end();

      const { exitCode, stderr } = await agent.result;
      assert.deepEqual({ exitCode, stderr }, { exitCode: NUMBERED_EXIT_CODE, stderr: '' });
      const end = await viewer.ended();
      assert.deepEqual([end.verified, end.lines, end.missing], [true, last, 0]);
      assert.ok(viewer.reconnects > 0, 'the viewer lived through it');
      assert.deepEqual(parts(viewer.log), [`lines 1-${last}`]);
      assert.deepEqual(parts(await readLog(place)), [`lines 1-${last}`]);
      assert.deepEqual(spoolFiles(spool), [], 'what is verified is kept no longer');
    },
  );
}

test(
  'an agent killed in the middle of a flood: flush brings every spooled line once, then says that it died',
  OPTIONS,
  async (t) => {
    const { data, spool } = folders(t);
    const relay = await startRelay(t, data);
    const place = { url: relay.url, task };
    const viewer = new Viewer(t, place);
    const agent = startAgent(t, numbered(), { env: relayEnv(relay, spool), stdin: 'pipe' });
    agent.process.stdin?.write('1000000\n');
    await viewer.sees(20_000);
    agent.process.kill('SIGKILL');
    assert.equal((await agent.result).signal, 'SIGKILL');

    const spooled = spooledLines(spool);
    assert.ok(spooled >= 20_000);
    const flush = await runAgent(t, ['flush', '--spool-dir', spool]);
    assert.equal(flush.exitCode, 0, flush.stderr);
    assert.match(
      flush.stderr,
      /^keruta-agent: t \(run \w{26}\): [\d,]+ lines? delivered, 1 line missing; the relay has it all\n$/,
    );
    assert.deepEqual(parts(await readLog(place)), [`lines 1-${spooled}`, `agent-died ${spooled + 1}-${spooled + 1}`]);
    const end = await viewer.ended();
    assert.deepEqual([end.status, end.verified, end.missing], ['failed', true, 1]);
    assert.deepEqual(parts(viewer.log), [`lines 1-${spooled}`, `agent-died ${spooled + 1}-${spooled + 1}`]);
    assert.equal((await readTask(place)).runs[0].reason, 'agent-died');
    assert.deepEqual(spoolFiles(spool), []);
  },
);

test('both killed: the next run of the task brings first what the dead one left', OPTIONS, async (t) => {
  const { data, spool } = folders(t);
  let relay = await startRelay(t, data);
  const place = { url: relay.url, task };
  const env = relayEnv(relay, spool);
  const viewer = new Viewer(t, place);
  const agent = startAgent(t, numbered(), { env, stdin: 'pipe' });
  agent.process.stdin?.write('1000000\n');
  await viewer.sees(10_000);
  await relay.kill();
  agent.process.kill('SIGKILL');
  await agent.result;
  const spooled = spooledLines(spool);
  relay = await startRelay(t, data, { port: relay.port });

  const next = await runAgent(t, ['execute', '--task-id', task, '--', 'echo', '1 line of the next run'], { env });
  assert.deepEqual([next.exitCode, next.stderr], [0, '']);
  const died = spooled + 1;
  const expected = [`lines 1-${spooled}`, `agent-died ${died}-${died}`, `lines ${died + 1}-${died + 1} as 1-1`];
  assert.deepEqual(parts(await readLog(place)), expected);
  await viewer.sees(died + 1);
  assert.deepEqual(parts(viewer.log), expected);
  assert.deepEqual(spoolFiles(spool), []);
});

test('a relay put back to an older copy of its data gets again what it forgot', OPTIONS, async (t) => {
  const { data, spool } = folders(t);
  const copy = `${data}-copy`;
  let relay = await startRelay(t, data);
  const place = { url: relay.url, task };
  const viewer = new Viewer(t, place);
  const agent = startAgent(t, numbered(), { env: relayEnv(relay, spool), stdin: 'pipe' });
  agent.process.stdin?.write('5000\n');
  await viewer.sees(5000);
  await relay.kill();
  cpSync(data, copy, { recursive: true });
  relay = await startRelay(t, data, { port: relay.port });
  agent.process.stdin?.write('12000\n');
  await viewer.sees(12_000);
  await relay.kill();
  rmSync(data, { recursive: true });
  cpSync(copy, data, { recursive: true });
  relay = await startRelay(t, data, { port: relay.port });
  agent.process.stdin?.write('20000\n');
  agent.process.stdin?.end();

  const { exitCode, stderr } = await agent.result;
  assert.deepEqual({ exitCode, stderr }, { exitCode: NUMBERED_EXIT_CODE, stderr: '' });
  const log = await readLog(place);
  assert.deepEqual(parts(log), ['lines 1-20000']);
  assert.deepEqual(counts(log), { lines: 20_000, missing: 0 });
  assert.equal((await viewer.ended()).verified, true);
  assert.deepEqual(parts(viewer.log), ['lines 1-20000']);
});

function folders(t: TestContext): { data: string; spool: string } {
  const folder = temporaryFolder(t);
  return { data: join(folder, 'data'), spool: join(folder, 'spool') };
}
