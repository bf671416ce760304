import { resolve } from 'node:path';
import type { AgentConfig } from '../shared/options/agent-options.ts';
import { UsageError } from '../shared/options/usage-error.ts';
import { newUlid } from '../shared/ulid.ts';
import { signalExitCode, startChild, type Child, type Exit } from './child.ts';
import type { DrainProgress } from './drain-progress.ts';
import type { LineFilter } from './line-filter.ts';
import type { RunFigures } from './local-metrics.ts';
import type { LocalPort } from './local-port.ts';
import type { Delivery, Outbox } from './outbox.ts';
import { scriptProgram, ScriptError } from './script.ts';
import { joinOutputs } from './output.ts';
import { Tee } from './tee.ts';
import { Termination } from './termination.ts';

const TIMEOUT_EXIT_CODE = 124;
/** With --strict: the script succeeded, its log is not complete. */
const STRICT_EXIT_CODE = 120;

/** Of the 30 s that Kubernetes leaves between SIGTERM and SIGKILL, those that script and drain may use. */
const TERMINATION_PERIOD_MS = 28_000;

/** A disk that hangs for longer keeps the script waiting no more. */
const TOKEN_PATIENCE_MS = 2000;

/** A script or a command line. */
export interface Command {
  /** A file; `argv` are its arguments. */
  script?: string;
  /** Without a script: the program and its arguments. */
  argv: string[];
}

/**
 * Runs the script and brings its log to the relay. Reads as the pipe, in the order in which data flows, and ends in
 * the same order: child → capture (redact, tee, lines, chunks) → outbox (spool, uplink). Answers the exit code: the
 * script's own, whatever becomes of its log.
 */
export async function execute(config: AgentConfig, command: Command, filter?: LineFilter): Promise<number> {
  const startedAt = Date.now();
  const run = newUlid(startedAt);
  const masks = await readMasks(config.mask);
  const termination = new Termination({ graceMs: config.graceMs, timeoutMs: config.timeoutMs });
  // The script first: what it does not need is loaded while it starts.
  const starting = start(config, command);
  const [{ redactText }, { knownSecrets }, { openOutbox }, { Capture }, { pacerOf }, { runScript }] = await Promise.all(
    [
      import('./redact/redactor.ts'),
      import('./masking.ts'),
      import('./open-outbox.ts'),
      import('./capture.ts'),
      import('./pacer.ts'),
      import('./run-script.ts'),
    ],
  );
  const logFile = config.logFile === undefined ? undefined : await logFileAt(config.logFile);
  const tees = {
    stdout: joinOutputs([config.tee ? openTee(1, 'stdout') : undefined, logFile]),
    stderr: joinOutputs([config.tee ? openTee(2, 'stderr') : undefined, logFile]),
  };
  const secrets = knownSecrets(config, [...masks, ...(await tokenOfFile(config))], warn);
  const mask = (text: string) => redactText(text, secrets);
  const pacer = pacerOf(config);
  const opened = openOutbox(config, {
    run,
    pacer,
    startedAt,
    command: commandLine(command),
    mask,
    onWarning: (text) => warn(mask(text)),
    onCancel: (reason) => {
      warn(mask(`the relay cancels the run: ${reason}`));
      termination.terminate('cancelled');
    },
  });
  let running = true;
  const { outbox, port } =
    config.localPort === undefined
      ? { outbox: opened, port: undefined }
      : await watched(opened, config, () => ({ task: config.taskId, run, startedAt, running }));
  const capture = new Capture({
    ...config,
    run,
    outbox,
    secrets,
    level: config.logLevel,
    filter,
    maxLinesPerSecond: config.rateLimitPolicy === 'drop' ? config.rateLimitPerSecond : undefined,
    pacer,
  });

  const child = await starting;
  let exit: Exit = { exitCode: null, signal: null };
  if (child instanceof ScriptError) {
    termination.exited();
    warn(mask(child.message));
    capture.note('ERROR', mask(child.message));
  } else {
    termination.attach(child);
    exit = await runScript(child, capture, tees, () => {
      termination.exited();
      return drainSignal(termination);
    });
    const { reason } = termination;
    if (reason !== undefined) capture.note('WARN', ENDINGS[reason](config));
  }
  running = false;
  await capture.end();
  const { result, exitCode } = judge(child, exit, termination);
  const over = drainSignal(termination);
  const progress = process.stderr.isTTY ? await showProgress(outbox) : undefined;
  const delivery = await outbox.end({ ...result, ...capture.totals, endedAt: Date.now() }, over);
  progress?.stop();
  report(delivery, config);
  await Promise.race([Promise.all([tees.stdout?.flushed(), tees.stderr?.flushed()]), aborted(over)]);
  termination.dispose();
  port?.close();
  return config.strict && exitCode === 0 && !isComplete(delivery) ? STRICT_EXIT_CODE : exitCode;
}

function isComplete({ outcome, missingLines }: Delivery): boolean {
  return outcome === 'verified' && missingLines === 0;
}

async function logFileAt(path: string): Promise<Tee | undefined> {
  const { openLogFile } = await import('./log-file.ts');
  return openLogFile(path, warn);
}

