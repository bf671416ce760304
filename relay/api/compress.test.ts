import assert from 'node:assert/strict';
import test from 'node:test';
import { gunzipSync } from 'node:zlib';
import fastify, { type FastifyInstance } from 'fastify';
import { addCompression, takesGzip } from './compress.ts';

for (const { accepted, takes } of [
  { accepted: undefined, takes: false },
  { accepted: '', takes: false },
  { accepted: 'gzip', takes: true },
  { accepted: 'br, GZIP;q=0.5', takes: true },
  { accepted: 'br', takes: false },
  { accepted: '*', takes: true },
  { accepted: 'gzip;q=0, *', takes: false },
  { accepted: 'gzip; q=0.000', takes: false },
  { accepted: 'xgzip', takes: false },
  { accepted: 'gzip;q=much', takes: false },
]) {
  test(`Accept-Encoding ${String(accepted)} ${takes ? 'takes' : 'does not take'} gzip`, () => {
    assert.equal(takesGzip(accepted), takes);
  });
}

const TEXT = 'line '.repeat(1000);

for (const { what, url, encoding } of [
  { what: 'JSON', url: '/json', encoding: 'gzip' },
  { what: 'short JSON', url: '/short', encoding: undefined },
  { what: 'text', url: '/text', encoding: undefined },
]) {
  test(`${what} is sent ${encoding === undefined ? 'as it is' : 'compressed'} to a client that takes gzip, and as it is to others`, async (t) => {
    const app = fastify() as unknown as FastifyInstance;
    addCompression(app);
    app.get('/json', () => ({ text: TEXT }));
    app.get('/short', () => ({ text: 'short' }));
    app.get('/text', () => TEXT);
    t.after(() => app.close());
    const plain = await app.inject(url);
    assert.equal(plain.headers['content-encoding'], undefined);
    const answer = await app.inject({ url, headers: { 'accept-encoding': 'gzip, br' } });
    assert.equal(answer.headers['content-encoding'], encoding);
    assert.equal(Number(answer.headers['content-length']), answer.rawPayload.length);
    const body = encoding === undefined ? answer.rawPayload : gunzipSync(answer.rawPayload);
    assert.deepEqual(body, plain.rawPayload);
    const head = await app.inject({ method: 'HEAD', url, headers: { 'accept-encoding': 'gzip' } });
    assert.deepEqual([head.statusCode, head.rawPayload.length], [200, 0]);
  });
}
