import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ValueError } from './option.ts';
import { jwksPlace } from './relay-kinds.ts';
import { apiUrl, url, websocketUrl } from './urls.ts';

const proxy = url(['http', 'https'], 'http://proxy.example:3128');

describe('what config shows of an address', () => {
  const rows: [string, string][] = [
    ['http://proxy.example:3128', 'http://proxy.example:3128/'],
    ['http://user:geheim@proxy.example:3128/', 'http://user:***@proxy.example:3128/'],
    ['http://:geheim@proxy.example/', 'http://:***@proxy.example/'],
    ['https://geheim@proxy.example/', 'https://***@proxy.example/'],
    ['https://h/keys?api-key=geheim', 'https://h/keys?***'],
    ['https://h/keys#geheim', 'https://h/keys#***'],
  ];
  for (const [address, shown] of rows) {
    test(address, () => assert.equal(proxy.show?.(proxy.read(address)), shown));
  }
});

test('a key set may be a file or an address, which shows no secret', () => {
  const kind = jwksPlace();
  for (const [place, shown] of [
    ['/etc/keys.json', '/etc/keys.json'],
    ['https://h/keys?key=geheim', 'https://h/keys?***'],
  ])
    assert.equal(kind.show?.(kind.read(place)), shown);
  for (const address of ['https://u:geheim@h/keys', 'ftp://u:geheim@h/keys']) {
    assert.throws(
      () => kind.read(address),
      (error) => error instanceof ValueError && error.secret,
    );
  }
});

describe('an address that is refused', () => {
  const rows: [address: string, shownInErrors: string][] = [
    ['', 'shown'],
    ['proxy.example:3128', 'shown'],
    ['ftp://proxy.example', 'shown'],
    ['http://', 'shown'],
    ['http//user:geheim@proxy.example', 'hidden'],
    ['socks5://user:geheim@proxy.example', 'hidden'],
    ['proxy.example/?key=geheim', 'hidden'],
  ];
  for (const [address, shownInErrors] of rows) {
    test(`${address} is ${shownInErrors} in the error`, () => {
      for (const kind of [proxy, apiUrl(), websocketUrl()]) {
        assert.throws(
          () => kind.read(address),
          (error) => error instanceof ValueError && error.secret === (shownInErrors === 'hidden'),
        );
      }
    });
  }

  test('a list', () => assert.throws(() => proxy.read(['http://a', 'http://b']), ValueError));
});
