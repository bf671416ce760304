import type { Logger } from 'pino';
import type { ErrorCode } from '../shared/errors.ts';
import type { AgentSocket } from './agent-socket.ts';
import type { Caller } from './caller.ts';
import type { DiskGuard } from './disk.ts';
import { returnAfterMs } from './drain.ts';
import type { Wire } from './heartbeat.ts';
import { AckQueue } from './ingest-acks.ts';
import { AgentConnection, type ConnectionServices } from './ingest-connection.ts';
import type { RunIdentity } from './ingest-run.ts';
import type { Limits } from './limits/limits.ts';
import { StoreError, type Store, type Stored } from './store/store.ts';
import { closeWithin, type CloseReason } from './web-socket.ts';
import { WindowBudget } from './window.ts';

/** Takes in what agents send: their sockets, the newest writer of each run, and the room that they share. */
export class Ingest {
  readonly #options: IngestOptions;
  readonly #acks = new AckQueue();
  readonly #budget: WindowBudget;
  readonly #services: ConnectionServices;
  readonly #sockets = new Map<AgentConnection, AgentSocket>();
  /** The connection that writes a run, by `keyOf`. */
  readonly #writers = new Map<string, { connection: AgentConnection; fence: number }>();
  #sweeper: NodeJS.Timeout | undefined;
  #draining = false;

  constructor(options: IngestOptions) {
    this.#options = options;
    const { store, log, limits, meter, now = Date.now, clock = () => performance.now() } = options;
    this.#budget = new WindowBudget(options.windowBytes);
    this.#services = {
      store,
      acks: this.#acks,
      budget: this.#budget,
      limits,
      stored: (stored) => options.tail.stored(stored),
      onAppended: (ms) => meter?.appended(ms),
      onResumed: () => meter?.resumed(),
      onUnverified: ({ task, run }) => {
        log.error({ task, run }, 'a run ended with other lines here than its agent has sent');
        options.onUnverified?.({ task, run });
      },
      storeFailed: (error) => this.#storeFailed(error),
      seenEveryMs: options.seenEveryMs,
      now,
      clock,
      admits: () => this.#admits(),
      onWriting: (connection, identity) => this.#writing(connection, identity),
      onClosing: (connection, why) => {
        meter?.sentAway(why.code);
        const { task, requestId } = connection;
        log.info({ task, requestId, ...why }, 'sending an agent away');
      },
      onSocketError: ({ task, requestId }, error) =>
        log.info({ task, requestId, err: error }, 'an agent broke the protocol'),
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

  /** Runs that are being written. */
  get runs(): number {
    return this.#writers.size;
  }

  /** Bytes that came and are not yet stored. */
  get pendingBytes(): number {
    return this.#budget.used;
  }

  /** Takes over the socket of an agent of `task`. */
  accept(socket: AgentSocket, wire: Wire, task: string, caller: Caller): AgentConnection {
    const connection = new AgentConnection(socket, wire, { task, caller, services: this.#services });
    this.#sockets.set(connection, socket);
    if (this.#draining) this.#sendAway(connection);
    return connection;
  }

  /** Asks the agents of a task to stop, since somebody has cancelled it. */
  cancel(task: string, reason: string): void {
    for (const connection of this.#sockets.keys()) if (connection.task === task) connection.cancel(reason);
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
        this.#sendAway(connection);
        return closeWithin(socket, CLOSE_PATIENCE_MS, DRAINING);
      }),
    );
  }

  /** Looks at what takes too long and who still lives; public for tests, which own the clock. */
  sweep(): void {
    for (const connection of this.#sockets.keys()) connection.sweep();
  }

  #sendAway(connection: AgentConnection): void {
    const { random } = this.#options;
    connection.close(DRAINING.code, DRAINING.message, { retryAfterMs: returnAfterMs(this.#sockets.size, random) });
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
  store: Pick<Store, 'open' | 'append' | 'end' | 'seen' | 'task'>;
  /** Told of each append that is durable, before it is acknowledged. */
  tail: { stored(stored: Stored): void };
  disk: Pick<DiskGuard, 'state' | 'full'>;
  limits: Pick<Limits, 'lines' | 'task' | 'run'>;
  /** Told of what happens, to be counted. */
  meter?: IngestMeter;
  /** Bytes of chunks that may be under way, over all agents. */
  windowBytes: number;
  /** How often the store is told that a quiet agent lives. */
  seenEveryMs: number;
  /** A run has ended with other lines in the store than its agent has sent. */
  onUnverified?: (run: { task: string; run: string }) => void;
  /** The store is beyond use. May be called more than once. */
  onFatal: (error: StoreError) => void;
  log: Logger;
  /** ms since 1970 */
  now?: () => number;
  /** monotonic ms */
  clock?: () => number;
  /** [0, 1): for when whom we send away shall come back. */
  random?: () => number;
}

export interface IngestMeter {
  /** An append took so many ms to be durable. */
  appended(ms: number): void;
  /** An agent has come back. */
  resumed(): void;
  sentAway(code: ErrorCode): void;
}

function keyOf({ task, run }: { task: string; run: string }): string {
  // A run's identifier has one length, and task ids hold no control characters.
  return `${run}\n${task}`;
}

const SWEEP_EVERY_MS = 1000;
const CLOSE_PATIENCE_MS = 1000;
const DRAINING: CloseReason = { code: 'DRAINING', message: 'The relay is stopping.' };
const FENCED: CloseReason = { code: 'FENCED', message: 'Another agent has taken this run over.' };
