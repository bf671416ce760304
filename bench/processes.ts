import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

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

/** Watches a process until it ends: what it had used at the last look. */
function watch(child: ChildProcess): { cpu: number; peak: number } {
  const used = { cpu: 0, peak: 0 };
  const timer = setInterval(() => {
    if (child.pid === undefined || child.exitCode !== null) return;
    try {
      used.cpu = cpuSeconds(child.pid);
      // A process that is ending has no memory any more.
      used.peak = Math.max(used.peak, residentBytes(child.pid).peak);
    } catch {
      // It ended between the check and the look.
    }
  }, LOOK_EVERY_MS);
  child.once('exit', () => clearInterval(timer));
  return used;
}

export interface Server {
  pid: number;
  /** The first line that it printed. */
  line: string;
  stop(): Promise<void>;
}

/** Starts a server, which prints a line when it is ready. */
export async function startServer(command: string[]): Promise<Server> {
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  const line = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve);
    child.once('exit', (code) => reject(new Error(`${command.join(' ')} ended with ${code} before it was ready`)));
  });
  child.stdout.resume();
  return {
    pid: child.pid ?? 0,
    line,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

export interface Ran {
  seconds: number;
  /** CPU seconds and peak resident bytes of the process itself. */
  cpu: number;
  peak: number;
}

/** Runs a command whose stdout is a pipe that another process drains, as under a terminal or a container runtime. */
export async function runDrained(folder: string, command: string[], env: NodeJS.ProcessEnv): Promise<Ran> {
  const fifo = join(folder, `drain-${process.hrtime.bigint()}`);
  execFileSync('mkfifo', [fifo]);
  const readFd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const writeFd = openSync(fifo, 'w');
  const drain = spawn('sh', ['-c', `exec cat '${fifo}'`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const drained = once(drain, 'exit');
  const start = performance.now();
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', writeFd, 'inherit'], env, cwd: folder });
  const used = watch(child);
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  const seconds = (performance.now() - start) / 1000;
  closeSync(writeFd);
  await drained;
  closeSync(readFd);
  if (exitCode !== 0) throw new Error(`${command.join(' ')} ended with ${exitCode}`);
  return { seconds, ...used };
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}
