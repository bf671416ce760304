import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { ChunkFlip } from './chunk-flip.ts';
import type { Context } from './programs.ts';
import type { Random } from './random.ts';

/**
 * What happens to a connection: it is cut (both ends see a reset); it stalls, or passes only a few KiB a second, for a
 * while and goes on; it is left half open (it takes bytes and never brings any, and nobody is told); one side is told
 * that the other sends no more; or a bit is flipped: anywhere where it says that TLS is spoken, else in an agent's
 * chunk.
 */
export const FATES = ['cut', 'stall', 'slow', 'half-open', 'half-close', 'corrupt'] as const;
export type Fate = (typeof FATES)[number];

export interface Faults {
  random: Random;
  /** They take turns. */
  fates: readonly Fate[];
  /** The least and the most bytes, both ways together, between two faults of a connection. */
  bytes: readonly [number, number];
  /** After so many faults, all is well. */
  faults: number;
}

/** A TCP proxy on loopback that ill-treats its connections: by itself, as a seed wants it, or when it is told to. */
export class FaultyProxy {
  /** Faults so far. */
  met = 0;
  /** The port that connections go to from now on. */
  target: number;
  readonly #faults: Faults | undefined;
  readonly #tls: boolean;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #refusing = false;

  constructor(target: number, faults?: Faults, { tls = false } = {}) {
    this.target = target;
    this.#faults = faults;
    this.#tls = tls;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Resolves with its URL, `http://127.0.0.1:port`. */
  async start(context: Context): Promise<{ url: string; port: number }> {
    context.after(() => {
      this.#server.close();
      for (const link of this.#links) link.cut();
    });
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const { port } = this.#server.address() as AddressInfo;
    return { url: `http://127.0.0.1:${port}`, port };
  }

  /** Connections that are open, and neither half open nor about to be something else. */
  get open(): number {
    return this.#suitable('cut').length;
  }

  /**
   * Ill-treats one of the open connections, for `ms` where that lasts. Answers the first line of what its client said
   * (empty under TLS), or undefined if there is none that it can be done to.
   */
  inflict(fate: Fate, { random, ms }: { random: Random; ms: number }): { request: string } | undefined {
    const links = this.#suitable(fate);
    if (links.length === 0) return undefined;
    const link = random.pick(links);
    this.met++;
    link.suffer(fate, ms);
    return { request: link.request };
  }

  /** Whoever connects from now on is reset at once. */
  refuse(refusing: boolean): void {
    this.#refusing = refusing;
  }

  /** Ends all that lasts. Connections that are half open are cut: nobody would ever find them else. */
  calm(): void {
    this.#refusing = false;
    for (const link of this.#links) link.calm();
  }

  #suitable(fate: Fate): Link[] {
    return [...this.#links].filter((link) => link.isFree && (fate !== 'corrupt' || link.canCorrupt));
  }

  #accept(near: Socket): void {
    if (this.#refusing) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(this.target, '127.0.0.1');
    let left = this.#distance();
    const link = new Link(near, far, {
      tls: this.#tls,
      onPassed: (bytes) => {
        left -= bytes;
        if (left > 0) return;
        left = this.#distance();
        this.#next(link);
      },
      onGone: () => this.#links.delete(link),
    });
    this.#links.add(link);
  }

  #next(link: Link): void {
    if (this.#faults === undefined || this.met >= this.#faults.faults) return;
    const { fates } = this.#faults;
    link.suffer(fates[this.met++ % fates.length], STALL_MS);
  }

  #distance(): number {
    if (this.#faults === undefined) return Infinity;
    const { random, bytes } = this.#faults;
    return bytes[0] + random.below(bytes[1] - bytes[0]);
  }
}

interface LinkOptions {
  tls: boolean;
  /** So many bytes went one way or the other. */
  onPassed: (bytes: number) => void;
  onGone: () => void;
}

/** A connection through the proxy: two sockets, and what happens to what goes from one to the other. */
class Link {
  /** The first line that the client said. */
  request = '';
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #options: LinkOptions;
  readonly #flip = new ChunkFlip();
  #fate: Fate | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** What is held back while it is slow. */
  #slow: { to: Socket; from: Socket; data: Buffer }[] = [];

  constructor(near: Socket, far: Socket, options: LinkOptions) {
    this.#near = near;
    this.#far = far;
    this.#options = options;
    this.#carry(near, far);
    this.#carry(far, near);
  }

  get isFree(): boolean {
    return this.#fate === undefined;
  }

  get canCorrupt(): boolean {
    return this.#options.tls || this.#flip.possible;
  }

  suffer(fate: Fate, ms: number): void {
    if (this.#fate !== undefined) return;
    if (fate === 'cut') {
      this.cut();
      return;
    }
    this.#fate = fate;
    if (fate === 'stall') for (const socket of this.#sockets) socket.pause();
    // The client is told that the relay says no more. What it says itself still arrives.
    if (fate === 'half-close') this.#near.end();
    if (fate === 'stall' || fate === 'slow') this.#timer = setTimeout(() => this.#goOn(), ms);
  }

  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  calm(): void {
    if (this.#fate === 'half-open' || this.#fate === 'half-close') this.cut();
    else this.#goOn();
  }

  get #sockets(): Socket[] {
    return [this.#near, this.#far];
  }

  #carry(from: Socket, to: Socket): void {
    from.on('data', (data) => this.#pass(from, to, data));
    to.on('drain', () => {
      if (this.#fate !== 'stall') from.resume();
    });
    from.on('error', () => undefined);
    from.on('close', () => {
      clearTimeout(this.#timer);
      // A half-open connection is one of which the other end hears nothing, not even that.
      if (this.#fate !== 'half-open') to.destroy();
      if (to.destroyed) this.#options.onGone();
    });
  }

  #pass(from: Socket, to: Socket, data: Buffer): void {
    if (from === this.#near && this.request === '') this.request = data.toString('latin1').split('\r\n', 1)[0];
    if (this.#fate === 'half-open') return;
    if (from === this.#near && !this.#options.tls) {
      if (this.#flip.pass(data, this.#fate === 'corrupt')) this.#fate = undefined;
    } else if (this.#fate === 'corrupt' && this.#options.tls) {
      data[data.length >> 1] ^= 1;
      this.#fate = undefined;
    }
    if (this.#fate === 'slow') this.#drip(from, to, data);
    else if (to.writable && !to.write(data)) from.pause();
    this.#options.onPassed(data.length);
  }

  #drip(from: Socket, to: Socket, data: Buffer): void {
    from.pause();
    const held = { from, to, data };
    this.#slow.push(held);
    const some = (): void => {
      if (!this.#slow.includes(held) || to.destroyed) return;
      to.write(held.data.subarray(0, DRIP_BYTES));
      held.data = held.data.subarray(DRIP_BYTES);
      if (held.data.length > 0) {
        setTimeout(some, DRIP_MS);
        return;
      }
      this.#slow.splice(this.#slow.indexOf(held), 1);
      from.resume();
    };
    some();
  }

  #goOn(): void {
    clearTimeout(this.#timer);
    this.#fate = undefined;
    for (const { to, data } of this.#slow.splice(0)) if (to.writable) to.write(data);
    for (const socket of this.#sockets) socket.resume();
  }
}

const STALL_MS = 200;
/** A slow connection passes so much at once, so often: 4 KiB/s. */
const DRIP_BYTES = 205;
const DRIP_MS = 50;
