import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { KerutaError } from '../../shared/errors.ts';

/** Who may talk to the relay: whoever brings one of its static tokens. Without tokens it is open to all. */
export class Auth {
  /** Compared as hashes: of equal length, and telling nothing of a token by the time it takes. */
  readonly #known: Buffer[];

  constructor(tokens: readonly string[]) {
    this.#known = tokens.map(sha256);
  }

  get required(): boolean {
    return this.#known.length > 0;
  }

  /** Throws a KerutaError UNAUTHORIZED unless the request brings a known token. */
  check(request: Credentials): void {
    if (!this.required) return;
    const offered = offeredTokens(request);
    if (offered.some((token) => this.#knows(token))) return;
    throw new KerutaError('UNAUTHORIZED', offered.length === 0 ? 'A token is required.' : 'The token is not known.');
  }

  #knows(token: string): boolean {
    const hash = sha256(token);
    let known = false;
    for (const one of this.#known) if (timingSafeEqual(one, hash)) known = true;
    return known;
  }
}

export interface Credentials {
  headers: IncomingHttpHeaders;
  /** The request's target, path and query. */
  url?: string;
}

/** `Authorization: Bearer T`, `X-API-Key: T`, `?token=T` (for browsers, whose WebSockets send no headers). */
function offeredTokens({ headers, url = '' }: Credentials): string[] {
  const bearer = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  const query = url.indexOf('?');
  const token = query === -1 ? null : new URLSearchParams(url.slice(query)).get('token');
  return [bearer, headers['x-api-key'], token].filter((one): one is string => typeof one === 'string' && one !== '');
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
