import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { PEER_GONE_AFTER_MS, PING_AFTER_MS } from '../shared/wire.ts';

/**
 * Finds dead peers among all WebSockets of the relay with one timer: a ping after 10 s in which no byte came, the end
 * after 30 s. Any byte is a sign of life, and so is a peer that takes what had piled up for it. Time in which we did
 * not read the socket, or stood still ourselves, does not count.
 */
export class Heartbeat {
  /** Bytes that came and went over all WebSockets, as of the last look. */
  readonly traffic = { read: 0, written: 0 };
  readonly #watched = new Set<Watched>();
  readonly #clock: () => number;
  #timer: NodeJS.Timeout | undefined;
  #lastTick: number;

  /** `clock` is monotonic, in ms. */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
    this.#lastTick = clock();
  }

  start(): void {
    this.#timer = setInterval(() => this.tick(), TICK_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Watches a WebSocket and the connection under it until it closes. */
  watch(webSocket: WebSocket, socket: Wire): void {
    const now = this.#clock();
    const watched: Watched = {
      webSocket,
      socket,
      heardAt: now,
      pingedAt: now,
      read: socket.bytesRead,
      taken: 0,
      piled: false,
      counted: { read: socket.bytesRead, written: socket.bytesWritten },
    };
    this.#watched.add(watched);
    webSocket.once('close', () => {
      this.#count(watched);
      this.#watched.delete(watched);
    });
  }

  /** One look at all; public for tests, which own the clock. */
  tick(): void {
    const now = this.#clock();
    const stoodStill = now - this.#lastTick > STOOD_STILL_MS;
    this.#lastTick = now;
    for (const watched of this.#watched) {
      this.#count(watched);
      if (stoodStill || livesStill(watched)) watched.heardAt = now;
      if (now - watched.heardAt >= PEER_GONE_AFTER_MS) watched.webSocket.terminate();
      else if (
        now - Math.max(watched.heardAt, watched.pingedAt) >= PING_AFTER_MS &&
        watched.webSocket.readyState === OPEN
      ) {
        watched.pingedAt = now;
        watched.webSocket.ping();
      }
    }
  }

  #count(watched: Watched): void {
    const { bytesRead, bytesWritten } = watched.socket;
    this.traffic.read += bytesRead - watched.counted.read;
    this.traffic.written += bytesWritten - watched.counted.written;
    watched.counted = { read: bytesRead, written: bytesWritten };
  }
}

/** Whether something happened since the last look that only a living peer (or we ourselves) can have caused. */
function livesStill(watched: Watched): boolean {
  const { socket, webSocket } = watched;
  const read = socket.bytesRead;
  const taken = socket.bytesWritten - socket.writableLength;
  const lives = read !== watched.read || webSocket.isPaused || (watched.piled && taken !== watched.taken);
  watched.read = read;
  watched.taken = taken;
  watched.piled = socket.writableLength > 0;
  return lives;
}

/** What the heartbeat looks at of a connection. */
export type Wire = Pick<Socket, 'bytesRead' | 'bytesWritten' | 'writableLength'>;

interface Watched {
  webSocket: WebSocket;
  socket: Wire;
  heardAt: number;
  pingedAt: number;
  /** As of the last look: bytes that came, bytes that the kernel took, whether more waited for it. */
  read: number;
  taken: number;
  piled: boolean;
  /** What of these was added to the traffic. */
  counted: { read: number; written: number };
}

const OPEN = 1;
const TICK_MS = 1000;
const STOOD_STILL_MS = 5000;
