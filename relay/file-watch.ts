import { stat } from 'node:fs/promises';

/**
 * Notices that files have changed, by looking at them once a second: watches of the operating system miss what happens
 * on network file systems, and behind the links that Kubernetes swaps.
 */
export class FileWatch {
  readonly #paths: readonly string[];
  readonly #onChange: () => Promise<void> | void;
  readonly #everyMs: number;
  #seen: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  /** `onChange` must not fail: whoever reads the files knows what to do with a bad one. */
  constructor({ paths, onChange, everyMs = LOOK_EVERY_MS }: FileWatchOptions) {
    this.#paths = paths;
    this.#onChange = onChange;
    this.#everyMs = everyMs;
  }

  /** Remembers how the files are now: to be called before they are read. */
  async start(): Promise<void> {
    this.#seen = await this.#signature();
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
    if (now === this.#seen) return;
    this.#seen = now;
    await this.#onChange();
  }

  async #signature(): Promise<string> {
    return (await Promise.all(this.#paths.map(signatureOf))).join('\n');
  }
}

export interface FileWatchOptions {
  paths: readonly string[];
  onChange: () => Promise<void> | void;
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
