import { KerutaError } from '../../shared/errors.ts';
import { checkTokenLength, offeredTokens, type Credentials } from './credentials.ts';
import type { JwtVerifier } from './jwt.ts';
import type { KeyRing } from './key-ring.ts';
import { ANYBODY, Principal } from './principal.ts';
import { StaticTokens } from './static-tokens.ts';

/** Who a request comes from, by the tokens that it brings. */
export class Auth {
  readonly #tokens: StaticTokens;
  readonly #keys: Pick<KeyRing, 'configured' | 'find'> | undefined;
  readonly #jwt: Pick<JwtVerifier, 'verify'> | undefined;
  readonly #certificates: boolean;
  /** Let in until the first key is made. */
  readonly #anybody = new Principal(ANYBODY.name, ANYBODY.grants, { revoked: () => this.required });
  #wasRequired = false;

  constructor({ tokens = [], keys, jwt, certificates = false }: AuthOptions) {
    this.#tokens = new StaticTokens(tokens);
    this.#keys = keys;
    this.#jwt = jwt;
    this.#certificates = certificates;
  }

  /** Whether credentials are wanted. Once they are, they are until the relay ends: a lost file of keys opens nothing. */
  get required(): boolean {
    this.#wasRequired ||=
      this.#tokens.configured || this.#jwt !== undefined || this.#certificates || this.#keys?.configured === true;
    return this.#wasRequired;
  }

  /**
   * Who the request comes from. `undefined`: it brings no token although one is required. Rejects with a KerutaError
   * UNAUTHORIZED if none of its tokens is good, AUTH_UNAVAILABLE if that can't be found out now.
   */
  async authenticate(request: Credentials, { cookieAllowed = false } = {}): Promise<Principal | undefined> {
    if (!this.required) return this.#anybody;
    let problem: unknown;
    for (const token of offeredTokens(request, cookieAllowed)) {
      try {
        return await this.token(token);
      } catch (error) {
        problem ??= error;
      }
    }
    if (problem !== undefined) throw problem as Error;
    return undefined;
  }

  /** Whose token it is. Rejects as `authenticate` does. */
  async token(token: string): Promise<Principal> {
    if (!this.required) return this.#anybody;
    checkTokenLength(token);
    const known = this.#tokens.find(token) ?? this.#keys?.find(token);
    if (known !== undefined) return known;
    if (this.#jwt !== undefined && JWT_SHAPE.test(token)) return await this.#jwt.verify(token);
    throw new KerutaError('UNAUTHORIZED', 'The token is not known.');
  }
}

export interface AuthOptions {
  /** Those that may do everything. */
  tokens?: readonly string[];
  keys?: Pick<KeyRing, 'configured' | 'find'>;
  jwt?: Pick<JwtVerifier, 'verify'>;
  /** Whether client certificates stand for somebody, too. */
  certificates?: boolean;
}

const JWT_SHAPE = /^[\w-]+\.[\w-]+\.[\w-]*$/;