/** The outbox, counted, and the local port that tells of it. */
async function watched(
  opened: Outbox,
  { localPort = 0, debug }: AgentConfig,
  run: () => Pick<RunFigures, 'task' | 'run' | 'startedAt' | 'running'>,
): Promise<{ outbox: Outbox; port: LocalPort }> {
  const [{ CountingOutbox }, { LocalPort }] = await Promise.all([
    import('./counting-outbox.ts'),
    import('./local-port.ts'),
  ]);
  const outbox = new CountingOutbox(opened);
  const figures = (): RunFigures => ({
    ...run(),
    counts: outbox.counts,
    textBytes: outbox.textBytes,
    outbox: outbox.figures,
    residentBytes: process.memoryUsage.rss(),
  });
  const port = new LocalPort(figures, debug ? (await import('./local-debug.ts')).debugRoutes() : undefined);
  port.listen(localPort, warn);
  return { outbox, port };
}

async function showProgress(outbox: Outbox): Promise<DrainProgress> {
  const { DrainProgress } = await import('./drain-progress.ts');
  return new DrainProgress(process.stderr, () => outbox.unsentLines);
}

const ENDINGS = {
  timeout: (config: AgentConfig) => `the script was ended after its timeout of ${(config.timeoutMs ?? 0) / 1000} s`,
  cancelled: () => 'the script was ended because the relay cancelled the run',
  signalled: () => 'the script was ended because the agent received SIGTERM',
};

/** What --mask names; a file that can't be read is the user's to mend before anything runs. */
async function readMasks(options: readonly string[]): Promise<string[]> {
  if (options.length === 0) return [];
  const { readMask } = await import('./redact/mask-option.ts');
  try {
    return options.flatMap(readMask);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** The token that a file holds by now. Whoever connects says it if that can't be read; the script does not wait for it. */
async function tokenOfFile({ authTokenFile }: AgentConfig): Promise<string[]> {
  if (authTokenFile === undefined) return [];
  const { readToken } = await import('./credentials.ts');
  const late = new Promise<string[]>((resolve) => setTimeout(resolve, TOKEN_PATIENCE_MS, []).unref());
  const token = readToken(authTokenFile).then(
    (found) => [found],
    () => [],
  );
  return Promise.race([token, late]);
}

/** The running child, or why there is none: that is a result, not a failure of the agent's. */
async function start(config: AgentConfig, command: Command): Promise<Child | ScriptError> {
  try {
    const program =
      command.script === undefined
        ? { file: command.argv[0], args: command.argv.slice(1) }
        : // The path is the caller's, not the script's working folder's.
          scriptProgram(config.workDir === undefined ? command.script : resolve(command.script), command.argv);
    return await startChild(program, config.workDir);
  } catch (error) {
    if (error instanceof ScriptError) return error;
    throw error;
  }
}

function judge(child: Child | ScriptError, exit: Exit, { reason }: Termination) {
  if (child instanceof ScriptError) {
    return {
      exitCode: child.exitCode,
      result: { exitCode: child.exitCode, signal: null, reason: 'not-started' as const },
    };
  }
  const own = exit.signal === null ? (exit.exitCode ?? 1) : signalExitCode(exit.signal);
  const exitCode = reason === 'timeout' ? TIMEOUT_EXIT_CODE : own;
  // A script that took SIGTERM and ended by itself has ended as it says.
  const how = reason === 'signalled' || reason === undefined ? (exit.signal === null ? 'exited' : 'signalled') : reason;
  return { exitCode, result: { exitCode, signal: exit.signal, reason: how } as const };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** Ends the drain when the user insists, or what is left of the termination period is over. */
function drainSignal(termination: Termination): AbortSignal {
  const { terminatedAt, hurry } = termination;
  if (terminatedAt === undefined) return hurry;
  const left = Math.max(0, terminatedAt + TERMINATION_PERIOD_MS - Date.now());
  return AbortSignal.any([hurry, AbortSignal.timeout(left)]);
}

function report(delivery: Delivery, config: AgentConfig): void {
  const { outcome, unsentLines, missingLines, problem } = delivery;
  const why = problem === undefined ? '' : ` (${problem})`;
  if (outcome === 'spooled') {
    warn(
      `${waiting(unsentLines)} in the spool${why}; send with: keruta-agent flush --spool-dir ${quoted(config.spoolDir)}`,
    );
  } else if (outcome === 'lost') {
    const what = unsentLines === 0 ? 'the end of the log' : `${unsentLines} lines`;
    warn(`${what} could be kept nowhere, and can't be sent later${why}`);
  } else if (outcome === 'unverified') {
    warn(`the relay has the log, but not as it was sent${why}; it is marked there`);
  }
  if (missingLines > 0) warn(`${missingLines} lines are missing from the log; it shows where`);
}

function waiting(lines: number): string {
  // All lines are there, but the relay has not verified that they are all.
  if (lines === 0) return 'the end of the log waits';
  return lines === 1 ? '1 line waits' : `${lines} lines wait`;
}

function commandLine(command: Command): string {
  const words = command.script === undefined ? command.argv : [command.script, ...command.argv];
  return words.map(quoted).join(' ');
}

/** A word as a shell reads it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function openTee(fd: number, name: string): Tee {
  return new Tee(fd, (error) =>
    warn(`can't write to ${name} any more (${error.code ?? error.message}); the log goes on without it`),
  );
}

function warn(text: string): void {
  process.stderr.write(`keruta-agent: ${text}\n`);
}
