import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Output } from './output.ts';

/** The programs as a user runs them: real processes, from source. What a failing test leaves is ended after it. */
const AGENT = fileURLToPath(new URL('../agent/cli.ts', import.meta.url));
const RELAY = fileURLToPath(new URL('../relay/cli.ts', import.meta.url));

/** A test, or what else can clean up behind itself. */
export interface Context {
  after: (clean: () => void) => void;
}

export interface RelayProcess {
  url: string;
  port: number;
  process: ChildProcess;
  stderr: Output;
  /** SIGKILL, and gone when it resolves. */
  kill(): Promise<void>;
  /** SIGTERM, and gone when it resolves; with the exit code. */
  stop(): Promise<number | null>;
}

export interface RelayOptions {
  /** Any free one if absent. */
  port?: number;
  args?: string[];
  env?: Record<string, string>;
  /** What stands before it on the command line: a tracer. */
  under?: string[];
}

/** A temporary folder that the test removes. */
export function temporaryFolder(context: Context): string {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-test-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Only what the programs need: a test must not depend on the machine's own settings. */
export function cleanEnv(env: Record<string, string> = {}): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: '/nonexistent', TMPDIR: tmpdir(), ...env };
}

/** Rejects with what it said if it ends before it listens. */
export async function startRelay(context: Context, data: string, options: RelayOptions = {}): Promise<RelayProcess> {
  const { port = 0, args = [], env, under = [] } = options;
  mkdirSync(data, { recursive: true });
  const [file, ...rest] = [...under, process.execPath, RELAY, '--port', String(port), '--data', data, ...args];
  const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: cleanEnv(env), cwd: tmpdir() });
  const gone = once(child, 'exit');
  context.after(() => child.kill('SIGKILL'));
  const stderr = new Output(child.stderr);
  const stdout = new Output(child.stdout);
  let url: string;
  try {
    [url] = await stdout.has(/https?:\/\/[\d.]+:\d+(?=\n)/);
  } catch (error) {
    throw new Error(`the relay ended before it was ready: ${await stderr.all()}`, { cause: error });
  }
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await gone;
    return child.exitCode;
  };
  return {
    url,
    port: Number(new URL(url).port),
    process: child,
    stderr,
    kill: async () => {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
  };
}

export interface AgentRun {
  process: ChildProcess;
  pid: number;
  /** Empty for an output that goes elsewhere. */
  stdout: Output;
  stderr: Output;
  /** Resolves when it has ended and both outputs have, too. */
  result: Promise<AgentResult>;
}

export interface AgentResult {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface AgentOptions {
  env?: Record<string, string>;
  stdin?: 'ignore' | 'pipe';
  /** A descriptor; a pipe to the test if absent. */
  stdout?: number;
  cwd?: string;
}

/** Starts `keruta-agent ARGS…`. The relay is that of `env` or of the arguments. */
export function startAgent(context: Context, args: string[], options: AgentOptions = {}): AgentRun {
  const { env, stdin = 'ignore', stdout = 'pipe', cwd = tmpdir() } = options;
  const stdio: StdioOptions = [stdin, stdout, 'pipe'];
  const child = spawn(process.execPath, [AGENT, ...args], { stdio, env: cleanEnv(env), cwd });
  context.after(() => child.kill('SIGKILL'));
  // A script that is gone does not read what the test still writes.
  child.stdin?.on('error', () => undefined);
  const outputs = { stdout: new Output(child.stdout), stderr: new Output(child.stderr) };
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const result = ended.then(async ([exitCode, signal]) => {
    return { exitCode, signal, stdout: await outputs.stdout.all(), stderr: await outputs.stderr.all() };
  });
  if (child.pid === undefined) throw new Error('the agent could not be started');
  return { process: child, pid: child.pid, ...outputs, result };
}

/** Runs `keruta-agent ARGS…` to its end. */
export function runAgent(context: Context, args: string[], options: AgentOptions = {}): Promise<AgentResult> {
  return startAgent(context, args, options).result;
}

/** Where an agent finds this relay, and where it keeps its spool. */
export function relayEnv(relay: { url: string }, spool: string): Record<string, string> {
  return { KERUTA_API_URL: `${relay.url}/api/v1`, KERUTA_SPOOL_DIR: spool };
}

/**
 * What an agent has said beside that its relay was away and is back: whether it says that of a restart depends on how
 * long the machine took for it.
 */
export function apartFromAbsence(stderr: string): string {
  return stderr.replaceAll(/^keruta-agent: (?:.* The log is kept and sent .*|connected to the relay again)\n/gm, '');
}
