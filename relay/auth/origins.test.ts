import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Origins } from './origins.ts';

const HOST = 'logs.example:8080';
const LISTED = ['https://panel.example'];
const EVIL = 'https://evil.example';

const rows: [listed: string[], origin: string, may: 'known' | 'may read an open relay' | 'may not'][] = [
  [[], `http://${HOST}`, 'known'],
  [[], 'http://localhost:3000', 'may read an open relay'],
  [[], 'http://127.0.0.1', 'may read an open relay'],
  [[], 'http://app.localhost', 'may read an open relay'],
  [[], EVIL, 'may not'],
  [[], 'null', 'may not'],
  [[], 'http://localhost.evil.example', 'may not'],
  [LISTED, 'https://panel.example', 'known'],
  [LISTED, 'http://panel.example', 'may not'],
  [LISTED, 'https://panel.example:8443', 'may not'],
  [LISTED, `http://${HOST}`, 'known'],
  [LISTED, 'http://localhost:3000', 'may not'],
  [['*'], EVIL, 'may read an open relay'],
];
for (const [listed, origin, may] of rows) {
  test(`with ${JSON.stringify(listed)}, a page of ${origin}: ${may}`, () => {
    const origins = new Origins(listed);
    assert.equal(origins.known(origin, HOST), may === 'known');
    assert.equal(origins.mayReadOpen(origin, HOST), may !== 'may not');
  });
}

for (const [host, answer] of [
  ['localhost:8080', 'answers'],
  ['127.0.0.1:8080', 'answers'],
  ['[::1]:8080', 'answers'],
  ['192.168.1.5', 'answers'],
  ['panel.example:9', 'answers'],
  [undefined, 'answers'],
  ['evil.example:8080', 'does not answer'],
  ['127.0.0.1.evil.example', 'does not answer'],
  ['', 'does not answer'],
  ['a b', 'does not answer'],
] as const) {
  test(`without authentication, a relay ${answer} to the name ${host}`, () => {
    assert.equal(new Origins(LISTED).namesOpen(host), answer === 'answers');
  });
}
