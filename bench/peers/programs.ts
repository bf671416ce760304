import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnOwned } from '../children.ts';
import { watch, type Used } from '../processes.ts';
import type { Counted } from './figures.ts';
import type { Side } from './pipeline.ts';
import { Tally } from './tally.ts';

/** Where a program is, if it is on the PATH (or where a system keeps its daemons). */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** What a program says of its version: a word that has a digit, or its first one behind its name. */
export function versionOf(program: string, flag: string): string {
  const { stdout, stderr } = spawnSync(program, [flag], { encoding: 'utf8', timeout: 10_000 });
  const [line] = `${stdout}${stderr}`.trim().split('\n');
  const words = line.split(/\s+/).slice(1);
  return (words.find((word) => /^v?\d+\./.test(word)) ?? words.at(0) ?? '').replace(/^v/, '');
}

/** Starts one of the two programs of a pipeline; `ready` resolves when it can be used. */
export async function startSide(
  command: readonly string[],
  {
    ready = () => Promise.resolve(),
    env = { PATH: process.env.PATH },
  }: { ready?: () => Promise<void>; env?: NodeJS.ProcessEnv } = {},
): Promise<Side> {
  const used: Used = { cpu: 0, peak: 0 };
  const start = async () => {
    const child = spawnOwned(command, { stdio: 'ignore', env });
    const ended = once(child, 'exit');
    watch(child, used);
    await Promise.race([
      ready(),
      ended.then(() => Promise.reject(new Error(`${command.join(' ')} ended before it was ready`))),
    ]);
    return { child, ended };
  };
  let running = await start();
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    const { child, ended } = running;
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    if (child.exitCode === null && child.signalCode === null) await ended;
    clearTimeout(timer);
  };
  return {
    used,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    again: async () => {
      running = await start();
    },
  };
}

const PATIENCE_MS = 15_000;

/** Resolves when somebody listens there. */
export async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const socket = connect(port, '127.0.0.1');
    const there = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (there) return;
    await sleep(20);
  }
  throw new Error(`nobody listens on port ${port}`);
}

/** Counts the lines of a file that grows. */
export class FileTally {
  readonly #path: string;
  readonly #tally: Tally;
  readonly #buffer = Buffer.allocUnsafe(1024 * 1024);
  #fd: number | undefined;

  constructor(path: string, lines: number) {
    this.#path = path;
    this.#tally = new Tally(lines);
  }

  /** Of what is there now. */
  arrived(): Promise<number> {
    this.#read();
    return Promise.resolve(this.#tally.arrived);
  }

  /** Reads the last of it, and lets go of the file. */
  count(): Promise<Counted> {
    this.#read();
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    return Promise.resolve({ lost: this.#tally.lost, duplicated: this.#tally.duplicated });
  }

  #read(): void {
    if (this.#fd === undefined && existsSync(this.#path)) this.#fd = openSync(this.#path, 'r');
    if (this.#fd === undefined) return;
    for (let count = Infinity; count > 0;) {
      count = readSync(this.#fd, this.#buffer);
      this.#tally.push(this.#buffer.subarray(0, count));
    }
  }
}
