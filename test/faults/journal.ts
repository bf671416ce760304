import { closeSync, openSync, readSync } from 'node:fs';
import type { Arm } from './arming.ts';

/** A process is about to do to itself what an arm says. */
export interface Fired {
  pid: number;
  arm: Arm;
  /** A thread that is started again has the same arms: it stands still again, and counts once. */
  again: boolean;
}

/**
 * What the processes of a round write down just before they act (fuse.ts): only what stands here has happened. Arms are
 * known here by their numbers from when they are handed out.
 */
export class Journal {
  readonly path: string;
  onFired: (fired: Fired) => void = () => undefined;
  readonly #fd: number;
  readonly #timer: NodeJS.Timeout;
  readonly #arms = new Map<number, Arm>();
  readonly #fired = new Set<number>();
  #rest = '';
  #at = 0;

  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, 'a+');
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS);
  }

  /** Gives an arm its number. */
  arm(arm: Omit<Arm, 'id'>): Arm {
    const known = { id: this.#arms.size + 1, ...arm };
    this.#arms.set(known.id, known);
    return known;
  }

  hasFired({ id }: Arm): boolean {
    this.look();
    return this.#fired.has(id);
  }

  /** Reads what has come since; also done by itself. */
  look(): void {
    const some = Buffer.alloc(4096);
    for (let size = 1; size > 0; this.#at += size) {
      size = readSync(this.#fd, some, 0, some.length, this.#at);
      this.#rest += some.toString('latin1', 0, size);
    }
    const lines = this.#rest.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const [pid, id] = line.split(' ').map(Number);
      const arm = this.#arms.get(id);
      if (arm === undefined) continue;
      const again = this.#fired.has(id);
      this.#fired.add(id);
      this.onFired({ pid, arm, again });
    }
  }

  close(): void {
    clearInterval(this.#timer);
    closeSync(this.#fd);
  }
}

const LOOK_EVERY_MS = 10;
