import type { CloseReason } from '../web-socket.ts';
import { ANYBODY, type Principal } from './principal.ts';

/** Connections that last, and who they are granted to: ends those whose grant is taken back. */
export class Sessions {
  readonly #open = new Set<Session>();
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;

  /** `now`: ms since 1970. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  start(): void {
    this.#timer = setInterval(() => this.sweep(), SWEEP_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Watches a connection until the function that is answered is called. */
  add(session: Session): () => void {
    this.#open.add(session);
    return () => this.#open.delete(session);
  }

  /** One look at all; public for tests, which own the clock. */
  sweep(): void {
    const now = this.#now();
    for (const session of this.#open) {
      const message = problemOf(session, now);
      if (message === undefined) continue;
      this.#open.delete(session);
      session.end({ code: 'UNAUTHORIZED', message });
    }
  }
}

export interface Session {
  principal: Principal;
  /** Whether it ends when the token expires. An agent that began with a good token may finish its run. */
  endsWithToken: boolean;
  end: (why: CloseReason) => void;
}

function problemOf({ principal, endsWithToken }: Session, now: number): string | undefined {
  if (principal.revoked)
    return principal.name === ANYBODY.name ? 'A token is required from now on.' : 'The API key has been revoked.';
  const expired = endsWithToken && principal.expiresAt !== undefined && principal.expiresAt <= now;
  return expired ? 'The token or certificate has expired.' : undefined;
}

const SWEEP_EVERY_MS = 1000;
