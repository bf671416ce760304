import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { TlsFiles } from '../../../tls.ts';

/** Where gRPC listens: TLS with the relay's own certificate, also after it has changed, or none. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #sockets = new Set<Socket>();
  readonly #servers: Server[] = [];

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Listens on the same port of all hosts; answers the port. Rejects with an Error that says why it can't be had. */
  async listen(hosts: readonly string[], port: number): Promise<number> {
    let found = port;
    for (const host of hosts) found = await this.#listen(host, found);
    return found;
  }

  async #listen(host: string, port: number): Promise<number> {
    const { tls, maxConnections } = this.#options;
    const server = tls === undefined ? createServer(this.#taken) : this.#secured(tls);
    this.#servers.push(server);
    server.maxConnections = maxConnections;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      // Of a handshake, too.
      socket.on('error', () => socket.destroy());
    });
    server.listen(port, host);
    try {
      await once(server, 'listening');
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const why = code === 'EADDRINUSE' ? 'it is already in use by another program' : message;
      throw new Error(`can't listen for gRPC on port ${port} of ${host}: ${why}`, { cause: error });
    }
    return (server.address() as AddressInfo).port;
  }

  /** Takes no more connections. */
  stop(): void {
    for (const server of this.#servers) server.close();
  }

  /** Cuts those that are left. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #secured(tls: TlsFiles): Server {
    const options = { ...tls.serverOptions, ALPNProtocols: ['h2'], handshakeTimeout: HANDSHAKE_TIMEOUT_MS };
    const server = createTlsServer(options, this.#taken);
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    server.on(
      'close',
      tls.keep((context) => server.setSecureContext(context)),
    );
    return server;
  }

  readonly #taken = (socket: Socket): void => {
    socket.setNoDelay(true);
    this.#options.onConnection(socket);
  };
}

export interface ListenerOptions {
  tls: TlsFiles | undefined;
  maxConnections: number;
  /** Through with its handshake, if it has one. */
  onConnection: (socket: Socket) => void;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;
