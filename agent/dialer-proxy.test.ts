import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dial, testProxy, testServer } from './dialer.fixture.ts';

const URL = 'ws://relay.invalid:8080/ws/tasks';

test('a WebSocket goes through the proxy of the environment, with its user and password', async (t) => {
  const proxy = await testProxy(t, await testServer(t));
  const env = { HTTP_PROXY: `http://user:geheim@127.0.0.1:${proxy.port}` };
  assert.equal(await dial(t, URL, { env }), 'open');
  const basic = Buffer.from('user:geheim').toString('base64');
  assert.deepEqual(proxy.asked, [`relay.invalid:8080 Basic ${basic}`]);
});

test('what NO_PROXY names does not', async (t) => {
  const proxy = await testProxy(t, await testServer(t));
  const env = { HTTP_PROXY: `http://127.0.0.1:${proxy.port}`, NO_PROXY: 'relay.invalid' };
  assert.match(await dial(t, URL, { env }), /can't be reached \(getaddrinfo/);
  assert.deepEqual(proxy.asked, []);
});

const refusals: [status: number, says: RegExp][] = [
  [407, /is behind a proxy that wants a user and a password \(HTTP 407\)/],
  [403, /HTTP 403/],
  [502, /answered HTTP 502/],
];
for (const [status, says] of refusals) {
  test(`a proxy that answers ${status} is said by its name, without its password`, async (t) => {
    const proxy = await testProxy(t, 1, status);
    const env = { ALL_PROXY: `http://user:geheim@127.0.0.1:${proxy.port}` };
    const problem = await dial(t, URL, { env });
    assert.match(problem, says);
    assert.match(problem, new RegExp(`through the proxy http://user:\\*\\*\\*@127.0.0.1:${proxy.port}`));
    assert.doesNotMatch(problem, /geheim/);
  });
}

test('a proxy that is not there is said', async (t) => {
  const problem = await dial(t, URL, { env: { HTTP_PROXY: 'http://u:geheim@127.0.0.1:1' } });
  assert.match(problem, /through the proxy .*can't be reached \(connect ECONNREFUSED/);
  assert.doesNotMatch(problem, /geheim/);
});
