import { EventEmitter } from 'node:events';
import type { AgentSocket } from './agent-socket.ts';

/**
 * A WebSocket that is none: what comes in requests leaves it as messages, and what is sent to it waits for the answer
 * to the next request. So an agent behind a proxy that knows no WebSockets is to ingest as any other.
 */
export class HttpLinkSocket extends EventEmitter<SocketEvents> implements AgentSocket {
  readyState = OPEN;
  /** Bytes that came, as signs of life. */
  bytesRead = 0;
  readonly bytesWritten = 0;
  readonly writableLength = 0;
  /** Why it was closed. */
  closing: { code: number; reason: string } | undefined;
  #messages: string[] = [];
  #characters = 0;
  #mark: string | undefined;
  #paused = false;
  #onResumed: () => void = () => undefined;
  #onSent: () => void = () => undefined;

  /** Characters that wait for a request to take them. */
  get bufferedAmount(): number {
    return this.#characters;
  }

  /** All that was sent since the last time. */
  take(): string[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#characters = 0;
    return messages;
  }

  /** A request has come: what was pinged is answered, as all of its frames were made after the last answer. */
  requested(): void {
    this.bytesRead++;
    const mark = this.#mark;
    this.#mark = undefined;
    if (mark !== undefined) this.emit('pong', Buffer.from(mark, 'latin1'));
  }

  /** A frame has come. Resolves when the next one is wanted. */
  async receive(payload: Buffer, isBinary: boolean): Promise<void> {
    this.bytesRead += payload.length;
    if (this.readyState === OPEN) this.emit('message', payload, isBinary);
    while (this.#paused && this.readyState === OPEN) await new Promise<void>((resolve) => (this.#onResumed = resolve));
  }

  /** Resolves when there is something to take, or it is closed. */
  async sent(): Promise<void> {
    while (this.#messages.length === 0 && this.readyState === OPEN)
      await new Promise<void>((resolve) => (this.#onSent = resolve));
  }

  /** Resolves when it is closed. */
  get closed(): Promise<void> {
    if (this.readyState !== OPEN) return Promise.resolve();
    return new Promise((resolve) => this.once('close', resolve));
  }

  send(text: string): void {
    if (this.readyState !== OPEN) return;
    this.#messages.push(text);
    this.#characters += text.length;
    this.#onSent();
  }

  ping(mark: string): void {
    this.#mark = mark;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#onResumed();
  }

  close(code: number, reason: string): void {
    if (this.readyState !== OPEN) return;
    this.closing = { code, reason };
    this.terminate();
  }

  terminate(): void {
    if (this.readyState !== OPEN) return;
    this.readyState = CLOSED;
    this.#onSent();
    this.#onResumed();
    // Later, as with any socket.
    setImmediate(() => this.emit('close'));
  }
}

interface SocketEvents {
  message: [data: Buffer, isBinary: boolean];
  pong: [mark: Buffer];
  error: [error: Error];
  close: [];
}

const OPEN = 1;
const CLOSED = 3;
