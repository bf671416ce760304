import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import type { DiskGuard } from './disk.ts';
import type { Wire } from './heartbeat.ts';
import { AckQueue } from './ingest-acks.ts';
import { AgentConnection, type ConnectionServices } from './ingest-connection.ts';
import type { RunIdentity } from './ingest-run.ts';
import { StoreError, type Store, type Stored } from './store/store.ts';
import { closeWithin, type CloseReason } from './web-socket.ts';
import { WindowBudget } from './window.ts';

/** Takes in what agents send: their sockets, the newest writer of each run, and the room that they share. */
export class Ingest {
  readonly #options: IngestOptions;
  readonly #acks = new AckQueue();
  readonly #services: ConnectionServices;
  readonly #sockets = new Map<AgentConnection, WebSocket>();
  /** The connection that writes a run, by `keyOf`. */
  readonly #writers = new Map<string, { connection: AgentConnection; fence: number }>();
  #sweeper: NodeJS.Timeout | undefined;
  #draining = false;

  constructor(options: IngestOptions) {
    this.#options = options;
    const { store, log, now = Date.now, clock = () => performance.now() } = options;
    this.#services = {
      store,
      acks: this.#acks,
      budget: new WindowBudget(options.windowBytes),
      stored: (stored) => options.tail.stored(stored),
      storeFailed: (error) => this.#storeFailed(error),
      seenEveryMs: options.seenEveryMs,
      now,
      clock,
      admits: () => this.#admits(),
      onWriting: (connection, identity) => this.#writing(connection, identity),
      onClosing: (connection, why) => log.info({ task: connection.task, ...why }, 'sending an agent away'),
      onSocketError: (connection, error) =>
        log.info({ task: connection.task, err: error }, 'an agent broke the protocol'),
      onGone: (connection, identity) => this.#gone(connection, identity),
    };
  }

  start(): void {
    this.#sweeper = setInterval(() => this.sweep(), SWEEP_EVERY_MS);
    this.#sweeper.unref();
  }

  /** Agents that are connected. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Takes over the socket of an agent of `task`. */
  accept(socket: WebSocket, wire: Wire, task: string): void {
    const connection = new AgentConnection(socket, wire, { task, services: this.#services });
    this.#sockets.set(connection, socket);
    if (this.#draining) connection.close(DRAINING.code, DRAINING.message);
  }

  /** The disk's state has changed. Without room, agents keep their lines and come back. */
  diskChanged(): void {
    const refusal = this.#admits();
    if (refusal === undefined) return;
    for (const connection of this.#sockets.keys()) connection.close(refusal.code, refusal.message);
  }

  /** Reads no more, acknowledges what is under way, then sends the agents away, and whoever comes after. */
  async stop(): Promise<void> {
    this.#draining = true;
    await Promise.all(Array.from(this.#sockets.keys(), (connection) => connection.drain()));
    clearInterval(this.#sweeper);
    this.#acks.stop();
    await Promise.all(
      Array.from(this.#sockets, ([connection, socket]) => {
        connection.close(DRAINING.code, DRAINING.message);
        return closeWithin(socket, CLOSE_PATIENCE_MS, DRAINING);
      }),
    );
  }

  /** Looks at what takes too long and who still lives; public for tests, which own the clock. */
  sweep(): void {
    for (const connection of this.#sockets.keys()) connection.sweep();
  }

  #admits(): CloseReason | undefined {
    if (this.#draining) return DRAINING;
    const { room, problem } = this.#options.disk.state;
    return room ? undefined : { code: 'STORE_FULL', message: `The relay takes in nothing: ${problem ?? 'no room'}.` };
  }

  /** The newest hello wins. The store has fenced the others already; this tells them at once. */
  #writing(connection: AgentConnection, { fence, ...run }: RunIdentity): void {
    const key = keyOf(run);
    const other = this.#writers.get(key);
    if (other !== undefined && other.fence > fence) {
      connection.close(FENCED.code, FENCED.message);
      return;
    }
    this.#writers.set(key, { connection, fence });
    other?.connection.close(FENCED.code, FENCED.message);
  }

  #gone(connection: AgentConnection, identity: RunIdentity | undefined): void {
    this.#sockets.delete(connection);
    if (identity === undefined) return;
    const key = keyOf(identity);
    if (this.#writers.get(key)?.connection === connection) this.#writers.delete(key);
  }

  #storeFailed(error: unknown): CloseReason {
    const { log, disk, onFatal } = this.#options;
    if (!(error instanceof StoreError)) {
      log.error({ err: error }, 'a bug in ingest');
      return { code: 'INTERNAL_SERVER_ERROR', message: 'The relay failed; its log says more.' };
    }
    if (error.reason === 'full') {
      disk.full();
      return this.#admits() ?? { code: 'STORE_FULL', message: error.message };
    }
    if (!error.retry || (error.reason === 'closed' && !this.#draining)) onFatal(error);
    return { code: 'DATABASE_ERROR', message: error.message };
  }
}

export interface IngestOptions {
  store: Pick<Store, 'open' | 'append' | 'end' | 'seen'>;
  /** Told of each append that is durable, before it is acknowledged. */
  tail: { stored(stored: Stored): void };
  disk: Pick<DiskGuard, 'state' | 'full'>;
  /** Bytes of chunks that may be under way, over all agents. */
  windowBytes: number;
  /** How often the store is told that a quiet agent lives. */
  seenEveryMs: number;
  /** The store is beyond use. May be called more than once. */
  onFatal: (error: StoreError) => void;
  log: Logger;
  /** ms since 1970 */
  now?: () => number;
  /** monotonic ms */
  clock?: () => number;
}

function keyOf({ task, run }: { task: string; run: string }): string {
  // A run's identifier has one length, and task ids hold no control characters.
  return `${run}\n${task}`;
}

const SWEEP_EVERY_MS = 1000;
const CLOSE_PATIENCE_MS = 1000;
const DRAINING: CloseReason = { code: 'DRAINING', message: 'The relay is stopping.' };
const FENCED: CloseReason = { code: 'FENCED', message: 'Another agent has taken this run over.' };
