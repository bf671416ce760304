import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import fastify, { type FastifyInstance } from 'fastify';
import '../../auth/http.ts';
import type { MergedBatch } from '../../merged/merged-event.ts';
import { until } from '../../reading.fixture.ts';
import { SOMEBODY } from '../../senders/senders.fixture.ts';
import { SseStreams } from '../sse.ts';
import { Connections } from './connections.ts';
import { addStreamRoutes } from './routes-stream.ts';

test('30 s without a log are broken by a ping, which says up to where was looked', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const batches: PromiseWithResolvers<MergedBatch>[] = [Promise.withResolvers(), Promise.withResolvers()];
  const app = fastify() as unknown as FastifyInstance;
  app.decorateRequest('caller');
  app.addHook('onRequest', (asked, _reply, done) => {
    asked.caller = SOMEBODY;
    done();
  });
  const failures: unknown[] = [];
  const streams = new SseStreams();
  addStreamRoutes(app, {
    merged: {
      place: () => Promise.resolve(5),
      follow: async function* () {
        for (const { promise } of batches) yield await promise;
      },
      page: () => Promise.reject(new Error('nobody asks for pages')),
      epoch: () => 'e',
      cursors: () => (position) => `c${position}`,
    },
    connections: new Connections(),
    streams,
    meter: { failed: () => undefined },
    log: { error: (failure: unknown) => void failures.push(failure) },
    now: () => 0,
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const asked = request({ host: '127.0.0.1', port, path: '/logs/stream/sse', agent: false }).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await until(() => text.includes('connected'));

  t.mock.timers.tick(29_999);
  t.mock.timers.tick(1);
  const time = '"1970-01-01T00:00:00.000Z"';
  const ping = (position: number): string => `event: ping\ndata: {"timestamp":${time}}\nid: c${position}\n\n`;
  await until(() => text.endsWith(ping(5)));

  // Nothing of the job run was among them.
  batches[0].resolve({ events: [], nextPosition: 9 });
  await batches[0].promise;
  await until(() => {
    t.mock.timers.tick(30_000);
    return text.endsWith(ping(9));
  });
  assert.equal(text.match(/event: connected/g)?.length, 1);

  // The store fails: the client is sent away to come back to where it was.
  const ended = once(answer, 'end');
  batches[1].reject(new Error('the store is gone'));
  await ended;
  assert.equal(failures.length, 1);
  await streams.stop();
  await app.close();
});
