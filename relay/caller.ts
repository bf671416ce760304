import type { Principal } from './auth/principal.ts';

/** Who is at the other end of a request or a connection. */
export interface Caller {
  principal: Principal;
  /** The client's address: that of the connection, or what trusted proxies say. */
  address: string;
  /** Names the request in the relay's log, and in answers as `X-Request-Id`. */
  requestId: string;
}
