import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { WebSocket } from 'ws';
import type { PublicApi } from './api/public-api.ts';
import { Auth } from './auth/auth.ts';
import { doorOf } from './auth/door.fixture.ts';
import { Sessions } from './auth/sessions.ts';
import { Health } from './health.ts';
import { startServer, type Server } from './server.ts';

const headers = { authorization: 'Bearer secret-token' };

/** A server with one API beside its own, which notes what happens to it. */
async function serve(t: TestContext, api: Partial<PublicApi> = {}): Promise<{ server: Server; noted: string[] }> {
  const noted: string[] = [];
  const fine = { healthy: true, message: '' };
  const server = await startServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    door: doorOf(new Auth({ tokens: ['secret-token'] })),
    sessions: new Sessions(),
    limits: {
      connect: ({ kind, task }) => {
        noted.push(`opened ${kind} ${task}`);
        return () => void noted.push('released');
      },
      request: () => undefined,
    },
    health: new Health({ store: () => fine, disk: () => fine, eventLoop: () => fine }),
    routes: () => undefined,
    apis: [
      {
        routes: (app) => {
          app.setErrorHandler((error, _request, reply) => reply.code(418).send({ mine: (error as Error).message }));
          app.get('/other', ({ caller }) => ({ caller: caller.principal.name }));
        },
        sockets: [
          {
            path: '/api/v1/other/ws',
            serve: (socket, { query }) => {
              noted.push(`served ${query.get('job')}`);
              socket.send('hello');
            },
          },
        ],
        mounts: [
          {
            path: '/mounted',
            request: (_request, response) => response.end('mounted'),
            upgrade: (_request, socket) => socket.end('HTTP/1.1 403 Forbidden\r\nx-mounted: yes\r\n\r\n'),
          },
        ],
        start: () => Promise.resolve(void noted.push('started')),
        stop: () => Promise.resolve(void noted.push('stopped')),
        connections: () => 0,
        ...api,
      },
    ],
    agents: { accept: () => assert.fail('no agent comes'), stop: () => Promise.resolve() },
    serveViewer: () => assert.fail('no viewer comes'),
    log: pino({ level: 'silent' }),
    version: '1.2.3',
  });
  t.after(() => server.stop());
  return { server, noted };
}

test('routes of another API have the caller, and errors in its own shape', async (t) => {
  const { server } = await serve(t);
  const known = await fetch(`${server.url}/api/v1/other`, { headers });
  assert.deepEqual(await known.json(), { caller: 'token:1' });
  const unknown = await fetch(`${server.url}/api/v1/other`);
  assert.equal(unknown.status, 418);
  assert.deepEqual(await unknown.json(), { mine: 'A token is required.' });
});

test('a WebSocket of another API is let in, counted, and closed at a stop without a message of ours', async (t) => {
  const { server, noted } = await serve(t);
  const socket = new WebSocket(`${server.url}/api/v1/other/ws?job=a%20b`, { headers });
  const messages: string[] = [];
  socket.on('message', (data) => messages.push((data as Buffer).toString()));
  await once(socket, 'message');
  assert.equal(server.viewers(), 1);
  const closed = once(socket, 'close');
  await server.stop();
  assert.deepEqual([(await closed)[0], messages], [4102, ['hello']]);
  assert.deepEqual(noted, ['started', 'opened viewer undefined', 'served a b', 'stopped', 'released']);
});

test('nobody gets its WebSocket without a token', async (t) => {
  const { server, noted } = await serve(t);
  const socket = new WebSocket(`${server.url}/api/v1/other/ws`);
  socket.on('error', () => undefined);
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  response.destroy();
  assert.equal(response.statusCode, 401);
  assert.deepEqual(noted, ['started']);
});

test('a mount gets what comes to its path and below, and nothing else', async (t) => {
  const { server } = await serve(t);
  for (const path of ['/mounted', '/mounted/', '/mounted/a?b=/c'])
    assert.equal(await (await fetch(server.url + path)).text(), 'mounted');
  for (const path of ['/mountedx', '/a/mounted']) assert.equal((await fetch(server.url + path)).status, 404);
  const socket = new WebSocket(`${server.url}/mounted/x`);
  socket.on('error', () => undefined);
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  response.destroy();
  assert.equal(response.headers['x-mounted'], 'yes');
});

test('an API that can not start is the reason for which nothing does', async (t) => {
  const start = (): Promise<void> => Promise.reject(new Error('port 1 is taken'));
  await assert.rejects(serve(t, { start }), /port 1 is taken/);
});
