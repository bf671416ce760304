import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { execa, type ResultPromise } from 'execa';

const ROOT = join(import.meta.dirname, '..');
const PATIENCE_MS = 5000;
/** Of what a program says on stderr, kept for the case that it fails. */
const MAX_ERROR_CHARACTERS = 8192;

/** What it prints is read as it comes, and how it ends is looked at, not thrown. */
const HOW = {
  stdin: 'ignore',
  stdout: 'pipe',
  stderr: 'pipe',
  buffer: false,
  reject: false,
  detached: true,
  extendEnv: false,
} as const;

/**
 * One of the project's programs as a process of its own, in its own process group, so that a Ctrl-C reaches it through
 * us alone. `env` adds to the environment, from which all settings of the user's own are taken out.
 */
export class Program {
  readonly #entry: string;
  readonly #child: ResultPromise<typeof HOW>;
  /** Resolves when it has ended, however: the exit code, or null after a signal. Rejects if it could not be started. */
  readonly ended: Promise<number | null>;
  readonly #firstLine: Promise<string | undefined>;
  #errors = '';
  #end: { exitCode?: number; signal?: string } | undefined;

  constructor(
    entry: 'agent/cli.ts' | 'relay/cli.ts',
    args: string[],
    options: { cwd: string; env?: NodeJS.ProcessEnv },
  ) {
    this.#entry = entry;
    const env = { ...foreignEnvironment(), ...options.env };
    this.#child = execa(process.execPath, [join(ROOT, entry), ...args], { ...HOW, cwd: options.cwd, env });
    this.ended = this.#child.then((end) => {
      const { exitCode, signal, cause } = end;
      if (exitCode === undefined && signal === undefined) throw new Error(`${entry} was not started`, { cause });
      this.#end = { exitCode, signal };
      return exitCode ?? null;
    });
    // Whoever waits for it hears of it.
    this.ended.catch(() => undefined);
    // Should we end without having stopped it: it is in a group of its own, which a library leaves alone.
    process.once('exit', () => this.#signal('SIGKILL'));
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-MAX_ERROR_CHARACTERS);
    });
    this.#firstLine = firstLineOf(this.#child.stdout);
  }

  /** What it said on stderr. */
  get errors(): string {
    return this.#errors.trim();
  }

  /** How it ended, and what it had to say. */
  get fate(): string {
    const { exitCode, signal } = this.#end ?? {};
    const how = signal === undefined ? `with exit code ${exitCode}` : `by ${signal}`;
    return this.errors === '' ? how : `${how}, saying: ${this.errors}`;
  }

  /** The first line that it prints. Rejects if it ends without one. */
  async ready(): Promise<string> {
    const line = await this.#firstLine;
    if (line !== undefined) return line;
    await this.ended;
    throw new Error(`${this.#entry} ended ${this.fate}`);
  }

  /** Asks it to end, makes it after a while, and waits until it has. */
  async stop(): Promise<void> {
    this.#signal('SIGTERM');
    const timer = setTimeout(() => this.#signal('SIGKILL'), PATIENCE_MS);
    // What became of it is not the question any more.
    await this.ended.catch(() => undefined);
    clearTimeout(timer);
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#end === undefined) this.#child.kill(signal);
  }
}

async function firstLineOf(stdout: Readable): Promise<string | undefined> {
  let first: string | undefined;
  for await (const line of createInterface({ input: stdout })) {
    first = line;
    break;
  }
  // The rest is of no interest, but a program must be able to say it.
  stdout.resume();
  return first;
}

function foreignEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(KERUTA|BUILD)_/.test(name)));
}
