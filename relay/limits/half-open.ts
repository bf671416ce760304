import type { Socket } from 'node:net';

/**
 * Connections on which nobody has asked anything yet. Whoever has a question asks within moments of connecting, so of
 * too many the oldest are cut: an attacker's silent connections push out each other, and hardly anybody else's.
 */
export class HalfOpen {
  readonly #most: number;
  /** By who is at the other end; the oldest stands first. A request over TLS comes on another socket than this. */
  readonly #sockets = new Map<string, Socket>();

  constructor(most = MAX_HALF_OPEN) {
    this.#most = most;
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** For `connection` of a server. */
  readonly opened = (socket: Socket): void => {
    const peer = peerOf(socket);
    if (peer === undefined) return;
    this.#sockets.set(peer, socket);
    socket.once('close', () => {
      if (this.#sockets.get(peer) === socket) this.#sockets.delete(peer);
    });
    if (this.#sockets.size <= this.#most) return;
    const [[oldest, silent]] = this.#sockets;
    this.#sockets.delete(oldest);
    silent.destroy();
  };

  /** A request came on a connection. */
  asked(socket: Socket): void {
    const peer = peerOf(socket);
    if (peer !== undefined) this.#sockets.delete(peer);
  }
}

/** Undefined for Unix sockets, and for what is closed already. */
function peerOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | undefined {
  if (remoteAddress === undefined) return undefined;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** Some 20 KB each, more under TLS. */
const MAX_HALF_OPEN = 1000;
