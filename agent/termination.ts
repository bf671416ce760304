import type { Child } from './child.ts';

const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
type ForwardedSignal = (typeof FORWARDED)[number];

/**
 * Passes the agent's signals on to the script's process group, and sees that a termination ends: after SIGTERM, a
 * timeout or a cancel the group has `graceMs`, then SIGKILL; a second SIGTERM kills at once. Other signals are the
 * script's own affair and start no clock.
 */
export class Termination {
  /** Why the script was told to end, if it was. */
  reason: 'signalled' | 'timeout' | 'cancelled' | undefined;
  /** When SIGTERM came, ms since 1970: the rest of the termination period is for the drain. */
  terminatedAt: number | undefined;
  readonly #options: { graceMs: number; timeoutMs?: number };
  #child: Child | undefined;
  /** Signals that came before there was a child to pass them to. */
  #early: ForwardedSignal[] = [];
  #killTimer: NodeJS.Timeout | undefined;
  #timeoutTimer: NodeJS.Timeout | undefined;
  readonly #afterExit = new AbortController();
  #exited = false;
  readonly #listeners = new Map<NodeJS.Signals, () => void>();

  /** Listens from now on, so that no signal is missed while the script starts. */
  constructor(options: { graceMs: number; timeoutMs?: number }) {
    this.#options = options;
    for (const signal of FORWARDED) {
      const listener = () => this.#received(signal);
      this.#listeners.set(signal, listener);
      process.on(signal, listener);
    }
  }

  /** The script runs: what came meanwhile is passed on, and the timeout starts. */
  attach(child: Child): void {
    this.#child = child;
    const { timeoutMs } = this.#options;
    if (timeoutMs !== undefined) this.#timeoutTimer = setTimeout(() => this.terminate('timeout'), timeoutMs);
    // Asked for before there was a child: by the relay, since signals are kept until now.
    if (this.reason !== undefined) this.terminate(this.reason);
    for (const signal of this.#early.splice(0)) this.#received(signal);
  }

  /** Aborts when a SIGTERM or SIGINT comes after the script has ended: the agent should not wait any longer. */
  get hurry(): AbortSignal {
    return this.#afterExit.signal;
  }

  /** Asks the group to end, and makes it after the grace. */
  terminate(reason: 'timeout' | 'cancelled' | 'signalled'): void {
    const child = this.#child;
    if (this.#exited) return;
    this.reason ??= reason;
    // `attach` does the rest.
    if (!child) return;
    child.signal('SIGTERM');
    this.#killTimer ??= setTimeout(() => child.signal('SIGKILL'), this.#options.graceMs);
  }

  /** The script has ended: no more clocks; its group may be signalled no more, since the number may be another's. */
  exited(): void {
    this.#exited = true;
    // Of a script that could not be started.
    for (const signal of this.#early.splice(0)) this.#received(signal);
    clearTimeout(this.#timeoutTimer);
    clearTimeout(this.#killTimer);
  }

  /** Gives the signals back. */
  dispose(): void {
    for (const [signal, listener] of this.#listeners) process.off(signal, listener);
  }

  #received(signal: ForwardedSignal): void {
    if (!this.#child && !this.#exited) {
      this.#early.push(signal);
      return;
    }
    const again = signal === 'SIGTERM' && this.terminatedAt !== undefined;
    if (signal === 'SIGTERM') this.terminatedAt ??= Date.now();
    if (this.#exited) {
      if (signal === 'SIGTERM' || signal === 'SIGINT') this.#afterExit.abort();
    } else if (again) this.#child?.signal('SIGKILL');
    else if (signal === 'SIGTERM') this.terminate('signalled');
    else this.#child?.signal(signal);
  }
}
