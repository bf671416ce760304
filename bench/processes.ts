import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Linux counts CPU time of processes in these. */
const TICKS_PER_SECOND = 100;

/** CPU seconds of a living process and those of its children that it has waited for. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
  return fields.slice(11, 13).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_SECOND;
}

/** Peak and present resident size of a living process, bytes. */
export function residentBytes(pid: number): { peak: number; now: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kib = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0);
  return { peak: kib('VmHWM') * 1024, now: kib('VmRSS') * 1024 };
}

/** Watches a process until it ends: what it used up to the last look. */
export function watch(child: ChildProcess): { cpu: number; peak: number } {
  const used = { cpu: 0, peak: 0 };
  const look = () => {
    if (child.pid === undefined || child.exitCode !== null) return;
    try {
      used.cpu = cpuSeconds(child.pid);
      used.peak = residentBytes(child.pid).peak;
    } catch {
      // It ended between the check and the look.
    }
  };
  const timer = setInterval(look, 20);
  child.once('exit', () => clearInterval(timer));
  return used;
}

export interface Server {
  child: ChildProcess;
  pid: number;
  /** The first line that it printed. */
  line: string;
  stop(): Promise<void>;
}

/** Starts a server that prints a line when it is ready. */
export async function startServer(file: string, args: string[], env: NodeJS.ProcessEnv = process.env): Promise<Server> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  if (child.pid === undefined) throw new Error(`${file} could not be started`);
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([
    once(lines, 'line'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`${file} ended with ${String(code)} before it was ready`))),
  ])) as [string];
  child.stdout.resume();
  return {
    child,
    pid: child.pid,
    line,
    stop: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Runs a command whose stdout another process drains, as a terminal or a container runtime would. */
export async function runDrained(
  command: string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ seconds: number; cpu: number; peak: number; exitCode: number | null }> {
  const drain = spawn('cat', [], { stdio: ['pipe', 'ignore', 'inherit'] });
  const start = performance.now();
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', drain.stdin, 'inherit'], env });
  const used = watch(child);
  drain.stdin.destroy();
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  const seconds = (performance.now() - start) / 1000;
  if (drain.exitCode === null) await once(drain, 'exit');
  return { seconds, ...used, exitCode };
}
