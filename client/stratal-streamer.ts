import type { Client } from './client.ts';
import type { MergedEvent } from './events.ts';
import { stratalMessage, type LogMessage } from './stratal-message.ts';
import { tailGroups, type TailTarget } from './tail.ts';

export interface LogStreamOptions {
  onMessage?: (message: LogMessage) => void;
  /** The relay has answered; also when the connection was made again. */
  onConnect?: () => void;
  /** The connection is gone; also by `disconnect`. */
  onDisconnect?: () => void;
  onError?: (error: Error) => void;
  /** Whether to connect again when the connection breaks, without a gap. Default true. */
  autoReconnect?: boolean;
  /** After how many attempts in a row that fail to give up. Default 5. */
  maxReconnectAttempts?: number;
}

export interface LogStreamer {
  /** Streams what comes from now on; again after `disconnect`, from where it was. Does nothing while it streams. */
  connect(): void;
  disconnect(): void;
  isConnected(): boolean;
}

/** A stream with callbacks, over a tail. */
export class TailStreamer implements LogStreamer {
  readonly #client: Client;
  readonly #target: TailTarget;
  readonly #options: LogStreamOptions;
  #place: { from?: string; after?: string } = { from: 'now' };
  #connected = false;
  #running: AbortController | undefined;

  constructor(client: Client, target: Exclude<TailTarget, { task: string }>, options: LogStreamOptions) {
    this.#client = client;
    this.#target = target;
    this.#options = options;
  }

  connect(): void {
    if (this.#running !== undefined) return;
    const running = new AbortController();
    this.#running = running;
    this.#run(running.signal).then(
      () => this.#ended(running),
      (error: unknown) => {
        if (running.signal.aborted) return;
        this.#ended(running);
        this.#options.onError?.(error as Error);
      },
    );
  }

  disconnect(): void {
    this.#running?.abort();
    this.#running = undefined;
    this.#lost();
  }

  isConnected(): boolean {
    return this.#connected;
  }

  /** Resolves when it has given up. */
  async #run(signal: AbortSignal): Promise<void> {
    const { autoReconnect = true, maxReconnectAttempts = 5 } = this.#options;
    for await (const events of tailGroups(this.#client, this.#target, { ...this.#place, signal })) {
      for (const event of events as MergedEvent[]) {
        // A callback may have ended it.
        if (signal.aborted) return;
        this.#take(event);
        if (event.type === 'lag' && (!autoReconnect || event.attempt > maxReconnectAttempts)) return;
      }
    }
  }

  #take(event: MergedEvent): void {
    if (event.type === 'lag') {
      this.#lost();
      this.#options.onError?.(new Error(event.problem));
      return;
    }
    if (event.type === 'log') this.#place = { after: event.id };
    else if (event.type !== 'reset') this.#place = { from: event.cursor };
    if (event.type === 'subscribed' && !this.#connected) {
      this.#connected = true;
      this.#call(() => this.#options.onConnect?.());
    }
    const message = stratalMessage(event, Date.now());
    if (message !== undefined) this.#call(() => this.#options.onMessage?.(message));
  }

  /** A callback that throws is no reason to lose the other messages. */
  #call(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      const { onError } = this.#options;
      if (onError !== undefined) onError(error as Error);
      else {
        // Whoever is told of errors that nobody catches is told of this one.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  #ended(running: AbortController): void {
    if (this.#running !== running) return;
    this.#running = undefined;
    this.#lost();
  }

  #lost(): void {
    if (!this.#connected) return;
    this.#connected = false;
    this.#call(() => this.#options.onDisconnect?.());
  }
}
