import type { Closing } from './uplink-connection.ts';

/**
 * Whether a relay is talked to over a WebSocket or over HTTP. Something on the way may not let WebSockets through: when
 * that seems so three times in a row, HTTP is tried. Each new connection tries the WebSocket first, since what looked
 * like a proxy may have been a restart; but once HTTP has worked, one failure is enough.
 */
export class Detour {
  readonly #mode: DetourMode;
  #blocked = 0;
  #proven = false;
  /** Why not a WebSocket, while HTTP is tried. */
  #why: string | undefined;

  constructor(mode: DetourMode) {
    this.#mode = mode;
  }

  /** Whether the next connection is to go over HTTP. */
  get http(): boolean {
    return this.#mode === 'always' || (this.#mode === 'auto' && this.#blocked >= (this.#proven ? 1 : BLOCKED_TIMES));
  }

  /** The connection was opened. */
  opened(via: 'http' | 'websocket'): void {
    if (via === 'http') this.#proven = true;
    this.#blocked = 0;
    this.#why = undefined;
  }

  /** The connection could not be opened, or has broken. Answers what is to be made of that. */
  closed(via: 'http' | 'websocket', closing: Closing): Closing {
    if (this.#mode !== 'auto') return closing;
    if (via === 'http') {
      const problem = this.#why === undefined ? closing.problem : `${this.#why}; and over HTTP: ${closing.problem}`;
      this.#blocked = 0;
      this.#why = undefined;
      return { ...closing, problem };
    }
    if (closing.blocked !== true) {
      this.#blocked = 0;
      return closing;
    }
    this.#blocked++;
    this.#why = closing.problem;
    return { ...closing, retry: true };
  }
}

export type DetourMode = 'auto' | 'never' | 'always';

const BLOCKED_TIMES = 3;
