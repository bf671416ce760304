import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KerutaError } from '../../shared/errors.ts';
import { Auth, type Credentials } from './auth.ts';

const auth = new Auth(['first-token', 'zweites Zeichen ñ']);

const allowed: [string, Credentials][] = [
  ['a bearer token', { headers: { authorization: 'Bearer first-token' } }],
  ['in any case', { headers: { authorization: 'bearer  first-token ' } }],
  ['an API key', { headers: { 'x-api-key': 'first-token' } }],
  ['the second token', { headers: { 'x-api-key': 'zweites Zeichen ñ' } }],
  ['a query token', { headers: {}, url: '/ws/tasks/t?x=1&token=first-token' }],
  ['an encoded query token', { headers: {}, url: '/?token=zweites%20Zeichen+%C3%B1' }],
  ['a known one beside an unknown one', { headers: { authorization: 'Bearer no', 'x-api-key': 'first-token' } }],
];

for (const [what, request] of allowed) {
  test(`lets in: ${what}`, () => auth.check(request));
}

const refused: [string, Credentials, RegExp][] = [
  ['nothing', { headers: {}, url: '/' }, /required/],
  ['an empty token', { headers: { authorization: 'Bearer ' }, url: '/?token=' }, /required/],
  ['another scheme', { headers: { authorization: 'Basic first-token' } }, /required/],
  ['a wrong token', { headers: { authorization: 'Bearer first-toke' } }, /not known/],
  ['a longer token', { headers: { 'x-api-key': 'first-token2' } }, /not known/],
  ['a token in the path', { headers: {}, url: '/token=first-token' }, /required/],
];

for (const [what, request, message] of refused) {
  test(`refuses: ${what}`, () => {
    assert.throws(
      () => auth.check(request),
      (error) => error instanceof KerutaError && error.code === 'UNAUTHORIZED' && message.test(error.message),
    );
  });
}

test('a relay without tokens is open', () => {
  new Auth([]).check({ headers: {} });
  assert.equal(new Auth([]).required, false);
});
