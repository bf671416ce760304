import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveAgent } from '../shared/options/agent-config.ts';
import { UsageError } from '../shared/options/usage-error.ts';
import { dialOptions } from './link-options.ts';

const SURROUNDINGS = { env: {}, hostname: 'h', home: '/home/u', temporary: '/tmp', uid: 1000 };

function config(env: Record<string, string>, websocketUrls?: string[]) {
  return resolveAgent({ flags: { websocketUrls }, env, surroundings: SURROUNDINGS }).config;
}

test('several relays: in one text, one a flag, or both; each once', () => {
  const env = { KERUTA_WEBSOCKET_URL: 'ws://a, wss://b:9/x/ws/tasks' };
  assert.deepEqual(config(env).websocketUrls, ['ws://a/ws/tasks', 'wss://b:9/x/ws/tasks']);
  assert.deepEqual(config({}, ['ws://a', 'ws://b,ws://a/']).websocketUrls, ['ws://a/ws/tasks', 'ws://b/ws/tasks']);
});

test('one REST address is of one relay; those of several follow from where each is', () => {
  const api = { KERUTA_API_URL: 'http://api.example' };
  const one = dialOptions(config({ ...api, KERUTA_WEBSOCKET_URL: 'ws://a' }), {});
  assert.deepEqual(one.apiUrls, { 'ws://a/ws/tasks': 'http://api.example/api/v1' });
  const several = dialOptions(config({ ...api, KERUTA_WEBSOCKET_URL: 'ws://a,ws://b' }), {});
  assert.equal(several.apiUrls, undefined);
});

test("a token's file is sent as a bearer's, unless something else is said", () => {
  assert.equal(config({ KERUTA_AUTH_TOKEN_FILE: '/t', KERUTA_API_KEY: 'k' }).authType, 'bearer');
  assert.equal(config({ KERUTA_AUTH_TOKEN_FILE: '/t', KERUTA_AUTH_TYPE: 'api-key' }).authType, 'api-key');
});

const wrong: [env: Record<string, string>, says: RegExp][] = [
  [{ KERUTA_WEBSOCKET_URL: ' , ' }, /KERUTA_WEBSOCKET_URL: .*names no relay/],
  [{ KERUTA_WEBSOCKET_URL: 'ws://a,http://b' }, /is not a URL that begins with ws:\/\/ or wss:\/\//],
  [
    { KERUTA_WEBSOCKET_URL: Array.from({ length: 17 }, (_, i) => `ws://h${i}`).join() },
    /names 17 relays; 16 are allowed/,
  ],
  [{ KERUTA_WEBSOCKET_HTTP_FALLBACK: 'maybe' }, /is none of auto, never, always/],
  [{ KERUTA_WEBSOCKET_CLIENT_CERT: '/c' }, /KERUTA_WEBSOCKET_CLIENT_CERT: .*give websocket\.security\.clientKey too/],
  [{ KERUTA_WEBSOCKET_CLIENT_KEY: '/k' }, /KERUTA_WEBSOCKET_CLIENT_KEY: .*give websocket\.security\.clientCert too/],
  [{ KERUTA_API_RETRY_COUNT: '-1' }, /is not a whole number/],
  [{ KERUTA_SPOOL_MAX_AGE: '5ms' }, /is too small, 1s is the least/],
];
for (const [env, says] of wrong) {
  test(`${Object.entries(env).join().slice(0, 60)} is refused`, () => {
    assert.throws(
      () => config(env),
      (error) => error instanceof UsageError && says.test(error.message),
    );
  });
}
