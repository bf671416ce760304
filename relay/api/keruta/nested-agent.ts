import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { ERRORS, KerutaError } from '../../../shared/errors.ts';
import type { Caller } from '../../caller.ts';
import { toKerutaError, type ErrorMeter } from '../../http-errors.ts';
import type { Reader } from '../../reader.ts';
import { readEntry } from '../../senders/log-entry.ts';
import type { Senders } from '../../senders/senders.ts';
import { SocketLines } from '../../senders/socket-lines.ts';
import { readStatus } from '../../senders/task-status.ts';
import { FrameTurns } from './frame-turns.ts';
import { iso } from '../iso.ts';
import { requireOn } from '../permission.ts';
import { readRequest } from './subscribe.ts';

export interface NestedAgentOptions {
  caller: Caller;
  reader: Reader;
  senders: Senders;
  /** Of one frame. */
  maxMessageBytes?: number | undefined;
  /** Told of the errors that the agent is told. */
  meter?: ErrorMeter;
  /** Told of what the agent is not to blame for. */
  log?: Pick<Logger, 'error'>;
  pingEveryMs?: number;
  now?: () => number;
}

/**
 * Serves `/ws/agent`, on which keruta's Go agent speaks: envelopes `{"type","taskId",…}` with a log entry in `log`, of as
 * many tasks as it likes. It reads nothing but pings, and drops the connection without a word when it is through.
 */
export function serveNestedAgent(webSocket: WebSocket, options: NestedAgentOptions): void {
  new NestedAgent(webSocket, options).start();
}

class NestedAgent {
  readonly #webSocket: WebSocket;
  readonly #options: NestedAgentOptions;
  readonly #lines: SocketLines;
  readonly #now: () => number;
  readonly #turns: FrameTurns;
  readonly #gone = new AbortController();
  #ping: NodeJS.Timeout | undefined;

  constructor(webSocket: WebSocket, options: NestedAgentOptions) {
    this.#webSocket = webSocket;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#turns = new FrameTurns(webSocket, {
      maxBytes: options.maxMessageBytes,
      take: (frame) => this.#take(frame),
      onError: (error) => this.#sayError(error),
    });
    this.#lines = new SocketLines({
      senders: options.senders,
      gone: this.#gone.signal,
      onStored: ({ task: taskId, count, lastLine }) => this.#say({ type: 'ack', taskId, count, lastLine }),
      onFailed: (error) => this.#sayError(error),
    });
  }

  start(): void {
    const { pingEveryMs = PING_EVERY_MS } = this.#options;
    this.#ping = setInterval(() => this.#say({ type: 'ping' }), pingEveryMs);
    this.#turns.start();
    this.#webSocket.once('close', (code) => {
      this.#gone.abort();
      clearInterval(this.#ping);
      // What came before the close is still taken in.
      void this.#turns.settled().then(() => this.#lines.close(code === 1000 || code === 1005));
    });
  }

  async #take(frame: string): Promise<void> {
    const { caller, reader } = this.#options;
    const request = readRequest(frame);
    if (request.type === 'ping') this.#say({ type: 'pong' });
    if (request.type === 'pong' || request.type === 'ping') return;
    if (request.type !== 'log' && request.type !== 'status') {
      throw new KerutaError(
        'INVALID_MESSAGE_FORMAT',
        `Here is no ${request.type}; viewers connect to /ws/tasks/{taskId}.`,
      );
    }
    const { taskId: task, body } = request;
    if (task === undefined) throw new KerutaError('INVALID_MESSAGE_FORMAT', 'taskId is missing.');
    await requireOn(caller.principal, { scope: 'ingest', task, reader });
    if (request.type === 'status') await this.#lines.status(task, readStatus(body), caller);
    else await this.#lines.line(task, readEntry(body, { now: this.#now(), levelOptional: true }), caller);
  }

  #sayError(error: unknown): void {
    const shown = toKerutaError(error);
    const { code, message } = shown;
    const { retry, hint, status } = ERRORS[code];
    this.#options.meter?.failed(code);
    this.#say({ type: 'error', code, message, timestamp: iso(this.#now()), hint });
    if (!retry) {
      this.#turns.mistaken(shown);
      return;
    }
    if (status === 500) this.#options.log?.error({ err: error }, 'an agent could not be served');
    this.#turns.close(shown);
  }

  #say(message: object): void {
    if (this.#webSocket.readyState !== OPEN) return;
    // Acks count up and errors repeat themselves: who does not read them misses little, and piles up nothing.
    if (this.#webSocket.bufferedAmount < MAX_UNREAD_BYTES) this.#webSocket.send(JSON.stringify(message));
  }
}

const OPEN = 1;
const PING_EVERY_MS = 30_000;
const MAX_UNREAD_BYTES = 64 * 1024;
