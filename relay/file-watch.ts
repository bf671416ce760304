import { stat } from 'node:fs/promises';

/**
 * Notices that files have changed, by looking at them once a second: watches of the operating system miss what happens
 * on network file systems, and behind the links that Kubernetes swaps.
 */
export class FileWatch {
  readonly #paths: readonly string[];
  readonly #onChange: () => Promise<void> | void;
  readonly #onProblem: (error: unknown) => void;
  readonly #everyMs: number;
  /** How the files were when they were last dealt with. */
  #dealtWith: string | undefined;
  /** How they were when that failed. */
  #failed: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor({ paths, onChange, onProblem, everyMs = LOOK_EVERY_MS }: FileWatchOptions) {
    this.#paths = paths;
    this.#onChange = onChange;
    this.#onProblem = onProblem;
    this.#everyMs = everyMs;
  }

  /** Remembers how the files are now: to be called before they are read. */
  async start(): Promise<void> {
    this.#dealtWith = await this.#signature();
    this.#timer = setInterval(() => void this.look(), this.#everyMs).unref();
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  /** One look; resolves when a change that it found has been dealt with. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #look(): Promise<void> {
    const now = await this.#signature();
    if (now === this.#dealtWith) return;
    try {
      await this.#onChange();
      this.#dealtWith = now;
      this.#failed = undefined;
    } catch (error) {
      if (this.#failed !== now) this.#onProblem(error);
      this.#failed = now;
    }
  }

  async #signature(): Promise<string> {
    return (await Promise.all(this.#paths.map(signatureOf))).join('\n');
  }
}

export interface FileWatchOptions {
  paths: readonly string[];
  /** If it fails it is tried again at the next look: the files may be good, and reading them have failed. */
  onChange: () => Promise<void> | void;
  /** Told once of what `onChange` fails of, until the files change again. */
  onProblem: (error: unknown) => void;
  everyMs?: number;
}

/** Changes with every replacement and every write. What can't be looked at is as if it were not there. */
async function signatureOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch {
    return '-';
  }
}

const LOOK_EVERY_MS = 1000;
