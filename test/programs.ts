import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

/** The programs as a user runs them: real processes, from source. */
const AGENT = fileURLToPath(new URL('../agent/cli.ts', import.meta.url));
const RELAY = fileURLToPath(new URL('../relay/cli.ts', import.meta.url));

export interface RelayProcess {
  url: string;
  port: number;
  process: ChildProcess;
  /** SIGKILL, and gone when it resolves. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** A temporary folder that the test removes. */
export function temporaryFolder(context: { after: (remove: () => void) => void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-test-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Only what the programs need: a test must not depend on the machine's own settings. */
export function cleanEnv(env: Record<string, string> = {}): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: '/nonexistent', TMPDIR: tmpdir(), ...env };
}

export async function startRelay(data: string, args: string[] = [], env: Record<string, string> = {}): Promise<RelayProcess> {
  const child = spawn(process.execPath, [RELAY, '--port', '0', '--data', data, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: cleanEnv(env),
    cwd: data,
  });
  const errors = text(child.stderr);
  const lines = createInterface({ input: child.stdout });
  const gone = once(child, 'exit');
  for await (const line of lines) {
    const found = /http:\/\/[\d.]+:(\d+)/.exec(line);
    if (!found) continue;
    child.stdout.resume();
    return {
      url: found[0],
      port: Number(found[1]),
      process: child,
      kill: async () => {
        child.kill('SIGKILL');
        await gone;
      },
      stop: async () => {
        if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
        await gone;
      },
    };
  }
  throw new Error(`the relay ended before it was ready: ${await errors}`);
}

export interface AgentRun {
  process: ChildProcess;
  /** Resolves when it has ended. */
  result: Promise<{ exitCode: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }>;
}

/** Starts `keruta-agent ARGS…`. The relay is that of `env` or of the arguments. */
export function startAgent(args: string[], env: Record<string, string> = {}, stdin: 'ignore' | 'pipe' = 'ignore'): AgentRun {
  const child = spawn(process.execPath, ['--disable-sigusr1', AGENT, ...args], {
    stdio: [stdin, 'pipe', 'pipe'],
    env: cleanEnv(env),
  });
  const result = Promise.all([
    once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>,
    child.stdout ? text(child.stdout) : '',
    child.stderr ? text(child.stderr) : '',
  ]).then(([[exitCode, signal], stdout, stderr]) => ({ exitCode, signal, stdout, stderr }));
  return { process: child, result };
}

/** Where an agent finds this relay. */
export function relayEnv(relay: { url: string }, spool: string): Record<string, string> {
  return { KERUTA_API_URL: `${relay.url}/api/v1`, KERUTA_SPOOL_DIR: spool };
}
