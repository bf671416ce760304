import { steadyNow } from './arming.ts';
import type { StormReader } from './contract.ts';
import type { Tally } from './tally.ts';

/** Watches what readers see, to tell how long after a fault lines came again. */
export class Pulse {
  readonly #readers: readonly StormReader[];
  readonly #tally: Tally;
  readonly #looked: number[];
  readonly #timer: NodeJS.Timeout;
  /** Who waits for the next line: of a task, or of any. */
  #waiting: { since: number; task: string | undefined }[] = [];

  constructor(readers: readonly StormReader[], tally: Tally) {
    this.#readers = readers;
    this.#tally = tally;
    this.#looked = readers.map(() => 0);
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  /** A fault is over: what is seen from now on, of `task` if that is what it happened to, has recovered from it. */
  faultOver(task?: string): void {
    this.#look();
    this.#waiting.push({ since: steadyNow(), task });
  }

  /** Nobody writes any more: who still waits will not learn. */
  stop(): void {
    clearInterval(this.#timer);
    this.#waiting = [];
  }

  #look(): void {
    const seen = new Set<string>();
    for (const [index, reader] of this.#readers.entries()) {
      for (const { task } of reader.seen.slice(this.#looked[index])) seen.add(task);
      this.#looked[index] = reader.seen.length;
    }
    if (seen.size === 0) return;
    const now = steadyNow();
    this.#waiting = this.#waiting.filter(({ since, task }) => {
      if (task !== undefined && !seen.has(task)) return true;
      this.#tally.recovered(now - since);
      return false;
    });
  }
}

const LOOK_EVERY_MS = 20;
