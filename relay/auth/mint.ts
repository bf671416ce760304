import { SignJWT } from 'jose';
import type { Scope } from './principal.ts';

/** A JSON Web Token, signed with HS256, that `JwtVerifier` takes. */
export async function mintToken(options: MintOptions): Promise<string> {
  const { secret, issuer, audience, subject, scopes, tasks, labels, lifeMs, now } = options;
  const at = Math.floor(now / 1000);
  const token = new SignJWT({ scope: scopes.join(' '), tasks, labels })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(subject)
    .setIssuedAt(at)
    .setExpirationTime(at + Math.ceil(lifeMs / 1000));
  if (issuer !== undefined) token.setIssuer(issuer);
  if (audience.length > 0) token.setAudience([...audience]);
  return await token.sign(new TextEncoder().encode(secret));
}

export interface MintOptions {
  secret: string;
  issuer?: string;
  audience: readonly string[];
  subject: string;
  scopes: readonly Scope[];
  tasks?: readonly string[];
  labels?: Readonly<Record<string, string>>;
  lifeMs: number;
  /** ms since 1970 */
  now: number;
}
