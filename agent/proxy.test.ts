import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namesProxies, proxyFor, shownProxy } from './proxy.ts';

const P = 'http://proxy.example:3128';
const rows: [what: string, address: string, env: Record<string, string>, proxy: string | undefined][] = [
  ['nothing is set', 'wss://relay/ws', {}, undefined],
  ['wss goes by HTTPS_PROXY', 'wss://relay/ws', { HTTPS_PROXY: P, HTTP_PROXY: 'http://other' }, P],
  ['https too', 'https://relay/', { HTTPS_PROXY: P }, P],
  ['ws goes by HTTP_PROXY', 'ws://relay/ws', { HTTP_PROXY: P, HTTPS_PROXY: 'http://other' }, P],
  ['not by HTTPS_PROXY', 'ws://relay/ws', { HTTPS_PROXY: P }, undefined],
  ['ALL_PROXY is for what has none', 'ws://relay/ws', { ALL_PROXY: P, HTTPS_PROXY: 'http://other' }, P],
  ['lower case counts more', 'wss://relay/ws', { HTTPS_PROXY: 'http://other', https_proxy: P }, P],
  ['an empty variable is none', 'wss://relay/ws', { HTTPS_PROXY: ' ' }, undefined],
  ['a host alone is an HTTP proxy', 'wss://relay/ws', { HTTPS_PROXY: 'proxy.example:3128' }, P],
  ['an HTTPS proxy', 'wss://relay/ws', { HTTPS_PROXY: 'https://p' }, 'https://p'],
  ['loopback is never proxied', 'ws://localhost:8080/ws', { ALL_PROXY: P }, undefined],
  ['nor is 127.0.0.0/8', 'ws://127.1.2.3/ws', { ALL_PROXY: P }, undefined],
  ['nor ::1', 'ws://[::1]:8080/ws', { ALL_PROXY: P }, undefined],
  ['NO_PROXY: the host', 'wss://relay.example/ws', { ALL_PROXY: P, NO_PROXY: 'a, relay.example' }, undefined],
  ['NO_PROXY: in any case', 'wss://relay.example/ws', { ALL_PROXY: P, no_proxy: 'RELAY.example' }, undefined],
  ['NO_PROXY: a domain above', 'wss://a.relay.example/ws', { ALL_PROXY: P, NO_PROXY: 'relay.example' }, undefined],
  ['NO_PROXY: with a dot', 'wss://a.relay.example/ws', { ALL_PROXY: P, NO_PROXY: '.relay.example' }, undefined],
  ['NO_PROXY: with a star', 'wss://a.relay.example/ws', { ALL_PROXY: P, NO_PROXY: '*.relay.example' }, undefined],
  ['NO_PROXY: not a name that ends alike', 'wss://myrelay.example/ws', { ALL_PROXY: P, NO_PROXY: 'relay.example' }, P],
  ['NO_PROXY: everything', 'wss://relay/ws', { ALL_PROXY: P, NO_PROXY: '*' }, undefined],
  ['NO_PROXY: the port', 'ws://relay:81/ws', { ALL_PROXY: P, NO_PROXY: 'relay:81' }, undefined],
  ['NO_PROXY: the usual port', 'wss://relay/ws', { ALL_PROXY: P, NO_PROXY: 'relay:443' }, undefined],
  ['NO_PROXY: another port', 'ws://relay:82/ws', { ALL_PROXY: P, NO_PROXY: 'relay:81' }, P],
  ['NO_PROXY: an address', 'ws://10.0.0.1/ws', { ALL_PROXY: P, NO_PROXY: '10.0.0.1' }, undefined],
  ['NO_PROXY: an IPv6 address', 'ws://[2001:db8::1]/ws', { ALL_PROXY: P, NO_PROXY: '2001:db8::1' }, undefined],
  [
    'NO_PROXY: an IPv6 address with a port',
    'ws://[2001:db8::1]:81/',
    { ALL_PROXY: P, NO_PROXY: '[2001:db8::1]:81' },
    undefined,
  ],
];
for (const [what, address, env, proxy] of rows) {
  test(what, () => {
    const found = proxyFor(address, env);
    assert.equal(found && `${found.protocol}//${found.host}`, proxy);
  });
}

test('a proxy that can not be used is said, without its password', () => {
  for (const HTTP_PROXY of ['socks5://user:geheim@p:1080', 'http://user:geheim@', '://geheim']) {
    assert.throws(
      () => proxyFor('ws://relay/ws', { HTTP_PROXY }),
      (error: Error) => /proxy/.test(error.message) && !error.message.includes('geheim'),
    );
  }
});

test('a password is not shown', () => {
  const proxy = proxyFor('ws://relay/ws', { HTTP_PROXY: 'http://user:geheim@p:3128' });
  assert.ok(proxy);
  assert.equal(proxy.password, 'geheim');
  assert.doesNotMatch(shownProxy(proxy), /geheim/);
});

test('whether there is any proxy', () => {
  assert.equal(namesProxies({ NO_PROXY: '*', all_proxy: '' }), false);
  assert.equal(namesProxies({ all_proxy: P }), true);
});
