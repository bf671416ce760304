import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KerutaError } from '../../shared/errors.ts';
import { Auth } from './auth.ts';
import type { Credentials } from './credentials.ts';

const auth = new Auth({ tokens: ['first-token', 'zweites Zeichen ñ'] });

const allowed: [string, Credentials, string][] = [
  ['a bearer token', { headers: { authorization: 'Bearer first-token' } }, 'token:1'],
  ['in any case', { headers: { authorization: 'bearer  first-token ' } }, 'token:1'],
  ['an API key', { headers: { 'x-api-key': 'first-token' } }, 'token:1'],
  ['the second token', { headers: { 'x-api-key': 'zweites Zeichen ñ' } }, 'token:2'],
  ['a query token', { headers: {}, url: '/ws/tasks/t?x=1&token=first-token' }, 'token:1'],
  ['an encoded query token', { headers: {}, url: '/?token=zweites%20Zeichen+%C3%B1' }, 'token:2'],
  ['a good one beside a bad one', { headers: { authorization: 'Bearer no', 'x-api-key': 'first-token' } }, 'token:1'],
  [
    'two good ones: the header',
    { headers: { authorization: 'Bearer first-token', 'x-api-key': 'zweites Zeichen ñ' } },
    'token:1',
  ],
  ['a cookie among others', { headers: { cookie: 'a=b; keruta_token=first-token; c' } }, 'token:1'],
  [
    "the cookie of Otto's clients",
    { headers: { cookie: 'access_token=first-token' }, url: '/api/v1/log-streaming/stream?level=INFO' },
    'token:1',
  ],
  [
    'a good cookie beside a bad one',
    { headers: { cookie: 'keruta_token=old; access_token=first-token' }, url: '/socket.io/?EIO=4' },
    'token:1',
  ],
  ['a header before a cookie', { headers: { cookie: 'keruta_token=old', 'x-api-key': 'first-token' } }, 'token:1'],
];

for (const [what, request, name] of allowed) {
  test(`lets in: ${what}`, async () => {
    const principal = await auth.authenticate(request, { cookieAllowed: true });
    assert.equal(principal?.name, name);
    assert.ok(principal.may('admin', { task: 'any' }));
  });
}

const without: [string, Credentials][] = [
  ['nothing', { headers: {}, url: '/' }],
  ['an empty token', { headers: { authorization: 'Bearer ' }, url: '/?token=' }],
  ['another scheme', { headers: { authorization: 'Basic first-token' } }],
  ['a token in the path', { headers: {}, url: '/token=first-token' }],
  [
    "the cookie of Otto's clients elsewhere",
    { headers: { cookie: 'access_token=first-token' }, url: '/api/v1/tasks?x=/socket.io/' },
  ],
  ['another cookie', { headers: { cookie: 'xkeruta_token=first-token; keruta_token' } }],
];

for (const [what, request] of without) {
  test(`finds no token: ${what}`, async () => {
    assert.equal(await auth.authenticate(request, { cookieAllowed: true }), undefined);
  });
}

test('finds no token: a cookie where none is allowed', async () => {
  assert.equal(await auth.authenticate({ headers: { cookie: 'keruta_token=first-token' } }), undefined);
});

const refused: [string, Credentials, RegExp][] = [
  ['a wrong token', { headers: { authorization: 'Bearer first-toke' } }, /not known/],
  ['a longer token', { headers: { 'x-api-key': 'first-token2' } }, /not known/],
  ['another case', { headers: { 'x-api-key': 'First-Token' } }, /not known/],
  ['a token of other characters', { headers: {}, url: '/?token=%F0%9F%94%91%00' }, /not known/],
  ['a JWT where none are taken', { headers: { 'x-api-key': 'a.b.c' } }, /not known/],
  ['a token without end', { headers: { 'x-api-key': 'x'.repeat(8193) } }, /too long/],
];

for (const [what, request, message] of refused) {
  test(`refuses: ${what}`, async () => {
    await assert.rejects(
      auth.authenticate(request),
      (error) => error instanceof KerutaError && error.code === 'UNAUTHORIZED' && message.test(error.message),
    );
  });
}

test('a relay without any is open', async () => {
  const open = new Auth({});
  assert.equal(open.required, false);
  assert.equal((await open.authenticate({ headers: { 'x-api-key': 'whatever' } }))?.name, 'anonymous');
  assert.equal((await open.token('whatever')).name, 'anonymous');
});

test('once keys were there, losing their file opens nothing', async () => {
  const keys = { configured: false, find: () => undefined };
  const watched = new Auth({ keys });
  assert.equal(watched.required, false);
  keys.configured = true;
  assert.equal(watched.required, true);
  keys.configured = false;
  assert.equal(watched.required, true);
  assert.equal(await watched.authenticate({ headers: {} }), undefined);
});
