import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { LogPrinter } from '../agent/log-printer.ts';
import { Dialer } from '../agent/dialer.ts';
import { viewerConnect } from '../agent/logs-socket.ts';
import { createClient } from '../client/client.ts';
import { tailGroups } from '../client/tail.ts';
import { Program } from './demo-programs.ts';
import { HOW_TO, problems, summary, type StoredTask } from './demo-report.ts';
import { Screen } from './demo-screen.ts';
import { Tally } from './demo-tally.ts';

/**
 * The whole path on this machine: a relay with a store in a temporary folder, an agent that runs build.sh, and a reader
 * that shows the lines as the relay gives them. Ends with a summary; leaves nothing behind, however it ends. The exit
 * code is 0 if all was as it should be, 1 if not, 128+n after signal n.
 */
const TASK = 'demo';
const SCRIPT = join(import.meta.dirname, 'build.sh');
const TICK_MS = 100;
/** Between the agent's exit and the relay's word that the task has ended. */
const END_PATIENCE_MS = 10_000;

/** Asked to stop by a signal, or nobody looks any more. */
class Stopped extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => stop.abort(new Stopped(`stopped by ${signal}`, 128 + constants.signals[signal])));
}
process.stdout.on('error', () => stop.abort(new Stopped('nobody reads any more', 1)));

process.exitCode = await demo(stop.signal).catch((error: unknown) => {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  return error instanceof Stopped ? error.exitCode : 1;
});

async function demo(signal: AbortSignal): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-demo-'));
  const programs: Program[] = [];
  try {
    const data = join(folder, 'data');
    const relay = new Program('relay/cli.ts', ['--port', '0', '--data', data, '--log-level', 'warn'], { cwd: folder });
    programs.push(relay);
    const url = (await unlessStopped(relay.ready(), signal)).replace(/^.* /, '');
    say(`The relay listens on ${url}; the agent runs examples/build.sh. What follows comes from the relay.\n`);

    const secret = `dpl-${randomBytes(10).toString('hex')}`;
    const countFile = join(folder, 'lines');
    const spool = join(folder, 'spool');
    const args = ['execute', '--task-id', TASK, '--script', SCRIPT, '--no-tee', '--api-url', url, '--spool-dir', spool];
    const settings = pick(process.env, ['BUILD_BURST', 'BUILD_PAUSE']);
    const env = { ...settings, DEPLOY_TOKEN: secret, BUILD_LINE_COUNT_FILE: countFile };
    const agent = new Program('agent/cli.ts', args, { cwd: folder, env });
    programs.push(agent);

    const tally = new Tally({ secret });
    const exitCode = await watch(url, tally, { relay, agent, signal });
    const task = await storedTask(url, signal);
    const outcome = { tally, written: linesIn(countFile), exitCode, task };
    const wrong = problems(outcome);
    const verdict = wrong.length === 0 ? 'All lines are there, and the relay has verified it.' : 'This is not right:';
    say(`\n${verdict}\n${wrong.map((sentence) => `  - ${sentence}\n`).join('')}\n${summary(outcome)}\n${HOW_TO}`);
    if (wrong.length === 0) return 0;
    if (agent.errors !== '') process.stderr.write(`demo: the agent said: ${agent.errors}\n`);
    return 1;
  } finally {
    // The reverse of how they were started.
    for (const program of programs.toReversed()) await program.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Shows the log while it comes, until the relay says that it is over. Answers the agent's exit code. */
async function watch(
  url: string,
  tally: Tally,
  { relay, agent, signal }: { relay: Program; agent: Program; signal: AbortSignal },
): Promise<number | null> {
  const over = new AbortController();
  const tooLate = agent.ended.then(async () => {
    await sleep(END_PATIENCE_MS, undefined, { signal: over.signal });
    throw new Error(`the agent ended ${agent.fate}, and the relay does not say that the task has ended`);
  });
  const relayGone = relay.ended.then(() => {
    throw new Error(`the relay ended ${relay.fate}`);
  });
  try {
    await Promise.race([show(url, tally, AbortSignal.any([signal, over.signal])), tooLate, relayGone]);
    return await unlessStopped(agent.ended, signal);
  } finally {
    over.abort(new Error('the log is over'));
  }
}

async function show(url: string, tally: Tally, signal: AbortSignal): Promise<void> {
  const color = process.stdout.isTTY && !process.env.NO_COLOR;
  const printer = new LogPrinter({ json: false, timestamps: false, color });
  const screen = new Screen({ plain: !color });
  const timer = setInterval(() => say(screen.tick(performance.now())), TICK_MS);
  const webSocket = viewerConnect({
    urls: [`${url.replace(/^http/, 'ws')}/ws/tasks`],
    task: TASK,
    dialer: new Dialer({ connectTimeoutMs: END_PATIENCE_MS }),
    timeoutMs: END_PATIENCE_MS,
  });
  const client = createClient({ url, webSocket });
  try {
    for await (const events of tailGroups(client, { task: TASK }, { signal, from: 'start' })) {
      const now = Date.now();
      let text = '';
      for (const event of events) {
        tally.take(event, now);
        const { out, err } = printer.print(event);
        text += out + err;
      }
      say(screen.write(text, performance.now()));
      if (tally.end !== undefined) break;
    }
  } finally {
    client.close();
    clearInterval(timer);
    say(screen.finish());
  }
}

async function storedTask(url: string, signal: AbortSignal): Promise<StoredTask> {
  const { statusCode, body } = await request(`${url}/api/v1/tasks/${TASK}`, { signal });
  if (statusCode !== 200) throw new Error(`the relay answers ${statusCode}: ${await body.text()}`);
  return (await body.json()) as StoredTask;
}

/** What the script counted; NaN if it did not come so far. */
function linesIn(countFile: string): number {
  try {
    return Number(readFileSync(countFile, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return NaN;
  }
}

function pick(env: NodeJS.ProcessEnv, names: string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(names.map((name) => [name, env[name]]));
}

function unlessStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function say(text: string): void {
  if (text !== '') process.stdout.write(text);
}
