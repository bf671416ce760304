import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { freePort } from '../../bench/free-port.ts';
import { relayEnv, startAgent, startRelay, temporaryFolder } from '../programs.ts';
import type { AttemptOutcome, Entrance } from './contract.ts';
import { askJson } from './http.ts';
import { judgeRound } from './judge.ts';
import { findLeaks, footprint } from './leaks.ts';
import { openReaders } from './readers.ts';
import { openSenders, sentTasks } from './senders.ts';
import { newAttempt } from './shapes.ts';

const PIPELINE = 'all-shapes';
const SEED = 5;
/** Those that are more than lines. */
const SHAPES = ['long', 'both', 'odd'];
/** A busy machine takes long to start a relay. */
const PATIENT = { KERUTA_DRAIN_TIMEOUT: '60s', KERUTA_WEBSOCKET_RECONNECT_MAX_INTERVAL: '500ms' };

/** Resolves when readers have seen so many lines together. */
async function seen(readers: readonly { seen: readonly unknown[] }[], count: number): Promise<void> {
  while (readers.reduce((sum, reader) => sum + reader.seen.length, 0) < count)
    await new Promise((resolve) => setTimeout(resolve, 20));
}

test(
  'senders and readers of every API, scripts that write odd things, and a relay that is killed once: all is there, once',
  { timeout: 300_000 },
  async (t: TestContext) => {
    const folder = temporaryFolder(t);
    const data = join(folder, 'data');
    const grpcPort = await freePort();
    const args = ['--grpc-port', String(grpcPort)];
    let relay = await startRelay(t, data, { args });
    const { port, url } = relay;
    const entrance: Entrance = { url, grpc: `127.0.0.1:${grpcPort}` };
    const attempts = SHAPES.map((shape, i) =>
      newAttempt({ task: `of-${shape}`, number: 1, shape, seed: SEED + i, folder: join(folder, 'scripts', shape) }),
    );
    const spool = join(folder, 'spool');
    const agents = attempts.map(({ task, command, env }) =>
      startAgent(t, ['execute', '--task-id', task, '--pipeline-id', PIPELINE, '--no-tee', '--', ...command], {
        env: { ...relayEnv(relay, spool), ...PATIENT, ...env },
      }),
    );
    const tasks = attempts.map(({ task }) => task);
    const senders = openSenders({ entrance, seed: SEED });
    const readers = openReaders({ entrance, tasks, pipeline: PIPELINE, seed: SEED });
    t.after(() => Promise.all([...senders, ...readers].map((one) => one.close())));

    await seen(readers, 3000);
    await relay.kill();
    relay = await startRelay(t, data, { port, args });
    const before = footprint(relay.process.pid ?? 0);
    await seen(readers, 12_000);

    for (const attempt of attempts) attempt.stop();
    const outcomes: AttemptOutcome[] = [];
    for (const [i, agent] of agents.entries()) {
      const { exitCode, stderr } = await agent.result;
      assert.doesNotMatch(stderr, /wait in the spool/);
      outcomes.push({ attempt: attempts[i], killed: false, exitCode, mayDrop: false, stderr });
    }
    const signal = AbortSignal.timeout(120_000);
    await Promise.all(senders.map((sender) => sender.finish(signal)));
    const { content } = await askJson<{ content: { taskId: string; lastLine: number }[] }>(entrance, {
      path: '/api/v1/tasks?limit=100',
      signal,
    });
    const heads = new Map(content.map(({ taskId, lastLine }) => [taskId, lastLine]));
    for (const task of sentTasks()) assert.ok((heads.get(task) ?? 0) > 0, `${task} has lines`);
    for (const reader of readers) {
      await reader.caughtUp(heads, signal).catch((error: unknown) => {
        throw new Error(`${reader.name} has not caught up`, { cause: error });
      });
    }

    const verdict = await judgeRound({ direct: entrance, outcomes, senders, readers, trimmed: new Map() });
    assert.deepEqual(verdict.problems, []);
    assert.ok(verdict.linesChecked > 12_000);
    await Promise.all([...senders, ...readers].map((one) => one.close()));
    const leaks = await findLeaks({
      relay: { pid: relay.process.pid ?? 0, before },
      direct: entrance,
      dataFolder: data,
      spoolFolders: [spool],
      agentPids: agents.map(({ pid }) => pid),
      folder: join(folder, 'scripts'),
    });
    assert.deepEqual(leaks, []);
  },
);
