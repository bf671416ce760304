import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { Principal, type Scope } from './principal.ts';

/** Who a connection is by its client certificate, if it brought one that the relay's client CA has signed. */
export function certificatePrincipal(socket: Socket, scopes: readonly Scope[]): Principal | undefined {
  if (scopes.length === 0 || !(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  // An empty object if there is none.
  const { subject } = socket.getPeerCertificate() as { subject?: { CN?: string | string[] } };
  if (subject === undefined) return undefined;
  const name = String(subject.CN ?? 'unnamed').replaceAll(/[^\x21-\x7e]/g, '?');
  return new Principal(
    `cert:${name}`,
    scopes.map((scope) => ({ scope })),
  );
}
