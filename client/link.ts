import { backoffMs, type BackoffLimits } from './backoff.ts';
import { Connection } from './connection.ts';
import { ClientError, PASSING_CODES } from './errors.ts';
import type { LagEvent } from './events.ts';
import type { Feed } from './feed.ts';
import type { Message, Share } from './frames.ts';
import type { Closing, OpenSocket } from './socket.ts';
import { askToken, type Token } from './token.ts';

export interface LinkOptions {
  open: OpenSocket;
  token: Token | undefined;
  backoff: BackoffLimits;
  /** [0, 1) */
  random: () => number;
  /** How long a connection without feeds stays open, ms. */
  idleMs: number;
}

/**
 * The WebSocket that all feeds of a client share. It is opened for the first of them, made again when it breaks, and
 * closed some time after the last one. Each time a feed is subscribed to it gets a new name, so that what still arrives
 * under an old one is known to be late.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #feeds = new Set<Feed>();
  readonly #bySubscription = new Map<string, Feed>();
  #subscriptions = 0;
  #state: 'idle' | 'dialing' | 'up' | 'resting' = 'idle';
  #connection: Connection | undefined;
  /** Of a rest between two attempts, or of a connection without feeds. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Told apart from later ones when the token of an attempt arrives. */
  #attemptId = 0;
  /** Attempts that have failed in a row. */
  #failed = 0;
  #lostAt = 0;
  #lag: LagEvent | undefined;
  /** How long the relay asked to wait when it said that it would close. */
  #restMs: number | undefined;
  #token: string | undefined;
  /** The token that the relay did not take; another one has been asked for. */
  #rejected: string | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Brings a feed what it wants until it is over, or removed. */
  add(feed: Feed): void {
    this.#feeds.add(feed);
    feed.onDrained = () => this.#drained(feed);
    if (this.#state === 'up') {
      clearTimeout(this.#timer);
      this.#subscribe(feed);
      // What was stopped for the only feed can't be stopped for two.
      this.#connection?.resume();
    } else if (this.#state === 'idle') {
      this.#lostAt = performance.now();
      this.#dial();
    } else if (this.#lag !== undefined) {
      feed.lag(this.#lag);
    }
  }

  remove(feed: Feed): void {
    if (!this.#feeds.delete(feed)) return;
    this.#unsubscribe(feed);
    this.#connection?.resume();
    if (this.#feeds.size === 0) this.#rest();
  }

  /** Ends everything; feeds that are not over end with this error. */
  close(error: ClientError): void {
    for (const feed of this.#feeds) feed.finish({ error });
    this.#feeds.clear();
    this.#hangUp();
  }

  #dial(): void {
    this.#state = 'dialing';
    const attempt = ++this.#attemptId;
    askToken(this.#options.token, this.#rejected).then(
      (token) => {
        if (attempt === this.#attemptId) this.#connect(token);
      },
      (error: unknown) => {
        if (attempt === this.#attemptId) this.#lost({ retry: true, problem: `there is no token: ${String(error)}` });
      },
    );
  }

  #connect(token: string | undefined): void {
    this.#token = token;
    try {
      this.#connection = new Connection({
        open: this.#options.open,
        token,
        onOpen: () => this.#opened(),
        onShare: (share) => this.#take(share),
        onClosed: (closing) => this.#lost(closing),
      });
    } catch (error) {
      // As a browser does that forbids this page to connect there at all.
      this.#lost({ retry: false, code: 'UNREACHABLE', problem: String(error) });
    }
  }

  #opened(): void {
    this.#state = 'up';
    for (const feed of this.#feeds) if (!feed.full) this.#subscribe(feed);
  }

  #take(share: Share): void {
    if (share.subscription === undefined) {
      for (const message of share.messages) this.#hear(message);
      return;
    }
    const feed = this.#bySubscription.get(share.subscription);
    if (feed === undefined) return;
    const goesOn = feed.receive(share);
    if (feed.confirmed) this.#confirmed();
    if (feed.over) {
      this.#bySubscription.delete(share.subscription);
      feed.subscription = undefined;
      this.remove(feed);
    } else if (!goesOn) {
      this.#bySubscription.delete(share.subscription);
      this.#subscribe(feed);
    } else if (feed.full) {
      this.#interrupt(feed);
    }
  }

  /** What is said of the connection itself. */
  #hear(message: Message): void {
    if (message.type === 'drain') this.#restMs = message.retryAfterMs;
    if (message.type !== 'error' || PASSING_CODES.has(message.code)) return;
    const { code, message: problem, hint } = message;
    this.#connection?.fail({ retry: false, code, problem, hint });
  }

  #confirmed(): void {
    this.#lag = undefined;
    this.#rejected = undefined;
    this.#restMs = undefined;
    this.#lostAt = 0;
    // A relay that lets in some and then closes is one that should be left alone.
    if (this.#failed > 0 && [...this.#bySubscription.values()].every((feed) => feed.confirmed)) this.#failed = 0;
  }

  #subscribe(feed: Feed): void {
    const subscription = (++this.#subscriptions).toString(36);
    this.#bySubscription.set(subscription, feed);
    this.#connection?.subscribe(feed.subscribe(subscription));
  }

  #unsubscribe(feed: Feed): void {
    if (feed.subscription === undefined) return;
    this.#bySubscription.delete(feed.subscription);
    this.#connection?.unsubscribe(feed.subscription);
    feed.subscription = undefined;
  }

  /** Its reader takes nothing: if nobody else needs the socket it is not read, else this feed comes back later. */
  #interrupt(feed: Feed): void {
    if (this.#feeds.size === 1 && this.#connection?.canPause === true) {
      this.#connection.pause();
      return;
    }
    this.#unsubscribe(feed);
    feed.interrupt();
  }

  #drained(feed: Feed): void {
    if (this.#state !== 'up' || !this.#feeds.has(feed)) return;
    if (feed.subscription === undefined) this.#subscribe(feed);
    else this.#connection?.resume();
  }

  #lost(closing: Closing): void {
    this.#connection = undefined;
    this.#forgetSubscriptions();
    if (this.#feeds.size === 0) {
      this.#hangUp();
      return;
    }
    const { token, backoff, random } = this.#options;
    if (closing.code === 'UNAUTHORIZED' && typeof token === 'function' && this.#rejected === undefined) {
      // Also no token at all is one that was not taken.
      this.#rejected = this.#token ?? '';
      this.#dial();
    } else if (!closing.retry) {
      const { code = 'REFUSED', problem, hint } = closing;
      this.close(new ClientError(code, problem, { hint }));
    } else if (closing.atOnce === true) {
      this.#dial();
    } else {
      this.#failed++;
      // 0: it was there until now.
      if (this.#lostAt === 0) this.#lostAt = performance.now();
      const forMs = performance.now() - this.#lostAt;
      this.#lag = { type: 'lag', attempt: this.#failed, forMs, problem: closing.problem };
      for (const feed of this.#feeds) if (!feed.full) feed.lag(this.#lag);
      const waitMs = this.#restMs ?? closing.retryAfterMs ?? backoffMs(this.#failed, backoff, random);
      this.#restMs = undefined;
      this.#state = 'resting';
      this.#timer = setTimeout(() => this.#dial(), Math.min(waitMs, MAX_WAIT_MS));
    }
  }

  /** Nobody wants anything: an open connection waits a little for the next feed. */
  #rest(): void {
    const { idleMs } = this.#options;
    if (this.#state === 'up' && idleMs > 0) this.#timer = setTimeout(() => this.#hangUp(), idleMs);
    else this.#hangUp();
  }

  #hangUp(): void {
    this.#state = 'idle';
    this.#attemptId++;
    clearTimeout(this.#timer);
    this.#connection?.close();
    this.#connection = undefined;
    this.#forgetSubscriptions();
    this.#failed = 0;
    this.#lag = undefined;
    this.#rejected = undefined;
    this.#restMs = undefined;
  }

  #forgetSubscriptions(): void {
    for (const feed of this.#bySubscription.values()) feed.subscription = undefined;
    this.#bySubscription.clear();
  }
}

/** No relay is left alone for longer, whatever it says. */
const MAX_WAIT_MS = 5 * 60_000;
