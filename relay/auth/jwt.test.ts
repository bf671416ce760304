import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  base64url,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  SignJWT,
  type CryptoKey,
  type JWTHeaderParameters,
  type JWTPayload,
} from 'jose';
import { KerutaError } from '../../shared/errors.ts';
import { JwtVerifier } from './jwt.ts';
import { KeySet } from './key-set.ts';
import { mintToken } from './mint.ts';

const NOW = Date.UTC(2026, 0, 2);
const AT = NOW / 1000;
const SECRET = 'a secret of thirty-two bytes, and more';
const ISSUER = 'https://login.example/';
const CLAIMS = { sub: 'alice', iss: ISSUER, aud: 'keruta', exp: AT + 3600, iat: AT, scope: 'read' };

const rsa = await generateKeyPair('RS256', { extractable: true });
const ec = await generateKeyPair('ES256', { extractable: true });
const ed = await generateKeyPair('EdDSA', { extractable: true });
const stranger = await generateKeyPair('RS256');
const jwks = {
  keys: [
    { ...(await exportJWK(rsa.publicKey)), kid: 'rsa' },
    { ...(await exportJWK(ec.publicKey)), kid: 'ec' },
    { ...(await exportJWK(ed.publicKey)), kid: 'ed' },
    { ...(await exportJWK((await generateKeyPair('RS256', { extractable: true })).publicKey)), kid: 'old' },
    // Somebody's mistake: a shared secret among public keys.
    { kty: 'oct', k: base64url.encode(SECRET), kid: 'oct', alg: 'HS256' },
  ],
};
const publicPem = await exportSPKI(rsa.publicKey);

const keys = new KeySet({
  read: () => Promise.resolve(JSON.stringify(jwks)),
  freshMs: Infinity,
  onProblem: (error) => {
    throw error;
  },
});
const checks = { issuer: ISSUER, audience: ['other', 'keruta'], clockSkewMs: 60_000, now: () => NOW };
const bySecret = new JwtVerifier({ secret: SECRET, ...checks });
const byKeys = new JwtVerifier({ keys, ...checks });
const byBoth = new JwtVerifier({ secret: SECRET, keys, ...checks });

type Key = CryptoKey | Uint8Array;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const sign = (header: JWTHeaderParameters, key: Key, claims: JWTPayload = CLAIMS): Promise<string> =>
  new SignJWT(claims).setProtectedHeader(header).sign(key);
const hs = (claims: JWTPayload): Promise<string> => sign({ alg: 'HS256' }, bytes(SECRET), claims);
const unsigned = (header: object, claims: object = CLAIMS): string =>
  `${base64url.encode(JSON.stringify(header))}.${base64url.encode(JSON.stringify(claims))}.`;

const good: [string, JwtVerifier, string][] = [
  ['HS256', bySecret, await hs(CLAIMS)],
  ['RS256', byKeys, await sign({ alg: 'RS256', kid: 'rsa' }, rsa.privateKey)],
  ['ES256', byKeys, await sign({ alg: 'ES256', kid: 'ec' }, ec.privateKey)],
  ['EdDSA', byKeys, await sign({ alg: 'EdDSA', kid: 'ed' }, ed.privateKey)],
  ['no key id, where two keys would do', byKeys, await sign({ alg: 'RS256' }, rsa.privateKey)],
  ['HS256 beside a key set', byBoth, await hs(CLAIMS)],
  ['RS256 beside a secret', byBoth, await sign({ alg: 'RS256', kid: 'rsa' }, rsa.privateKey)],
  ['an audience among several', bySecret, await hs({ ...CLAIMS, aud: ['x', 'keruta'] })],
  ['expired less than a minute ago', bySecret, await hs({ ...CLAIMS, exp: AT - 59 })],
  ['valid in less than a minute', bySecret, await hs({ ...CLAIMS, nbf: AT + 59 })],
];
for (const [what, verifier, token] of good) {
  test(`takes ${what}`, async () => {
    const principal = await verifier.verify(token);
    assert.equal(principal.name, 'jwt:alice');
    assert.ok(principal.may('read', { task: 't' }));
    assert.ok(!principal.may('ingest', { task: 't' }));
  });
}

