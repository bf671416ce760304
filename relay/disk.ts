import { statfs } from 'node:fs/promises';

/**
 * Watches the room on the device that holds the store. While `room` is false nothing may be taken in: the last
 * megabytes belong to the store's own log, and to whoever has to clean up.
 */
export class DiskGuard {
  /** Called when `room` has changed. */
  onChange: () => void = () => undefined;
  readonly #folder: string;
  readonly #minFreeBytes: number;
  readonly #freeBytes: (folder: string) => Promise<number>;
  readonly #clock: () => number;
  #state: DiskState = { room: true, freeBytes: Infinity };
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #runningSince = 0;

  constructor(options: DiskGuardOptions) {
    this.#folder = options.folder;
    this.#clock = options.clock ?? (() => performance.now());
    this.#minFreeBytes = options.minFreeBytes;
    this.#freeBytes = options.freeBytes ?? freeBytesOf;
  }

  get state(): DiskState {
    return this.#state;
  }

  /** Looks once, and then every few seconds until `stop`. */
  async start(): Promise<void> {
    await this.check();
    this.#timer = setInterval(() => void this.check(), CHECK_EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The store could not write for want of room, whatever the numbers say (a quota, say): no room until the next look. */
  full(): void {
    this.#become({ ...this.#state, room: false, problem: 'the store found no room to write' });
  }

  /** Looks now; one look at a time. A device that can't be asked has no room, and so has one that does not answer. */
  check(): Promise<void> {
    if (this.#running === undefined) {
      this.#runningSince = this.#clock();
      this.#running = this.#look().finally(() => (this.#running = undefined));
    } else if (this.#clock() - this.#runningSince >= PATIENCE_MS) {
      const problem = `the data folder has not answered for ${PATIENCE_MS / 1000} s`;
      this.#become({ ...this.#state, room: false, problem });
    }
    return this.#running;
  }

  async #look(): Promise<void> {
    try {
      const freeBytes = await this.#freeBytes(this.#folder);
      const room = freeBytes >= this.#minFreeBytes;
      const problem = `${mebibytes(freeBytes)} are free, ${mebibytes(this.#minFreeBytes)} are kept in reserve`;
      this.#become(room ? { room, freeBytes } : { room, freeBytes, problem });
    } catch (error) {
      this.#become({
        room: false,
        freeBytes: 0,
        problem: `the data folder can't be looked at: ${(error as Error).message}`,
      });
    }
  }

  #become(state: DiskState): void {
    const changed = state.room !== this.#state.room;
    this.#state = state;
    if (changed) this.onChange();
  }
}

export interface DiskGuardOptions {
  folder: string;
  minFreeBytes: number;
  /** What is free on the device of a folder. */
  freeBytes?: (folder: string) => Promise<number>;
  /** monotonic ms */
  clock?: () => number;
}

export interface DiskState {
  room: boolean;
  /** Infinity before the first look. */
  freeBytes: number;
  /** Why there is no room, if there is none. */
  problem?: string;
}

/** A flood of 150 MB/s takes 150 MB of the reserve between two looks. */
const CHECK_EVERY_MS = 1000;
/** A network file system whose server is away answers nothing, not even that. */
const PATIENCE_MS = 10_000;

async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}
