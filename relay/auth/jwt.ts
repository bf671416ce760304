import { decodeProtectedHeader, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import { KerutaError } from '../../shared/errors.ts';
import { ClaimError, grantsOf, subjectOf } from './claims.ts';
import type { KeySet } from './key-set.ts';
import { Principal } from './principal.ts';

/** Checks JSON Web Tokens: HS256 by a shared secret, RS, PS, ES and EdDSA by a key set. Both may be there. */
export class JwtVerifier {
  readonly #secret: Uint8Array | undefined;
  readonly #keys: Pick<KeySet, 'keyFor'> | undefined;
  readonly #issuer: string | undefined;
  readonly #audience: string[] | undefined;
  readonly #skewMs: number;
  readonly #now: () => number;

  constructor({ secret, keys, issuer, audience = [], clockSkewMs, now = Date.now }: JwtOptions) {
    this.#secret = secret === undefined ? undefined : new TextEncoder().encode(secret);
    this.#keys = keys;
    this.#issuer = issuer;
    this.#audience = audience.length === 0 ? undefined : [...audience];
    this.#skewMs = clockSkewMs;
    this.#now = now;
  }

  /**
   * Whose token it is. Rejects with a KerutaError: UNAUTHORIZED, which says what is wrong with the token and shows
   * nothing of it, or AUTH_UNAVAILABLE if the keys can't be had.
   */
  async verify(token: string): Promise<Principal> {
    try {
      const claims = await this.#claims(token);
      const now = this.#now();
      if (claims.iat !== undefined && claims.iat * 1000 > now + this.#skewMs) throw refusal('is from the future');
      const expiresAt = (claims.exp ?? 0) * 1000 + this.#skewMs;
      return new Principal(subjectOf(claims), grantsOf(claims), { expiresAt });
    } catch (error) {
      throw explained(error);
    }
  }

  async #claims(token: string): Promise<JWTPayload> {
    const alg = algorithmOf(token);
    const options = {
      issuer: this.#issuer,
      audience: this.#audience,
      clockTolerance: this.#skewMs / 1000,
      currentDate: new Date(this.#now()),
      requiredClaims: ['exp'],
    };
    // Each kind of key with its own algorithms: a public key is never taken for a shared secret.
    if (alg === SECRET_ALGORITHM && this.#secret !== undefined) {
      return (await jwtVerify(token, this.#secret, { ...options, algorithms: [SECRET_ALGORITHM] })).payload;
    }
    if (this.#keys !== undefined && PUBLIC_ALGORITHMS.includes(alg ?? '')) {
      return await verifyByAny(token, this.#keys.keyFor, { ...options, algorithms: PUBLIC_ALGORITHMS });
    }
    throw refusal('has an algorithm that is not allowed here');
  }
}

export interface JwtOptions {
  /** Of HS256, at least 32 bytes. */
  secret?: string;
  keys?: Pick<KeySet, 'keyFor'>;
  issuer?: string;
  /** Any of them. */
  audience?: readonly string[];
  clockSkewMs: number;
  /** ms since 1970 */
  now?: () => number;
}

/** Also where a token does not say which of several keys has signed it. */
async function verifyByAny(
  token: string,
  keyFor: JWTVerifyGetKey,
  options: Parameters<typeof jwtVerify>[2],
): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keyFor, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    for await (const key of error) {
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (problem) {
        if (!(problem instanceof errors.JWSSignatureVerificationFailed)) throw problem;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

function algorithmOf(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).alg;
  } catch {
    throw refusal('is malformed');
  }
}

function explained(error: unknown): Error {
  if (error instanceof KerutaError) return error;
  if (error instanceof ClaimError) return refusal(`can't be used: ${error.message}`);
  if (error instanceof errors.JWTExpired) return refusal('has expired');
  if (error instanceof errors.JWTClaimValidationFailed) return refusal(CLAIM_PROBLEMS[error.claim] ?? 'is malformed');
  if (error instanceof errors.JWKSNoMatchingKey) return refusal('is signed with a key that is not known');
  if (error instanceof errors.JWSSignatureVerificationFailed) return refusal('has a wrong signature');
  if (error instanceof errors.JOSEAlgNotAllowed) return refusal('has an algorithm that is not allowed here');
  if (error instanceof errors.JOSEError) return refusal('is malformed');
  return new KerutaError('AUTH_UNAVAILABLE', "The relay can't check tokens with the keys that it has.", {
    cause: error,
  });
}

function refusal(what: string): KerutaError {
  return new KerutaError('UNAUTHORIZED', `The token ${what}.`);
}

const CLAIM_PROBLEMS: Record<string, string | undefined> = {
  nbf: 'is not valid yet',
  iss: 'is from another issuer',
  aud: 'is for another audience',
  exp: 'has no time at which it expires (exp)',
};

const SECRET_ALGORITHM = 'HS256';
const PUBLIC_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
