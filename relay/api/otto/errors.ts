import { ERRORS, type KerutaError } from '../../../shared/errors.ts';

/** An error as Otto's clients are told: in an event, and as the body of an answer. */
export interface OttoError {
  /** What happened. */
  message: string;
  /** Its code, and what to do about it. */
  details: string;
  timestamp: string;
  clientId: string;
}

/** `now`: ms since 1970; `clientId`: names the request, as in the relay's log. */
export function ottoError(error: KerutaError, { clientId, now }: { clientId: string; now: number }): OttoError {
  const { code, message } = error;
  return { message, details: `${code}: ${ERRORS[code].hint}`, timestamp: new Date(now).toISOString(), clientId };
}
