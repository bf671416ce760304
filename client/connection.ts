import type { SubscribeMessage } from '../shared/viewer-messages.ts';
import { Frames, type Share } from './frames.ts';
import type { ClientSocket, Closing, OpenSocket } from './socket.ts';

export interface ConnectionOptions {
  open: OpenSocket;
  /** Said first, if there is one. */
  token: string | undefined;
  onOpen(): void;
  onShare(share: Share): void;
  /** Once, unless it is closed from here. */
  onClosed(closing: Closing): void;
}

/** One connection: says what it is told to, sorts what comes, and notices when the relay falls silent. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: ClientSocket;
  readonly #frames = new Frames();
  #watchdog: ReturnType<typeof setInterval> | undefined;
  #silentTicks = 0;
  #paused = false;
  #done = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#socket = options.open({
      open: () => this.#opened(),
      message: (frame) => this.#received(frame),
      closed: (closing) => this.#end(closing),
    });
    // It may have been closed meanwhile by whoever opened it.
    this.#watchdog = setInterval(() => this.#tick(), TICK_MS);
  }

  subscribe(message: SubscribeMessage): void {
    this.#say(message);
  }

  unsubscribe(subscription: string): void {
    this.#say({ type: 'unsubscribe', subscription });
  }

  get canPause(): boolean {
    return this.#socket.pause !== undefined;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Reads nothing until `resume`. */
  pause(): void {
    this.#paused = true;
    this.#socket.pause?.();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#silentTicks = 0;
    this.#socket.resume?.();
  }

  /** Closes it. Nothing is reported from here on. */
  close(): void {
    if (this.#done) return;
    this.#finish();
    this.#socket.close();
  }

  /** Closes it and reports why. */
  fail(closing: Closing): void {
    if (this.#done) return;
    this.#socket.close();
    this.#end(closing);
  }

  #say(message: object): void {
    this.#socket.send(JSON.stringify(message));
  }

  #opened(): void {
    if (this.#done) return;
    const { token } = this.#options;
    if (token !== undefined) this.#say({ type: 'auth', token });
    this.#options.onOpen();
  }

  #received(frame: string): void {
    if (this.#done) return;
    this.#silentTicks = 0;
    const shares = this.#frames.read(frame);
    if (shares === undefined) {
      this.fail({ retry: true, code: 'INVALID_ANSWER', problem: 'the relay sent a frame that is no message' });
      return;
    }
    for (const share of shares) {
      // What one of them brings may end the connection.
      if (!this.#isDone()) this.#options.onShare(share);
    }
  }

  /** Counts ticks instead of time: while this program stood still, nobody could hear the relay. */
  #tick(): void {
    if (this.#paused) return;
    this.#silentTicks++;
    if (this.#silentTicks === GONE_AFTER_TICKS) {
      const problem = `the relay has been silent for ${(GONE_AFTER_TICKS * TICK_MS) / 1000} s`;
      this.fail({ retry: true, code: 'UNREACHABLE', problem });
    } else if (this.#silentTicks % PING_AFTER_TICKS === 0) {
      this.#say({ type: 'ping' });
    }
  }

  #isDone(): boolean {
    return this.#done;
  }

  #end(closing: Closing): void {
    if (this.#done) return;
    this.#finish();
    this.#options.onClosed(closing);
  }

  #finish(): void {
    this.#done = true;
    clearInterval(this.#watchdog);
  }
}

const TICK_MS = 2500;
/** 10 s of silence. */
const PING_AFTER_TICKS = 4;
/** 30 s of silence. */
const GONE_AFTER_TICKS = 12;