const head = (await hs(CLAIMS)).split('.');
const refused: [string, JwtVerifier, string, RegExp][] = [
  ['what is no token', bySecret, 'a.b.c', /malformed/],
  ['an empty signature', bySecret, `${head[0]}.${head[1]}.`, /signature/],
  [
    'other claims under the same signature',
    bySecret,
    [head[0], base64url.encode(JSON.stringify({ ...CLAIMS, sub: 'eve' })), head[2]].join('.'),
    /signature/,
  ],
  ['claims that are no object', bySecret, await signedText('[]'), /malformed/],
  ['another secret', bySecret, await sign({ alg: 'HS256' }, bytes('another secret of thirty-two bytes')), /signature/],
  ['HS512 with the right secret', bySecret, await sign({ alg: 'HS512' }, bytes(SECRET.repeat(2))), /algorithm/],
  ['RS256 where only a secret is known', bySecret, await sign({ alg: 'RS256' }, rsa.privateKey), /algorithm/],
  ['alg none', byBoth, unsigned({ alg: 'none' }), /algorithm/],
  ['alg None', byBoth, unsigned({ alg: 'None' }), /algorithm/],
  ['no alg', byBoth, unsigned({ typ: 'JWT' }), /malformed|algorithm/],
  ['alg that is no text', byBoth, unsigned({ alg: ['HS256'] }), /malformed|algorithm/],
  [
    'HS256 with the public key as secret',
    byKeys,
    await sign({ alg: 'HS256', kid: 'rsa' }, bytes(publicPem)),
    /algorithm/,
  ],
  ['the same beside a secret', byBoth, await sign({ alg: 'HS256', kid: 'rsa' }, bytes(publicPem)), /signature/],
  ['HS256 by a secret in the key set', byKeys, await sign({ alg: 'HS256', kid: 'oct' }, bytes(SECRET)), /algorithm/],
  [
    'a key of its own in the header',
    byKeys,
    await sign({ alg: 'RS256', jwk: await exportJWK(stranger.publicKey) }, stranger.privateKey),
    /signature/,
  ],
  ['a stranger’s key', byKeys, await sign({ alg: 'RS256', kid: 'rsa' }, stranger.privateKey), /signature/],
  ['an unknown key id', byKeys, await sign({ alg: 'RS256', kid: 'new' }, rsa.privateKey), /key that is not known/],
  [
    'the id of a key of another kind',
    byKeys,
    await sign({ alg: 'ES256', kid: 'rsa' }, ec.privateKey),
    /key that is not known/,
  ],
  ['a header that must be understood', bySecret, unsigned({ alg: 'HS256', crit: ['exp'], exp: 1 }), /malformed/],
  ['expired', bySecret, await hs({ ...CLAIMS, exp: AT - 61 }), /expired/],
  ['not yet valid', bySecret, await hs({ ...CLAIMS, nbf: AT + 61 }), /not valid yet/],
  ['issued in the future', bySecret, await hs({ ...CLAIMS, iat: AT + 61 }), /future/],
  ['without an end', bySecret, await hs({ ...CLAIMS, exp: undefined }), /no time at which it expires/],
  ['an end that is no number', bySecret, await hs({ ...CLAIMS, exp: 'never' as never }), /no time at which it expires/],
  ['another issuer', bySecret, await hs({ ...CLAIMS, iss: 'https://login.example' }), /issuer/],
  ['no issuer', bySecret, await hs({ ...CLAIMS, iss: undefined }), /issuer/],
  ['another audience', bySecret, await hs({ ...CLAIMS, aud: 'keruta2' }), /audience/],
  ['no audience', bySecret, await hs({ ...CLAIMS, aud: undefined }), /audience/],
  ['tasks that can’t be understood', bySecret, await hs({ ...CLAIMS, tasks: { a: 1 } }), /"tasks"/],
  ['labels that can’t be understood', bySecret, await hs({ ...CLAIMS, labels: ['team=web'] }), /"labels"/],
];
for (const [what, verifier, token, message] of refused) {
  test(`refuses ${what}`, async () => {
    await assert.rejects(verifier.verify(token), (error) => {
      assert.ok(error instanceof KerutaError);
      assert.equal(error.code, 'UNAUTHORIZED');
      assert.match(error.message, message);
      const shown = error.message + JSON.stringify(error.cause ?? '');
      for (const part of token.split('.').filter((one) => one.length > 8)) assert.ok(!shown.includes(part));
      return true;
    });
  });
}

async function signedText(payload: string): Promise<string> {
  const { CompactSign } = await import('jose');
  return await new CompactSign(bytes(payload)).setProtectedHeader({ alg: 'HS256' }).sign(bytes(SECRET));
}

test('it is valid until it expires and the clocks may be off', async () => {
  assert.equal((await bySecret.verify(await hs(CLAIMS))).expiresAt, NOW + 3_600_000 + 60_000);
});

test('what the relay mints, it takes, with its bindings', async () => {
  const token = await mintToken({
    secret: SECRET,
    issuer: ISSUER,
    audience: ['keruta'],
    subject: 'bob',
    scopes: ['ingest', 'read'],
    tasks: ['build-*'],
    labels: { team: 'web' },
    lifeMs: 1500,
    now: NOW,
  });
  const principal = await bySecret.verify(token);
  assert.equal(principal.name, 'jwt:bob');
  assert.ok(principal.may('ingest', { task: 'build-1', labels: { team: 'web' } }));
  assert.ok(!principal.may('ingest', { task: 'build-1' }));
  assert.ok(!principal.may('ingest', { task: 'x', labels: { team: 'web' } }));
  assert.equal(principal.expiresAt, NOW + 2000 + 60_000);
});
