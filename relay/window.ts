/**
 * The relay's room for chunks that came and are not yet committed: one budget, of which each connection gets a window.
 * An agent sends no more than its window ahead of the acks; what keeps the budget is that sockets are not read.
 *
 * One chunk may always fly: a connection with nothing under way is read whatever the others have used, so the room can
 * be exceeded by one frame a connection and never stands still.
 */
export class WindowBudget {
  readonly #total: number;
  #used = 0;
  #windows = 0;
  /** Windows with something under way. */
  #active = 0;
  /** Windows whose sockets are not read, in the order in which they were stopped. */
  readonly #waiting = new Set<Window>();

  constructor(totalBytes: number) {
    this.#total = totalBytes;
  }

  /** Bytes under way over all windows. */
  get used(): number {
    return this.#used;
  }

  open(flow: Flow): Window {
    this.#windows++;
    const bytes = clamp(this.#total / GIVEN_OUT / this.#windows);
    return new Window(bytes, flow, {
      take: (window, charge) => {
        if (window.used === charge) this.#active++;
        this.#used += charge;
        if (window.used > this.#limit(window) || this.#used > this.#total) this.#stop(window);
      },
      release: (window, charge) => {
        this.#used -= charge;
        if (window.used === 0) {
          this.#active--;
          this.#start(window);
        }
        this.#startOthers();
      },
      close: (window) => {
        this.#windows--;
        this.#waiting.delete(window);
      },
    });
  }

  /** How far a window may be filled now, which depends on how many others are being filled. */
  #limit(window: Window): number {
    return Math.min(window.bytes, clamp(this.#total / FILLED_AT_ONCE / Math.max(1, this.#active)));
  }

  #stop(window: Window): void {
    if (this.#waiting.has(window)) return;
    this.#waiting.add(window);
    window.flow.pause();
  }

  #start(window: Window): void {
    if (this.#waiting.delete(window)) window.flow.resume();
  }

  /** Reads again from those who waited longest, as far as what they may bring at once still fits. */
  #startOthers(): void {
    let promised = this.#used;
    for (const window of this.#waiting) {
      if (promised >= this.#total) return;
      const limit = this.#limit(window);
      // Half of it: a socket that is stopped and started at every chunk costs more than it brings.
      if (window.used > limit / 2) continue;
      promised += limit - window.used;
      this.#start(window);
    }
  }
}

/** One connection's share. `take` when a chunk came, `release` when it is committed or given up. */
export class Window {
  /** What the agent is told it may send ahead of the acks. */
  readonly bytes: number;
  readonly flow: Flow;
  readonly #budget: Shared;
  #used = 0;

  constructor(bytes: number, flow: Flow, budget: Shared) {
    this.bytes = bytes;
    this.flow = flow;
    this.#budget = budget;
  }

  get used(): number {
    return this.#used;
  }

  take(bytes: number): void {
    this.#used += bytes + FRAME_OVERHEAD_BYTES;
    this.#budget.take(this, bytes + FRAME_OVERHEAD_BYTES);
  }

  release(bytes: number): void {
    this.#used -= bytes + FRAME_OVERHEAD_BYTES;
    this.#budget.release(this, bytes + FRAME_OVERHEAD_BYTES);
  }

  /** The connection is gone. What is still under way is released when it is settled. */
  close(): void {
    this.#budget.close(this);
  }
}

/** The socket that a window holds back. */
export interface Flow {
  pause(): void;
  resume(): void;
}

interface Shared {
  take(window: Window, bytes: number): void;
  release(window: Window, bytes: number): void;
  close(window: Window): void;
}

function clamp(bytes: number): number {
  return Math.min(MAX_WINDOW_BYTES, Math.max(MIN_WINDOW_BYTES, Math.floor(bytes)));
}

/** A fourth of the budget is given out as windows; the rest is for those that were given when there were fewer. */
const GIVEN_OUT = 4;
/** A sixteenth is filled by a flood: it may arrive in one turn of the event loop, be copied into one group and be
 * committed as one, each of which shall be short. More adds nothing to what the store takes in a second. */
const FILLED_AT_ONCE = 16;
/** More is never needed: 40 MB/s of compressed chunks over a link of 100 ms. */
const MAX_WINDOW_BYTES = 4 * 1024 * 1024;
/** Less would make a busy relay a slow one: a hundred quiet chunks, or two full ones. */
const MIN_WINDOW_BYTES = 64 * 1024;
/** What a frame costs in memory beside its bytes, so that a flood of tiny ones is bounded too. */
const FRAME_OVERHEAD_BYTES = 512;
