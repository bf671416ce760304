import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Context } from './programs.ts';

/** What a proxy makes of an upgrade: it refuses it, hangs up, or passes the request on without it. */
export type Treatment = 'refuses' | 'hangs up' | 'forgets it';

/** A reverse proxy on loopback that lets HTTP through, and no WebSocket. */
export class UpgradeProxy {
  /** Upgrades that were asked for. */
  upgrades = 0;
  readonly #target: string;
  readonly #server: Server;

  constructor(target: { url: string }, treatment: Treatment) {
    this.#target = target.url;
    this.#server = createServer((incoming, answer) => this.#forward(incoming, answer));
    if (treatment === 'forgets it') return;
    this.#server.on('upgrade', (_request: IncomingMessage, socket: Socket) => {
      this.upgrades++;
      socket.on('error', () => socket.destroy());
      if (treatment === 'hangs up') socket.destroy();
      else socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/html\r\n\r\n<h1>No</h1>');
    });
  }

  /** Resolves with its URL, `http://127.0.0.1:port`. */
  async start(context: Context): Promise<{ url: string }> {
    context.after(() => {
      this.#server.close();
      this.#server.closeAllConnections();
    });
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return { url: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}` };
  }

  #forward(incoming: IncomingMessage, answer: ServerResponse): void {
    if (incoming.headers.upgrade !== undefined) this.upgrades++;
    const { connection: _connection, upgrade: _upgrade, ...headers } = incoming.headers;
    const outgoing = request(`${this.#target}${incoming.url}`, { method: incoming.method, headers, agent: false });
    outgoing.on('response', (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.on('error', () => answer.destroy());
      response.pipe(answer);
    });
    outgoing.on('error', () =>
      answer.headersSent ? answer.destroy() : answer.writeHead(502).end('<h1>Bad Gateway</h1>'),
    );
    incoming.on('error', () => outgoing.destroy());
    incoming.pipe(outgoing);
  }
}
