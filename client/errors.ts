import type { ErrorCode } from '../shared/errors.ts';

/**
 * What went wrong: a code of the relay's, or one of ours. `CLOSED`: the client was closed. `UNREACHABLE`: no answer came.
 * `INVALID_ANSWER`: one came that no relay gives. `REFUSED`: the relay, or something in front of it, wants none of this
 * and does not say why in a way that is known here.
 */
export type ClientErrorCode = ErrorCode | 'CLOSED' | 'UNREACHABLE' | 'INVALID_ANSWER' | 'REFUSED';

/** All that functions of this package throw, but for the reason of a signal that was aborted. */
export class ClientError extends Error {
  readonly code: ClientErrorCode;
  /** The HTTP status, if it was an answer to a request. */
  readonly status: number | undefined;
  /** What to do about it, in the relay's words. */
  readonly hint: string | undefined;
  /** Whether the same may work later. Tails try again by themselves and throw only what is in vain. */
  readonly retry: boolean;
  /** How long the relay asks to wait before that, ms. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ClientErrorCode, message: string, more: ClientErrorOptions = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'ClientError';
    this.code = code;
    this.status = more.status;
    this.hint = more.hint;
    this.retry = more.retry ?? false;
    this.retryAfterMs = more.retryAfterMs;
  }
}

export interface ClientErrorOptions {
  status?: number | undefined;
  hint?: string | undefined;
  retry?: boolean | undefined;
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** The relay's codes that pass by themselves; whoever sees one on a WebSocket comes back. */
export const PASSING_CODES: ReadonlySet<string> = /* @__PURE__ */ new Set([
  'AUTH_UNAVAILABLE',
  'RATE_LIMIT_EXCEEDED',
  'WEBSOCKET_CONNECTION_FAILED',
  'OVERLOADED',
  'DRAINING',
  'IDLE',
  'DATABASE_ERROR',
  'STORE_FULL',
  'INTERNAL_SERVER_ERROR',
] satisfies ErrorCode[]);
