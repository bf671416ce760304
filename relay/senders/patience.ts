import { KerutaError } from '../../shared/errors.ts';
import { STORE_PATIENCE_MS } from '../ingest-run.ts';

/**
 * What the store answers, unless it stands still: then rejects with a KerutaError DATABASE_ERROR. The call is not taken
 * back, and may be done later.
 */
export async function inTime<T>(call: Promise<T>): Promise<T> {
  const late: PromiseWithResolvers<never> = Promise.withResolvers();
  const patience = setTimeout(() => late.reject(unknownOutcome()), STORE_PATIENCE_MS);
  try {
    return await Promise.race([call, late.promise]);
  } finally {
    clearTimeout(patience);
  }
}

/** The store was asked, and has not answered in time. */
export function unknownOutcome(): KerutaError {
  return new KerutaError('DATABASE_ERROR', `${SILENCE}: whether this was stored is not known.`);
}

/** The store was not asked, since it does not answer others either. */
export function notAsked(): KerutaError {
  return new KerutaError('DATABASE_ERROR', `${SILENCE}; this was not stored.`);
}

const SILENCE = `The store has not answered for ${STORE_PATIENCE_MS / 1000} s`;
