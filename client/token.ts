import { ClientError } from './errors.ts';

/**
 * What lets a client in: a token, or a function that gives one whenever it is needed, which is for each connection and
 * each request. If the relay did not take the last one, the function is asked once more and gets that one, so that a
 * cache knows what to forget.
 */
export type Token = string | ((rejected?: string) => string | Promise<string>);

export async function askToken(token: Token | undefined, rejected: string | undefined): Promise<string | undefined> {
  return typeof token === 'function' ? token(rejected) : token;
}

/** As `askToken`. Rejects with a ClientError if there is none to be had, and with the signal's reason when that aborts. */
export async function awaitToken(
  token: Token | undefined,
  rejected: string | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  signal?.throwIfAborted();
  const gone = Promise.withResolvers<never>();
  const onAbort = (): void => gone.reject(signal?.reason as Error);
  signal?.addEventListener('abort', onAbort);
  try {
    return await Promise.race([askToken(token, rejected), gone.promise]);
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ClientError('UNAUTHORIZED', `There is no token: ${String(cause)}`, { cause, retry: true });
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
