import type { WebSocket } from 'ws';
import { talk } from '../readers/socket.ts';
import { Hopeless, Sender, type SenderOptions } from './sender.ts';

export interface SocketSenderOptions extends SenderOptions {
  /** keruta's nested envelopes on `/ws/agent`, instead of flat messages on the task's own address. */
  nested: boolean;
}

/**
 * Says a JSON message a line over a WebSocket. Its acks count the lines of one socket; what was not acknowledged when it
 * broke is said again on the next one, so it may be stored twice.
 */
export class SocketSender extends Sender {
  readonly #nested: boolean;

  constructor({ nested, ...options }: SocketSenderOptions) {
    super(options);
    this.#nested = nested;
  }

  protected override async session(signal: AbortSignal): Promise<void> {
    const from = this.acknowledged;
    let said = from;
    const over = new AbortController();
    const end = (): void => over.abort();
    signal.addEventListener('abort', end);
    const talking = talk(this.entrance, {
      ...(this.#nested
        ? { path: '/ws/agent' }
        : { path: `/ws/tasks/${encodeURIComponent(this.task)}`, protocol: 'keruta.view.v1' }),
      scope: 'ingest',
      signal: over.signal,
      opened: (socket) => void this.#sayAll(socket, { from: () => said++, signal: over.signal }).finally(end),
      message: (text) => {
        const message = JSON.parse(text) as { type: string; count: number; code: string; message: string };
        if (message.type === 'ack') this.acknowledge(from + message.count);
        if (message.type === 'error' && !RETRYABLE.has(message.code))
          throw new Hopeless(`${message.code}: ${message.message}`);
      },
    });
    try {
      await talking;
    } finally {
      over.abort();
      signal.removeEventListener('abort', end);
      this.doubt(this.acknowledged, said);
    }
  }

  /** Says lines as they come, until all are acknowledged or `signal` aborts. */
  async #sayAll(socket: WebSocket, { from, signal }: { from: () => number; signal: AbortSignal }): Promise<void> {
    let next = this.acknowledged;
    while (!this.done && !signal.aborted) {
      for (; next < this.sent.count; next++) socket.send(this.#message(from()));
      await this.news(signal);
    }
    if (signal.aborted) return;
    const status = { type: 'status', status: 'COMPLETED' };
    socket.send(JSON.stringify(this.#nested ? { ...status, taskId: this.task } : status));
  }

  #message(index: number): string {
    const entry = { level: 'INFO', source: 'stdout', message: this.text(index) };
    return JSON.stringify(this.#nested ? { type: 'log', taskId: this.task, log: entry } : { type: 'log', ...entry });
  }
}

/** The relay closes the connection behind them. */
const RETRYABLE = new Set(['DRAINING', 'STORE_FULL', 'OVERLOADED', 'DATABASE_ERROR', 'RATE_LIMIT_EXCEEDED']);
