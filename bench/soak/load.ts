import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnOwned } from '../children.ts';
import type { Programs, Relay } from '../programs.ts';
import { ticker } from '../ticker.ts';
import type { Problems } from './problems.ts';

/** The agents that print all the time. */
export interface Steady {
  task: string;
  script: number;
  pid: number;
  /** So many lines it prints in all. */
  lines: number;
  /** Resolves when the agent has ended; what was wrong with that is among the problems. */
  ended: Promise<void>;
}

export interface LoadOptions {
  relay: Relay;
  programs: Programs;
  problems: Problems;
}

/** Starts agents, each with a task of its own whose script prints evenly, and in bursts. */
export function startSteady(
  { relay, programs, problems }: LoadOptions,
  { agents, ...load }: { agents: number; linesPerSecond: number; seconds: number },
): Steady[] {
  return Array.from({ length: agents }, (_, script) => {
    const task = `steady-${script}`;
    const { command, lines } = ticker({ ...load, script, burst: BURST });
    // A spool that is soon full of what is acknowledged, and has to let go of it.
    const spool = ['--spool-limit', '16MiB'];
    const child = spawnOwned(
      [...programs.agent, ...execute(task), ...spool, '--drain-timeout', '1m', '--', ...command],
      { stdio: ['ignore', 'ignore', 'pipe'], env: relay.env },
    );
    const ended = endOf(child).then((said) => {
      if (said !== undefined) problems.add(`the agent of ${task} ${said}`);
    });
    return { task, script, pid: child.pid ?? 0, lines, ended };
  });
}

/** Short jobs, one after the other: mostly each a new task, sometimes another run of the same one. */
export class Jobs {
  done = 0;
  readonly #options: LoadOptions;
  readonly #over = new AbortController();
  readonly #running: Promise<void>;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Resolves when the one that runs has ended. */
  async stop(): Promise<void> {
    this.#over.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { relay, programs, problems } = this.#options;
    for (let i = 0; !this.#over.signal.aborted; i++) {
      const task = i % 5 === 4 ? 'job-again' : `job-${i}`;
      const script = 'for i in 1 2 3 4 5 6 7 8; do echo "step $i of a short job"; done; echo "no trouble" >&2';
      const command = [...programs.agent, ...execute(task), '--drain-timeout', '1m', '--', 'sh', '-c', script];
      const said = await endOf(spawnOwned(command, { stdio: ['ignore', 'ignore', 'pipe'], env: relay.env }));
      if (said !== undefined) problems.add(`the agent of ${task} ${said}`);
      this.done++;
      await sleep(JOB_PAUSE_MS, undefined, { signal: this.#over.signal }).catch(() => undefined);
    }
  }
}

const BURST = { everySeconds: 10, lines: 10_000 };
const JOB_PAUSE_MS = 1000;

/** With --strict an agent whose log is not complete at the relay does not end with 0. */
const execute = (task: string): string[] => [
  'execute',
  '--task-id',
  task,
  '--pipeline-id',
  task,
  '--no-tee',
  '--strict',
];

/** What an agent said if it did not end with 0. */
async function endOf(child: ChildProcess): Promise<string | undefined> {
  let said = '';
  child.stderr?.on('data', (text: Buffer) => (said = (said + text.toString()).slice(-500)));
  const [exitCode, signal] = (await once(child, 'exit')) as [number | null, string | null];
  return exitCode === 0 ? undefined : `ended with ${exitCode ?? signal}: ${said.trim()}`;
}
