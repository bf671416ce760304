import { once } from 'node:events';
import { lstat, rm } from 'node:fs/promises';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server as PlainServer,
  type ServerOptions,
} from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { listenText, listenUrl, type ListenAddress } from './listen-address.ts';
import type { TlsFiles } from './tls.ts';

/** The HTTP servers of a relay, one for each address, all with the same handlers. */
export class Listeners {
  readonly #options: ListenersOptions;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** Listens on all; answers their URLs. Rejects with an Error if one of them can't be had; `close` is due then too. */
  async listen(addresses: readonly ListenAddress[]): Promise<string[]> {
    const urls: string[] = [];
    for (const address of addresses) {
      const server = this.#create();
      this.#servers.push(server);
      await listenOn(server, address).catch((error: unknown) => {
        throw explained(error, address);
      });
      const port = (server.address() as AddressInfo).port;
      urls.push(
        listenUrl('path' in address ? address : { ...address, port }, { tls: this.#options.tls !== undefined }),
      );
    }
    return urls;
  }

  /**
   * Takes no more connections and lets go of idle ones; resolves when all are gone. Those that are left are cut
   * `patienceMs` after `before` is done: what somebody else closes in order.
   */
  async close(patienceMs: number, before: Promise<unknown> = Promise.resolve()): Promise<void> {
    const listening = this.#servers.filter((server) => server.listening);
    const closed = listening.map((server) => new Promise((resolve) => server.close(resolve)));
    // Those whose request ends meanwhile become idle.
    const idle = setInterval(() => listening.forEach((server) => server.closeIdleConnections()), IDLE_EVERY_MS);
    // Also those that are no HTTP yet: a TLS handshake that never ends.
    const cut = (): void => this.#sockets.forEach((socket) => socket.destroy());
    let patience: NodeJS.Timeout | undefined;
    const wait = (): void => void (patience = setTimeout(cut, patienceMs));
    before.then(wait, wait);
    await Promise.all([...closed, before.catch(() => undefined)]);
    clearInterval(idle);
    clearTimeout(patience);
  }

  #create(): Server {
    const { tls, http, maxConnections, onConnection, onRequest, onUpgrade, onClientError } = this.#options;
    const server = tls === undefined ? createServer(http, onRequest) : secured(tls, http, onRequest);
    // Connections that are idle between requests count, too.
    if (maxConnections !== undefined) server.maxConnections = maxConnections;
    // Nothing moves for so long: the other side takes nothing of an answer, or sends nothing of a request.
    server.timeout = STALLED_MS;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      onConnection(socket);
    });
    server.on('upgrade', onUpgrade);
    server.on('clientError', onClientError);
    return server;
  }
}

type Server = PlainServer | TlsServer;

function secured(tls: TlsFiles, http: ServerOptions, onRequest: RequestListener): TlsServer {
  const options = {
    ...http,
    ...tls.serverOptions,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  };
  const server = createTlsServer(options, onRequest);
  server.on(
    'close',
    tls.keep((context) => server.setSecureContext(context)),
  );
  return server;
}

export interface ListenersOptions {
  /** TLS on all of them, else none. */
  tls: TlsFiles | undefined;
  http: ServerOptions;
  /** Connections that each of them may have; those beyond are cut. */
  maxConnections?: number | undefined;
  onConnection: (socket: Socket) => void;
  onRequest: RequestListener;
  onUpgrade: (request: IncomingMessage, socket: Socket, head: Buffer) => void;
  onClientError: (error: Error, socket: Duplex) => void;
}

async function listenOn(server: Server, address: ListenAddress): Promise<void> {
  if ('path' in address && (await isStale(address.path))) await rm(address.path, { force: true });
  server.listen(address);
  await once(server, 'listening');
}

/** Whether a Unix socket was left by a process that is gone: nobody answers there. No other file is one. */
async function isStale(path: string): Promise<boolean> {
  // The system refuses connections to any file, and a mistyped path must not cost one.
  const there = await lstat(path).catch(() => undefined);
  if (there?.isSocket() !== true) return false;
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
  } finally {
    socket.destroy();
  }
}

/** What the system says of an address, in words. */
function explained(error: unknown, address: ListenAddress): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const where = 'path' in address ? `the socket ${address.path}` : `port ${address.port} of ${address.host}`;
  if (code === 'EADDRINUSE') {
    const or = 'path' in address ? ', or is another file' : '';
    return new Error(`${where} is already in use by another program${or}`, { cause: error });
  }
  if ((code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') && 'host' in address)
    return new Error(`this machine has no address ${address.host}`, { cause: error });
  if (code === 'EACCES') return new Error(`${where} may not be opened by this user`, { cause: error });
  return new Error(`can't listen on ${listenText(address)}: ${(error as Error).message}`, { cause: error });
}

const IDLE_EVERY_MS = 50;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const STALLED_MS = 120_000;
