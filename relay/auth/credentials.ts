import type { IncomingHttpHeaders } from 'node:http';
import { KerutaError } from '../../shared/errors.ts';

/** What of a request may hold a token. */
export interface Credentials {
  headers: IncomingHttpHeaders;
  /** The request's target, path and query. */
  url?: string;
}

/** The cookie that browsers may bring a token in. */
export const TOKEN_COOKIE = 'keruta_token';

/**
 * The tokens that a request brings: `Authorization: Bearer T`, `X-API-Key: T`, `?token=T` (for browsers, whose
 * WebSockets send no headers), and the cookie where it is `cookieAllowed`. Those that were put there on purpose come
 * first. Throws a KerutaError UNAUTHORIZED for one that is too long to be looked at.
 */
export function offeredTokens({ headers, url = '' }: Credentials, cookieAllowed: boolean): string[] {
  const bearer = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  const query = url.indexOf('?');
  const inQuery = query === -1 ? null : new URLSearchParams(url.slice(query)).get('token');
  const cookie = cookieAllowed ? cookieOf(headers.cookie ?? '') : undefined;
  const tokens = [bearer, headers['x-api-key'], inQuery, cookie].filter(
    (one): one is string => typeof one === 'string' && one !== '',
  );
  for (const token of tokens) checkTokenLength(token);
  return tokens;
}

/** Throws a KerutaError UNAUTHORIZED if the token is longer than any that is real. */
export function checkTokenLength(token: string): void {
  if (token.length > MAX_TOKEN_CHARACTERS) throw new KerutaError('UNAUTHORIZED', 'The token is too long.');
}

function cookieOf(header: string): string | undefined {
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=');
    if (pair.slice(0, equals).trim() === TOKEN_COOKIE) return pair.slice(equals + 1).trim();
  }
  return undefined;
}

/** A JWT with many claims has two thousand. */
const MAX_TOKEN_CHARACTERS = 8192;
