import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopback, TrustedProxies } from './client-address.ts';

const TRUSTED = ['10.0.0.0/8', '192.0.2.7', 'fd00::/8', '::1'];

const rows: [
  what: string,
  trusted: string[],
  connection: string | undefined,
  header: string | undefined,
  client: string,
][] = [
  ['no proxy is trusted: the connection', [], '10.0.0.1', '1.1.1.1', '10.0.0.1'],
  ['a stranger may say what it likes', TRUSTED, '9.9.9.9', '1.1.1.1', '9.9.9.9'],
  ['a proxy is believed', TRUSTED, '10.0.0.1', '1.1.1.1', '1.1.1.1'],
  ['only the last stranger is', TRUSTED, '10.0.0.1', '8.8.8.8, 1.1.1.1', '1.1.1.1'],
  ['through several proxies', TRUSTED, '10.0.0.1', '8.8.8.8,1.1.1.1 , 192.0.2.7,10.9.9.9', '1.1.1.1'],
  ['only proxies: the first of them', TRUSTED, '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
  ['no header: the proxy itself', TRUSTED, '10.0.0.1', undefined, '10.0.0.1'],
  ['nonsense: who said it', TRUSTED, '10.0.0.1', '1.1.1.1, evil', '10.0.0.1'],
  ['behind nonsense', TRUSTED, '10.0.0.1', 'evil, 1.1.1.1', '1.1.1.1'],
  ['a port', TRUSTED, '10.0.0.1', '1.1.1.1:4711', '1.1.1.1'],
  ['IPv6 with a port', TRUSTED, '10.0.0.1', '[2001:db8::1]:4711', '2001:db8::1'],
  ['IPv6 in another notation', TRUSTED, 'fd00::5', '2001:DB8:0:0::1', '2001:db8::1'],
  ['IPv4 inside IPv6', TRUSTED, '::ffff:10.0.0.1', '::ffff:1.1.1.1', '1.1.1.1'],
  ['a zone', [], 'fe80::1%eth0', undefined, 'fe80::1'],
  ['a Unix socket', TRUSTED, undefined, '1.1.1.1', 'unix'],
  ['a trusted Unix socket', ['unix'], undefined, '1.1.1.1', '1.1.1.1'],
];
for (const [what, trusted, connection, header, client] of rows) {
  test(what, () => {
    assert.equal(new TrustedProxies(trusted).clientOf(connection, header), client);
  });
}

for (const [address, answer] of [
  ['127.0.0.1', true],
  ['127.9.9.9', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['unix', true],
  ['0.0.0.0', false],
  ['::', false],
  ['10.0.0.1', false],
  ['127.0.0.1.example', false],
] as const) {
  test(`${address} is ${answer ? '' : 'not '}this machine's own`, () => assert.equal(isLoopback(address), answer));
}
