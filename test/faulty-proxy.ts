import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Context } from './programs.ts';
import type { Random } from './random.ts';

/**
 * What happens to a connection once some bytes have passed: it is cut (both ends see a reset), it stalls for a while
 * and goes on, or it is left half open: it takes bytes and never brings any, and nobody is told.
 */
export type Fate = 'cut' | 'stall' | 'half-open';

export interface Faults {
  random: Random;
  /** They take turns. */
  fates: readonly Fate[];
  /** The least and the most bytes, both ways together, between two faults of a connection. */
  bytes: readonly [number, number];
  /** After so many faults, all is well. */
  faults: number;
}

/** A TCP proxy on loopback that ill-treats its connections as a seed wants it. */
export class FaultyProxy {
  /** Faults so far. */
  met = 0;
  readonly #target: number;
  readonly #faults: Faults;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(target: number, faults: Faults) {
    this.#target = target;
    this.#faults = faults;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Resolves with its URL, `http://127.0.0.1:port`. */
  async start(context: Context): Promise<{ url: string }> {
    context.after(() => {
      this.#server.close();
      for (const socket of this.#sockets) socket.destroy();
    });
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return { url: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}` };
  }

  #accept(near: Socket): void {
    const far = connect(this.#target, '127.0.0.1');
    const link: Link = { sockets: [near, far], left: this.#distance(), swallows: false };
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      this.#sockets.add(from);
      from.on('data', (data) => {
        if (link.swallows) return;
        if (!to.write(data)) from.pause();
        link.left -= data.length;
        if (link.left <= 0) this.#fault(link);
      });
      to.on('drain', () => from.resume());
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        if (!link.swallows) to.destroy();
      });
    }
  }

  #fault(link: Link): void {
    link.left = this.#distance();
    if (this.met >= this.#faults.faults) return;
    const fate = this.#faults.fates[this.met++ % this.#faults.fates.length];
    if (fate === 'half-open') link.swallows = true;
    else if (fate === 'cut') for (const socket of link.sockets) socket.resetAndDestroy();
    else {
      for (const socket of link.sockets) socket.pause();
      setTimeout(() => {
        for (const socket of link.sockets) socket.resume();
      }, STALL_MS);
    }
  }

  #distance(): number {
    const [least, most] = this.#faults.bytes;
    return least + this.#faults.random.below(most - least);
  }
}

interface Link {
  sockets: [Socket, Socket];
  /** Bytes until the next fault. */
  left: number;
  swallows: boolean;
}

const STALL_MS = 200;
