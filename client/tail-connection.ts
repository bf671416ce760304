import type { SubscribeOptions, ViewerMessage } from '../shared/viewer-messages.ts';

/**
 * Opens a WebSocket with the subprotocol VIEW_SUBPROTOCOL and reports what happens to it: `open` once, `message` for
 * each text frame, `closed` once, whatever the reason, but never before it has returned.
 */
export type TailConnect = (events: TailSocketEvents) => TailSocket;

export interface TailSocket {
  send(text: string): void;
  /** Closes, or gives up connecting. */
  close(): void;
  /** Stops and goes on reading, where that can be done (in browsers it can't). */
  pause?(): void;
  resume?(): void;
}

export interface TailSocketEvents {
  open(): void;
  message(text: string): void;
  closed(closing: Closing): void;
}

/** Why there is no connection. */
export interface Closing {
  retry: boolean;
  problem: string;
  /** How long the relay asks to wait. */
  retryAfterMs?: number;
  /** The trouble is ours: come back without waiting. */
  atOnce?: boolean;
}

/** One connection: subscribes, collects messages for whoever takes them, and notices when the relay falls silent. */
export class TailConnection {
  /** Set when it has ended by itself. */
  closing: Closing | undefined;
  readonly #socket: TailSocket;
  readonly #signal: AbortSignal | undefined;
  #watchdog: ReturnType<typeof setInterval> | undefined;
  #queue: ViewerMessage[] = [];
  #queuedCharacters = 0;
  #paused = false;
  #silentTicks = 0;
  #wake: (() => void) | undefined;
  #done = false;

  constructor(options: { connect: TailConnect; subscribe: SubscribeOptions; signal: AbortSignal | undefined }) {
    this.#signal = options.signal;
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#socket = options.connect({
      open: () => {
        if (!this.#done) this.#socket.send(JSON.stringify({ type: 'subscribe', options: options.subscribe }));
      },
      message: (text) => this.#received(text),
      closed: (closing) => this.#ended(closing),
    });
    if (!this.#done) this.#watchdog = setInterval(() => this.#tick(), TICK_MS);
  }

  /** What arrives, in groups; ends with the connection. Throws the signal's reason when that aborts. */
  async *messages(): AsyncGenerator<ViewerMessage[]> {
    for (;;) {
      this.#signal?.throwIfAborted();
      if (this.#queue.length > 0) {
        const messages = this.#queue;
        this.#queue = [];
        this.#queuedCharacters = 0;
        yield messages;
        if (this.#paused && this.#queuedCharacters === 0) this.#resume();
        continue;
      }
      if (this.#done) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  close(): void {
    if (this.#done) return;
    this.#finish();
    this.#socket.close();
  }

  readonly #onAbort = (): void => this.#wake?.();

  #received(text: string): void {
    if (this.#done) return;
    this.#silentTicks = 0;
    let messages: ViewerMessage | ViewerMessage[];
    try {
      messages = JSON.parse(text) as ViewerMessage | ViewerMessage[];
    } catch {
      this.#socket.close();
      this.#ended({ retry: true, problem: 'the relay sent a frame that is not JSON' });
      return;
    }
    if (Array.isArray(messages)) for (const message of messages) this.#queue.push(message);
    else this.#queue.push(messages);
    this.#queuedCharacters += text.length;
    if (this.#queuedCharacters > MAX_QUEUED_CHARACTERS && !this.#paused) this.#tooMuch();
    this.#wake?.();
  }

  /** Nobody takes what comes: stop reading, or where that is impossible come back for it later. */
  #tooMuch(): void {
    if (this.#socket.pause !== undefined) {
      this.#paused = true;
      this.#socket.pause();
      return;
    }
    this.#socket.close();
    this.#ended({ retry: true, atOnce: true, problem: 'the reader is slower than the log' });
  }

  #resume(): void {
    this.#paused = false;
    this.#silentTicks = 0;
    this.#socket.resume?.();
  }

  /** Counts ticks instead of time: while this program stood still, nobody could hear the relay. */
  #tick(): void {
    if (this.#paused) return;
    this.#silentTicks++;
    if (this.#silentTicks === GONE_AFTER_TICKS) {
      this.#socket.close();
      this.#ended({ retry: true, problem: `the relay has been silent for ${(GONE_AFTER_TICKS * TICK_MS) / 1000} s` });
    } else if (this.#silentTicks % PING_AFTER_TICKS === 0) {
      this.#socket.send('{"type":"ping"}');
    }
  }

  #ended(closing: Closing): void {
    if (this.#done) return;
    this.closing = closing;
    this.#finish();
  }

  #finish(): void {
    this.#done = true;
    clearInterval(this.#watchdog);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#wake?.();
  }
}

const TICK_MS = 2500;
/** 10 s of silence. */
const PING_AFTER_TICKS = 4;
/** 30 s of silence. */
const GONE_AFTER_TICKS = 12;
/** Held for a reader that is slower than the network. */
const MAX_QUEUED_CHARACTERS = 4 * 1024 * 1024;
