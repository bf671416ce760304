import type { ForMessage } from '../../../shared/viewer-messages.ts';
import { textFrame } from '../frames.ts';
import type { Outgoing } from '../outgoing.ts';

/** One subscription's way out of a socket. */
export interface Lane {
  /** Writes frames that say nothing of whose they are. */
  write(frames: readonly Buffer[]): void;
}

/**
 * The way out of a socket that several subscriptions share. Frames of lines are built once for all viewers, so they
 * can't say which subscription they belong to; where that changes, a `for` leaves in the same write, just before them.
 */
export class Lanes {
  readonly #out: Outgoing;
  /** Whose frames were written last; undefined: of those without a name, which the messages themselves tell apart. */
  #current: string | undefined;

  constructor(out: Outgoing) {
    this.#out = out;
  }

  lane(name: string | undefined): Lane {
    const message: ForMessage = { type: 'for', subscription: name ?? null };
    const change = textFrame(JSON.stringify(message));
    return {
      write: (frames) => {
        if (frames.length === 0) return;
        if (this.#current === name) {
          this.#out.write(...frames);
          return;
        }
        this.#current = name;
        this.#out.write(change, ...frames);
      },
    };
  }
}
