import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { Closing } from './uplink-connection.ts';
import { UplinkHttp } from './uplink-http.ts';

const UNAUTHORIZED = { error: { code: 'UNAUTHORIZED', message: 'The token has expired.' } };
const ACK = { type: 'ack', nextSeq: 0 };

/** A link to a relay that gives these answers, one after the other; resolves with why it was closed. */
async function closingAfter(t: TestContext, answers: [status: number, body: object][]): Promise<Closing> {
  const relay = createServer((request, response) => {
    const [status, body] = answers.shift() ?? [500, {}];
    request.resume().once('end', () => response.writeHead(status).end(JSON.stringify(body)));
  }).listen(0, '127.0.0.1');
  await once(relay, 'listening');
  t.after(() => relay.close());
  const { port } = relay.address() as AddressInfo;
  return new Promise((resolve) => {
    const link = new UplinkHttp(
      { url: `http://127.0.0.1:${port}/tasks/t/link`, name: 'relay', headers: {}, connectTimeoutMs: 1000 },
      {
        onOpen: () => link.send('{"type":"hello"}'),
        onMessage: () => link.send('{"type":"progress","nextSeq":0}'),
        onClose: resolve,
      },
    );
  });
}

test('a token that is refused when the link begins is final', async (t) => {
  const { retry, problem } = await closingAfter(t, [[401, UNAUTHORIZED]]);
  assert.equal(retry, false);
  assert.match(problem, /HTTP 401.*has expired/);
});

test('one that was good and expires is not: there may be another one by now', async (t) => {
  const { retry, problem } = await closingAfter(t, [
    [201, { session: 's', messages: [ACK] }],
    [401, UNAUTHORIZED],
  ]);
  assert.equal(retry, true);
  assert.match(problem, /HTTP 401.*has expired/);
});
