import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { TLSSocket } from 'node:tls';
import { certificatePrincipal } from './certificate.ts';

const VALID_TO = 'Jan  2 00:00:00 2026 GMT';

/** A connection whose client brought this certificate. */
function connection(authorized: boolean, certificate: object): Socket {
  const socket = new TLSSocket(new Socket(), { isServer: true });
  return Object.assign(socket, { authorized, getPeerCertificate: () => certificate });
}

test('a certificate stands for its name, until it ends', () => {
  const socket = connection(true, { subject: { CN: 'build\n1' }, valid_to: VALID_TO });
  const principal = certificatePrincipal(socket, ['ingest']);
  assert.equal(principal?.name, 'cert:build?1');
  assert.equal(principal.expiresAt, Date.UTC(2026, 0, 2));
  assert.ok(principal.may('ingest', { task: 't' }));
  assert.ok(!principal.may('read', { task: 't' }));
});

for (const [what, socket] of [
  ['one that nobody of ours has signed', connection(false, { subject: { CN: 'x' }, valid_to: VALID_TO })],
  ['none', connection(true, {})],
  ['a connection without TLS', new Socket()],
] as const) {
  test(`nobody is known by ${what}`, () => {
    assert.equal(certificatePrincipal(socket, ['ingest']), undefined);
  });
}
