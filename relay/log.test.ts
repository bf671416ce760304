import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { logOptions } from './log.ts';

const SECRET = 'eyJhbGciOi';
const entries: { what: string; entry: object }[] = [
  { what: 'a token', entry: { token: SECRET } },
  { what: 'headers', entry: { headers: { authorization: SECRET, cookie: SECRET, 'x-api-key': SECRET } } },
  { what: 'the headers of a request', entry: { req: { headers: { authorization: SECRET, 'x-api-key': SECRET } } } },
  { what: 'the options of a part', entry: { options: { password: SECRET, secret: SECRET, apiKey: SECRET } } },
];

for (const { what, entry } of entries) {
  test(`${what}: no secret gets into the log`, () => {
    let line = '';
    pino(logOptions('info'), { write: (text: string) => void (line += text) }).info(entry, 'said');
    assert.match(line, /"msg":"said"/);
    assert.match(line, /\*\*\*/);
    assert.ok(!line.includes(SECRET), line);
  });
}
