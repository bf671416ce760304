import type { Socket } from 'node:net';
import { TLSSocket, type PeerCertificate } from 'node:tls';
import { Principal, type Scope } from './principal.ts';

/** Who a connection is by its client certificate, if it brought one that the relay's client CA has signed. */
export function certificatePrincipal(socket: Socket, scopes: readonly Scope[]): Principal | undefined {
  if (scopes.length === 0 || !(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  // An empty object if there is none.
  const { subject, valid_to: validTo = '' } = socket.getPeerCertificate() as Partial<PeerCertificate>;
  if (subject === undefined) return undefined;
  const name = String(subject.CN ?? 'unnamed').replaceAll(/[^\x21-\x7e]/g, '?');
  const grants = scopes.map((scope) => ({ scope }));
  return new Principal(`cert:${name.slice(0, MAX_NAME_CHARACTERS)}`, grants, { expiresAt: Date.parse(validTo) });
}

/** Short enough for a log line. */
const MAX_NAME_CHARACTERS = 128;
