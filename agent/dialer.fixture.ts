import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { WebSocketServer } from 'ws';
import { SUBPROTOCOL } from '../shared/wire.ts';
import { Dialer, type DialOptions } from './dialer.ts';

/** A server that opens any WebSocket and knows nothing else, over TLS if there are options for it. Resolves with its port. */
export async function testServer(t: TestContext, tls?: ServerOptions): Promise<number> {
  const server = tls === undefined ? createHttpServer() : createTlsServer(tls);
  server.on('request', (_request: IncomingMessage, answer: ServerResponse) => answer.writeHead(404).end('<h1>No</h1>'));
  const webSockets = new WebSocketServer({ server, handleProtocols: () => SUBPROTOCOL });
  webSockets.on('error', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const client of webSockets.clients) client.terminate();
    webSockets.close();
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** A proxy that tunnels to `port` of this machine, wherever it is asked to; or answers with another status. */
export async function testProxy(
  t: TestContext,
  port: number,
  status = 200,
): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createHttpServer();
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    asked.push(`${request.url} ${request.headers['proxy-authorization'] ?? '-'}`);
    if (status !== 200) {
      socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const far = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(far).pipe(socket);
    });
    for (const one of [socket, far]) {
      sockets.add(one);
      one.on('error', () => [socket, far].forEach((both) => both.destroy()));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, asked };
}

/** Connects once and says hello: `open` (over HTTP that is what is said before), or the problem. */
export async function dial(t: TestContext, url: string, options: Partial<DialOptions> = {}): Promise<string> {
  const dialer = new Dialer({ connectTimeoutMs: 5000, httpFallback: 'never', ...options });
  return new Promise((resolve) => {
    const connection = dialer.connect(url, 't', {
      onOpen: () => (options.httpFallback === 'always' ? connection.send('{}') : resolve('open')),
      onMessage: () => undefined,
      onClose: ({ problem }) => resolve(problem),
    });
    t.after(() => connection.close());
  });
}
