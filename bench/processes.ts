import { execFileSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { spawnOwned } from './children.ts';

/** Linux counts the CPU time of processes in hundredths of a second. */
const TICKS_PER_SECOND = 100;
const LOOK_EVERY_MS = 20;

/** CPU seconds of a living process, all its threads. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Peak and present resident size of a living process, bytes. */
export function residentBytes(pid: number): { peak: number; now: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kib = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0);
  return { peak: kib('VmHWM') * 1024, now: kib('VmRSS') * 1024 };
}

/** What a process had used at the last look. */
export interface Used {
  cpu: number;
  /** Peak resident bytes. */
  peak: number;
}

/** Watches a process until it ends; `used`: of one that it takes the place of. */
export function watch(child: ChildProcess, used: Used = { cpu: 0, peak: 0 }): Used {
  const before = used.cpu;
  const look = (): void => {
    if (child.pid === undefined || child.exitCode !== null) return;
    try {
      used.cpu = before + cpuSeconds(child.pid);
      // A process that is ending has no memory any more.
      used.peak = Math.max(used.peak, residentBytes(child.pid).peak);
    } catch {
      // It ended between the check and the look.
    }
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  child.once('exit', () => clearInterval(timer));
  return used;
}

export interface Server {
  pid: number;
  /** The first line that it printed. */
  line: string;
  /** Asks it to stop and waits; after some seconds it is killed. Rejects unless it ended well. */
  stop(): Promise<void>;
  /** Kills it and waits until it is gone. */
  kill(): Promise<void>;
}

/** Starts a server, which prints a line when it is ready. */
export async function startServer(
  command: readonly string[],
  env: NodeJS.ProcessEnv = { PATH: process.env.PATH },
): Promise<Server> {
  const child = spawnOwned(command, { stdio: ['ignore', 'pipe', 'ignore'], env });
  const ended = once(child, 'exit');
  if (child.stdout === null) throw new Error('a server was started without its output');
  const lines = createInterface({ input: child.stdout });
  const line = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${command.join(' ')} ended with ${code} before it was ready`)));
  });
  child.stdout.resume();
  return {
    pid: child.pid ?? 0,
    line,
    stop: () => stopChild(child),
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Asks a process to end and waits until it has. Rejects if it had to be killed, or ends with anything but 0. */
export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  const [exitCode, signal] = (await ended) as [number | null, string | null];
  clearTimeout(timer);
  if (exitCode !== 0) throw new Error(`${child.spawnargs.join(' ')} was stopped and ended with ${exitCode ?? signal}`);
}

const STOP_MS = 20_000;

/** Runs a command to its end without any output; rejects unless it ends with 0. */
export async function run(command: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawnOwned(command, { stdio: 'ignore', env });
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  if (exitCode !== 0) throw new Error(`${command.join(' ')} ended with ${exitCode}`);
}

export interface Ran extends Used {
  seconds: number;
}

/** Runs a command whose stdout is a pipe that another process drains, as under a terminal or a container runtime. */
export async function runDrained(folder: string, command: readonly string[], env: NodeJS.ProcessEnv): Promise<Ran> {
  const fifo = join(folder, `drain-${process.hrtime.bigint()}`);
  execFileSync('mkfifo', [fifo]);
  const readFd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const writeFd = openSync(fifo, 'w');
  const drain = spawnOwned(['sh', '-c', `exec cat '${fifo}'`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const drained = once(drain, 'exit');
  const start = performance.now();
  const child = spawnOwned(command, { stdio: ['ignore', writeFd, 'inherit'], env, cwd: folder });
  const used = watch(child);
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  const seconds = (performance.now() - start) / 1000;
  closeSync(writeFd);
  await drained;
  closeSync(readFd);
  if (exitCode !== 0) throw new Error(`${command.join(' ')} ended with ${exitCode}`);
  return { seconds, ...used };
}
