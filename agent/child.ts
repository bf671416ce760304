import { spawn, type ChildProcess } from 'node:child_process';
import { statSync } from 'node:fs';
import { constants } from 'node:os';
import { StreamReader, type BlockReader } from './blocks.ts';
import { closeWriters, makePipes } from './pipes.ts';
import { ScriptError, type Program } from './script.ts';

/** The running script, leader of its own process group. */
export interface Child {
  readonly pid: number;
  readonly stdout: BlockReader;
  readonly stderr: BlockReader;
  /** How it ended. Its pipes may still hold output, and a process that it left behind may hold them open. */
  readonly exited: Promise<Exit>;
  /** To the whole group. A group that is gone is no error. */
  signal(signal: NodeJS.Signals): void;
}

export interface Exit {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
}

/** Starts `program` with the agent's own stdin and environment. Rejects with a ScriptError if it can't be run. */
export async function startChild(program: Program, workDir: string | undefined): Promise<Child> {
  const pipes = await makePipes();
  try {
    const child = spawned(program, workDir, [pipes?.stdout.writeFd ?? 'pipe', pipes?.stderr.writeFd ?? 'pipe']);
    const exited = new Promise<Exit>((resolve) => {
      child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(notRun(program, workDir, error)));
    });
    const stdout = pipes?.stdout.reader ?? (child.stdout && new StreamReader(child.stdout));
    const stderr = pipes?.stderr.reader ?? (child.stderr && new StreamReader(child.stderr));
    const { pid } = child;
    if (pid === undefined || !stdout || !stderr) throw new Error('a spawned process without pid or pipes');
    return { pid, stdout, stderr, exited, signal: (signal) => signalGroup(pid, signal) };
  } catch (error) {
    pipes?.stdout.reader.destroy();
    pipes?.stderr.reader.destroy();
    throw error;
  } finally {
    if (pipes) closeWriters(pipes);
  }
}

function spawned(program: Program, workDir: string | undefined, outputs: (number | 'pipe')[]): ChildProcess {
  try {
    return spawn(program.file, program.args, {
      cwd: workDir,
      stdio: ['inherit', ...outputs],
      // Its own group, so that a signal reaches what the script started as well.
      detached: true,
    });
  } catch (error) {
    // E2BIG, ENOTDIR and some others become no event.
    throw notRun(program, workDir, error as NodeJS.ErrnoException);
  }
}

/** The exit code that a shell gives for a signal. */
export function signalExitCode(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

function notRun(program: Program, workDir: string | undefined, error: NodeJS.ErrnoException): ScriptError {
  // The system says the same of a folder that is not there and of a program.
  if (workDir !== undefined && statSync(workDir, { throwIfNoEntry: false })?.isDirectory() !== true) {
    return new ScriptError(126, `the working folder ${workDir}: no such folder`);
  }
  if (error.code === 'ENOENT') return new ScriptError(127, `${program.file}: not found`);
  return new ScriptError(126, `${program.file}: can't be run (${error.code ?? error.message})`);
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EPERM')
      process.stderr.write(`keruta-agent: can't send ${signal} to the script, which runs as another user\n`);
    else if (code !== 'ESRCH') throw error;
  }
}
