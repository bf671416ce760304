import type { IncomingMessage } from 'node:http';
import { KerutaError } from '../../shared/errors.ts';
import type { Caller } from '../caller.ts';
import type { Auth } from './auth.ts';
import { certificatePrincipal } from './certificate.ts';
import type { TrustedProxies } from './client-address.ts';
import type { Failures } from './failures.ts';
import type { Origins } from './origins.ts';
import type { Principal, Scope } from './principal.ts';

/** Who comes: from which address, with which token, from which web page. The same for requests and WebSockets. */
export class Door {
  readonly #options: DoorOptions;

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  get auth(): Auth {
    return this.#options.auth;
  }

  get origins(): Origins {
    return this.#options.origins;
  }

  /** The address that a request comes from. */
  addressOf({ socket, headers }: Request): string {
    return this.#options.proxies.clientOf(socket.remoteAddress, headers['x-forwarded-for']?.toString());
  }

  /**
   * Who makes a request. Rejects with a KerutaError: UNAUTHORIZED without a good token, FORBIDDEN for a page that may
   * not ask, RATE_LIMIT_EXCEEDED after too many wrong tokens, AUTH_UNAVAILABLE if it can't be found out now.
   */
  async admit(request: Request, visit: Visit): Promise<Caller> {
    const { auth, origins } = this.#options;
    const { origin, host } = request.headers;
    // Even what a page may not read, it may send.
    if (origin !== undefined && !auth.required && !origins.mayReadOpen(origin, host)) {
      throw new KerutaError('FORBIDDEN', `A page of ${JSON.stringify(origin)} may not ask here.`);
    }
    const trusted = origin === undefined || origins.known(origin, host);
    const safe = request.method === 'GET' || request.method === 'HEAD';
    const principal = await this.#principal(request, { visit, cookie: trusted && safe, certificate: trusted });
    if (principal === undefined) throw new KerutaError('UNAUTHORIZED', 'A token is required.');
    return { ...visit, principal };
  }

  /**
   * Who wants a WebSocket. `undefined`: no token came although one is required; a browser may still send one. Rejects
   * as `admit` does. Browsers let any page connect to any WebSocket, and say whose page it is.
   */
  async admitWebSocket(request: IncomingMessage, visit: Visit): Promise<Caller | undefined> {
    const { origin, host } = request.headers;
    if (origin !== undefined && !this.mayConnect(origin, host)) {
      throw new KerutaError('FORBIDDEN', `A page of ${JSON.stringify(origin)} may not connect here.`);
    }
    const known = origin !== undefined && this.origins.known(origin, host);
    const ambient = { cookie: known, certificate: known || origin === undefined };
    const principal = await this.#principal(request, { visit, ...ambient });
    return principal && { ...visit, principal };
  }

  /**
   * Whether a page may have a connection that lasts. Where tokens are required, it can do nothing without one that it
   * must know; else only our own may come.
   */
  mayConnect(origin: string, host: string | undefined): boolean {
    const { auth, origins } = this.#options;
    return origins.mayReadOpen(origin, host) || (auth.required && !origins.configured);
  }

  /** Who a token that came later belongs to. Rejects as `admit` does. */
  async admitToken(token: string, visit: Visit): Promise<Caller> {
    const principal = await this.#counted(visit.address, () => this.auth.token(token));
    return { ...visit, principal };
  }

  async #principal(request: Request, { visit, cookie, certificate }: Ambient): Promise<Principal | undefined> {
    const { auth, certificateScopes } = this.#options;
    if (!auth.required) this.#checkName(request);
    const find = () => auth.authenticate(request, { cookieAllowed: cookie });
    const found = await this.#counted(visit.address, find);
    return found ?? (certificate ? certificatePrincipal(request.socket, certificateScopes) : undefined);
  }

  #checkName({ headers: { host }, socket }: Request): void {
    const { origins, openToAll } = this.#options;
    if (openToAll || socket.remoteAddress === undefined || origins.namesOpen(host)) return;
    throw new KerutaError(
      'FORBIDDEN',
      `This relay has no authentication and answers only to names of this machine, not to ${JSON.stringify(host)}. ` +
        'Give it tokens, or list the address of its pages in relay.cors.origins.',
    );
  }

  async #counted<T>(address: string, find: () => Promise<T>): Promise<T> {
    const { failures } = this.#options;
    failures.check(address);
    try {
      return await find();
    } catch (error) {
      if (error instanceof KerutaError && error.code === 'UNAUTHORIZED') failures.failed(address);
      throw error;
    }
  }
}

/** What is looked at of a request; gRPC's calls have as much. */
export type Request = Pick<IncomingMessage, 'headers' | 'method' | 'url' | 'socket'>;

export interface DoorOptions {
  auth: Auth;
  origins: Origins;
  proxies: TrustedProxies;
  failures: Failures;
  /** What client certificates stand for. */
  certificateScopes: readonly Scope[];
  /** Without authentication, whether it answers to whoever reaches it, by any name. */
  openToAll: boolean;
}

/** What a browser adds by itself, whichever page asks: it counts only for pages that are trusted. */
interface Ambient {
  visit: Visit;
  cookie: boolean;
  certificate: boolean;
}

/** What is known of a caller before its token is looked at. */
export type Visit = Omit<Caller, 'principal'>;
