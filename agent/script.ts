import { accessSync, constants, closeSync, openSync, readSync, statSync } from 'node:fs';

/** What to run: a file for exec and its arguments. */
export interface Program {
  file: string;
  args: string[];
}

/** A script that can't be run, with the exit code that a shell gives for it. */
export class ScriptError extends Error {
  readonly exitCode: 126 | 127;
  constructor(exitCode: 126 | 127, message: string) {
    super(message);
    this.name = 'ScriptError';
    this.exitCode = exitCode;
  }
}

const SHEBANG_BYTES = 256;

/**
 * How a script file is run: itself if it may be executed and says by what, else by the interpreter of its `#!` line,
 * else by `sh`. Throws a ScriptError if there is no such file or it can't be read.
 */
export function scriptProgram(path: string, args: string[]): Program {
  const file = path.includes('/') ? path : `./${path}`;
  checkFile(file, path);
  const head = readHead(file, path);
  const interpreter = shebang(head);
  if (isExecutable(file) && (interpreter !== undefined || !isText(head))) return { file, args };
  if (interpreter) return { file: interpreter[0], args: [...interpreter.slice(1), file, ...args] };
  return { file: 'sh', args: [file, ...args] };
}

/** The `#!` line's interpreter and its one argument, as the kernel splits it. */
export function shebang(head: string): string[] | undefined {
  const found = /^#![ \t]*(\S+)[ \t]*([^\n]*)/.exec(head);
  if (!found) return undefined;
  const argument = found[2].trim();
  return argument === '' ? [found[1]] : [found[1], argument];
}

function checkFile(file: string, path: string): void {
  try {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (!stat) throw new ScriptError(127, `script ${path}: no such file`);
    if (stat.isDirectory()) throw new ScriptError(126, `script ${path}: is a directory`);
  } catch (error) {
    if (error instanceof ScriptError) throw error;
    throw new ScriptError(126, `script ${path}: can't be looked at (${codeOf(error)})`);
  }
}

function readHead(file: string, path: string): string {
  const head = Buffer.alloc(SHEBANG_BYTES);
  try {
    const fd = openSync(file, 'r');
    try {
      return head.toString('latin1', 0, readSync(fd, head));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    // A program that may be executed need not be readable.
    if (isExecutable(file)) return '\0';
    throw new ScriptError(126, `script ${path}: can't be read (${codeOf(error)})`);
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
  } catch {
    return false;
  }
  // Root may access everything; exec still wants one of the bits.
  return (statSync(file).mode & 0o111) !== 0;
}

function isText(head: string): boolean {
  return !head.includes('\0') && !head.startsWith('\x7fELF');
}
