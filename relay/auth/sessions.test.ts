import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Principal } from './principal.ts';
import { Sessions } from './sessions.ts';

test('ends those whose key is revoked, and readers whose token has expired', () => {
  let now = 0;
  let revoked = false;
  const ended: string[] = [];
  const sessions = new Sessions(() => now);
  const add = (name: string, principal: Principal, endsWithToken: boolean) =>
    sessions.add({ principal, endsWithToken, end: ({ message }) => ended.push(`${name}: ${message}`) });
  const key = new Principal('key', [], { revoked: () => revoked });
  const jwt = new Principal('jwt', [], { expiresAt: 100 });
  add('key', key, false);
  add('reader', jwt, true);
  add('agent', jwt, false);
  add('nobody', new Principal('anonymous', [], { revoked: () => revoked }), false);
  const forget = add('gone', key, true);
  forget();
  sessions.sweep();
  assert.deepEqual(ended, []);
  now = 100;
  sessions.sweep();
  assert.deepEqual(ended, ['reader: The token or certificate has expired.']);
  revoked = true;
  sessions.sweep();
  sessions.sweep();
  assert.deepEqual(ended.slice(1), ['key: The API key has been revoked.', 'nobody: A token is required from now on.']);
});
