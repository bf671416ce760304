import type { RelayMessage } from '../shared/relay-message.ts';
import type { Backoff } from './backoff.ts';
import type { Closing, Connect, Connection } from './uplink-connection.ts';
import { Round } from './uplink-round.ts';

/** The connection to whichever relay can be had, opened again after every cut. */
export class Line {
  /** It does not try any more; `problem` says why. */
  stopped = false;
  readonly #options: LineOptions;
  readonly #round: Round;
  #open: Connect = () => {
    throw new Error('not started');
  };
  #connection: Connection | undefined;
  /** The relay of this connection has taken something. */
  #worked = false;
  /** How long it has asked to be left alone once it has closed. */
  #retryAfterMs: number | undefined;
  #problem: string | undefined;
  #outageSince: number | undefined;
  #saidOutage = false;
  #retryTimer: NodeJS.Timeout | undefined;
  #disposed = false;

  constructor(options: LineOptions) {
    const { relays, backoff, maxAttempts } = options;
    this.#options = options;
    this.#round = new Round({ relays: relays.length, backoff, maxAttempts, clock: () => performance.now() });
  }

  /** What the relay is called that is being talked to, or tried. */
  get relay(): string {
    return this.#options.relays[this.#round.relay];
  }

  /** Why there is no connection, in a sentence. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** The one that is open, or being opened; another one after each cut. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  start(connect: Connect): void {
    if (this.#disposed) return;
    this.#open = connect;
    this.#connect();
  }

  /** The relay has said that it goes on. */
  ready(): void {
    this.#problem = this.#outageSince = undefined;
    if (this.#saidOutage) this.#options.onWarning('connected to the relay again');
    this.#saidOutage = false;
  }

  /** It has taken something, or there is nothing to take. */
  worked(): void {
    this.#worked = true;
    this.#round.worked();
  }

  /** It will close, and asks to be left alone for a while then. */
  restAfter(ms: number): void {
    this.#retryAfterMs = ms;
  }

  /** The connection is of no more use. */
  fail(problem: string): void {
    this.#connection?.close();
    this.#closed({ retry: true, problem: `the relay at ${this.relay} can't be talked to: ${problem}` });
  }

  /** Closes; it is not opened again. */
  hangUp(): void {
    this.#connection?.close();
    this.#forget();
  }

  /** Closes, and connects anew after a moment. */
  redial(): void {
    this.hangUp();
    this.#retry(this.#round.again());
  }

  /** Makes no (more) attempts, and says why. */
  giveUp(problem: string): void {
    this.stopped = true;
    this.#problem = problem;
    this.#options.onWarning(`${problem}. No more attempts are made; the log waits in the spool`);
  }

  dispose(): void {
    this.#disposed = true;
    clearTimeout(this.#retryTimer);
    this.hangUp();
  }

  #connect(): void {
    const connection = this.#open(this.#round.relay, {
      onOpen: () => connection === this.#connection && this.#options.onOpen(connection),
      onMessage: (message) => connection === this.#connection && this.#options.onMessage(message),
      onClose: (closing) => connection === this.#connection && this.#closed(closing),
    });
    this.#connection = connection;
  }

  #closed(closing: Closing): void {
    const worked = this.#worked;
    const retryAfterMs = this.#retryAfterMs ?? closing.retryAfterMs;
    this.#forget();
    this.#options.onClosed();
    const waitMs = this.#round.failed({ ...closing, retryAfterMs }, { worked });
    const problem = this.#round.problem ?? closing.problem;
    if (waitMs === undefined) {
      this.giveUp(problem);
    } else {
      this.#problem = problem;
      this.#sayOutage(problem);
      this.#retry(waitMs);
    }
    this.#options.onChange();
  }

  #forget(): void {
    this.#connection = undefined;
    this.#worked = false;
    this.#retryAfterMs = undefined;
  }

  #retry(waitMs: number): void {
    this.#retryTimer = setTimeout(() => this.#connect(), waitMs).unref();
  }

  #sayOutage(problem: string): void {
    const now = performance.now();
    this.#outageSince ??= now;
    if (this.#saidOutage || now - this.#outageSince < SAY_OUTAGE_AFTER_MS) return;
    this.#saidOutage = true;
    this.#options.onWarning(`${problem}. The log is kept and sent when the relay can be reached`);
  }
}

export interface LineOptions {
  /** What the relays are called in messages, the first choice first. */
  relays: readonly string[];
  backoff: Backoff;
  /** Rounds in a row, over all relays, that may fail; without it they go on for ever. */
  maxAttempts?: number;
  onWarning: (text: string) => void;
  onOpen: (connection: Connection) => void;
  onMessage: (message: RelayMessage) => void;
  /** The connection has broken, and is not yet tried again. */
  onClosed: () => void;
  /** `problem` or `stopped` may have changed. */
  onChange: () => void;
}

/** A restart of the relay is not worth a word. */
const SAY_OUTAGE_AFTER_MS = 5000;
