import type { IncomingHttpHeaders } from 'node:http';
import { newUlid } from '../../shared/ulid.ts';

/** The name of a request: what the client or a proxy calls it in `X-Request-Id` if that is sane, else a new one. */
export function requestIdOf(headers: IncomingHttpHeaders): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && SANE.test(given) ? given : newUlid(Date.now());
}

const SANE = /^[\w.-]{1,64}$/;
