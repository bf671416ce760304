import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnOwned } from './children.ts';
import { residentBytes, run } from './processes.ts';
import { NODE } from './programs.ts';
import { repeat, type Bench } from './stage.ts';
import { median, rowOf, type Row } from './table.ts';

/** What an agent costs that has nothing to do: its start, and its memory while a script says nothing. */
export async function* startRows({ programs, scale }: Bench): AsyncGenerator<Row> {
  const relay = await programs.relay('start');
  const { env } = relay;
  try {
    const job = [...programs.agent, 'execute', '--task-id', 'start', '--', 'true'];
    const times: Record<'bare' | 'ours' | 'node', number[]> = { bare: [], ours: [], node: [] };
    // The first are a warm-up.
    for (let i = 0; i <= (scale.smoke ? 5 : 21); i++) {
      const turn = { bare: await timed(['true']), ours: await timed(job), node: await timed([NODE, '-e', '0']) };
      if (i > 0) for (const [name, ms] of Object.entries(turn)) times[name as keyof typeof times].push(ms);
    }
    yield rowOf(
      times.ours.map((ms, i) => ms - times.bare[i]),
      {
        stage: 'start',
        what: 'a trivial job, start to exit, verified, over the bare one',
        unit: 'ms',
        bar: { at: 'most', value: 60 },
        note: `Node alone takes ${median(times.node).toFixed(0)} ms`,
      },
    );
    yield rowOf(await repeat(scale.runs, () => idleBytes(programs.agent, env)), {
      stage: 'start',
      what: 'resident memory of an idle agent',
      unit: 'MB',
      bar: { at: 'most', value: 65 },
    });
  } finally {
    await relay.stop();
  }

  async function timed(command: string[]): Promise<number> {
    const start = performance.now();
    await run(command, env);
    return performance.now() - start;
  }
}

/** In MB of a million bytes, some seconds after the script's only line. */
async function idleBytes(agent: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const command = [...agent, 'execute', '--task-id', 'idle', '--', 'sh', '-c', 'echo ready; exec sleep 10'];
  const child = spawnOwned(command, { stdio: ['ignore', 'pipe', 'ignore'], env });
  const exit = once(child, 'exit');
  if (child.stdout === null) throw new Error('the agent was started without its output');
  await once(createInterface({ input: child.stdout }), 'line');
  await sleep(3000);
  const { now } = residentBytes(child.pid ?? 0);
  child.kill('SIGTERM');
  await exit;
  return now / 1e6;
}
