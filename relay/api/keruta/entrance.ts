import { KerutaError } from '../../../shared/errors.ts';
import type { Principal } from '../../auth/principal.ts';
import type { Caller } from '../../caller.ts';

/**
 * Who is at the other end of a socket. If the upgrade brought no token although one is required, the first messages have
 * some seconds and a few attempts to bring it.
 */
export class Entrance {
  readonly #options: EntranceOptions;
  #caller: Caller | undefined;
  #patience: NodeJS.Timeout | undefined;
  #attempts = 0;

  constructor(options: EntranceOptions) {
    this.#options = options;
    this.#caller = options.caller;
  }

  get caller(): Caller | undefined {
    return this.#caller;
  }

  /** Whoever brings no token in time is told to go by `onLate`. */
  start(): void {
    if (this.#caller !== undefined) return;
    const { patienceMs = PATIENCE_MS, onLate } = this.#options;
    const message = `No token came within ${patienceMs / 1000} s.`;
    this.#patience = setTimeout(() => onLate(new KerutaError('UNAUTHORIZED', message)), patienceMs);
  }

  stop(): void {
    clearTimeout(this.#patience);
  }

  /**
   * A token came. Resolves when it is good; it may also replace one that is about to expire. Rejects with a KerutaError
   * if it isn't.
   */
  async enter(token: string): Promise<void> {
    this.#attempts++;
    const { visit, authenticate } = this.#options;
    const principal = await authenticate(token);
    this.#caller = { ...visit, principal };
    this.#attempts = 0;
    this.stop();
  }

  /** Whether wrong tokens have used up all attempts; the socket is to be closed then. */
  get closed(): boolean {
    return this.#attempts >= MAX_ATTEMPTS;
  }
}

/**
 * The token that a first message brings, empty if it brings none; undefined for any other message, into which no more
 * work goes: nobody has let its sender in.
 */
export function tokenOf(frame: string): string | undefined {
  if (frame.length > MAX_FIRST_CHARACTERS) return undefined;
  let message: unknown;
  try {
    message = JSON.parse(frame);
  } catch {
    return undefined;
  }
  const { type, token = '' } = (message ?? {}) as { type?: unknown; token?: unknown };
  return type === 'auth' && typeof token === 'string' ? token : undefined;
}

export interface EntranceOptions {
  /** Undefined: a token is required, and none came with the upgrade. */
  caller: Caller | undefined;
  visit: Omit<Caller, 'principal'>;
  /** Whose token it is. Rejects with a KerutaError. */
  authenticate: (token: string) => Promise<Principal>;
  /** No token came in time. */
  onLate: (error: KerutaError) => void;
  patienceMs?: number;
}

const PATIENCE_MS = 10_000;
const MAX_ATTEMPTS = 3;
/** Twice the longest token. */
const MAX_FIRST_CHARACTERS = 16 * 1024;
