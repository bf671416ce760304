import type { IncomingHttpHeaders } from 'node:http';
import { KerutaError } from '../../shared/errors.ts';

/** What of a request may hold a token. */
export interface Credentials {
  headers: IncomingHttpHeaders;
  /** The request's target, path and query. */
  url?: string;
}

/**
 * The tokens that a request brings: `Authorization: Bearer T`, `X-API-Key: T`, `?token=T` (for browsers, whose
 * WebSockets send no headers), and cookies where they are `cookieAllowed`. Those that were put there on purpose come
 * first. Throws a KerutaError UNAUTHORIZED for one that is too long to be looked at.
 */
export function offeredTokens({ headers, url = '' }: Credentials, cookieAllowed: boolean): string[] {
  const bearer = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  const query = url.indexOf('?');
  const inQuery = query === -1 ? null : new URLSearchParams(url.slice(query)).get('token');
  const cookies = cookieAllowed ? cookiesOf(headers.cookie ?? '', url) : [];
  const tokens = [bearer, headers['x-api-key'], inQuery, ...cookies].filter(
    (one): one is string => typeof one === 'string' && one !== '',
  );
  for (const token of tokens) checkTokenLength(token);
  return tokens;
}

/** Throws a KerutaError UNAUTHORIZED if the token is longer than any that is real. */
export function checkTokenLength(token: string): void {
  if (token.length > MAX_TOKEN_CHARACTERS) throw new KerutaError('UNAUTHORIZED', 'The token is too long.');
}

function cookiesOf(header: string, url: string): string[] {
  const path = url.split('?', 1)[0];
  const names = TOKEN_COOKIES.filter(({ under }) => under === undefined || under.some((one) => isUnder(path, one)));
  return header.split(';').flatMap((pair) => {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, equals).trim();
    return names.some((one) => one.name === name) ? [pair.slice(equals + 1).trim()] : [];
  });
}

function isUnder(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/**
 * The cookies that browsers may bring a token in. Many programs have an `access_token`, and browsers send it to every
 * port of a host: it counts only where Otto's clients come, which bring theirs so.
 */
const TOKEN_COOKIES: readonly { name: string; under?: readonly string[] }[] = [
  { name: 'keruta_token' },
  { name: 'access_token', under: ['/api/v1/log-streaming', '/socket.io'] },
];
/** A JWT with many claims has two thousand. */
const MAX_TOKEN_CHARACTERS = 8192;
