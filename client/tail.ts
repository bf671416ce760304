import { ERRORS, type ErrorCode } from '../shared/errors.ts';
import type {
  EndMessage,
  GapMessage,
  LogMessage,
  SubscribedMessage,
  SubscribeOptions,
  ViewerMessage,
} from '../shared/viewer-messages.ts';
import { TailConnection, type TailConnect } from './tail-connection.ts';

/** What a tail brings: the relay's own messages, and what it has to say itself. */
export type TailEvent = LogMessage | GapMessage | EndMessage | SubscribedMessage | LagEvent | ResetEvent;

/** There is no connection; it is being tried again, from where it broke. */
export interface LagEvent {
  type: 'lag';
  /** Attempts that have failed, 1 or more. */
  attempt: number;
  /** ms since the connection was lost, or first tried. */
  forMs: number;
  problem: string;
}

/** The relay's store was replaced; the tail goes on from the next line number, which may not mean the next line. */
export interface ResetEvent {
  type: 'reset';
  message: string;
}

export interface TailOptions extends Omit<SubscribeOptions, 'batch'> {
  /** Opens a WebSocket to the task; called again whenever one has broken. */
  connect: TailConnect;
  signal?: AbortSignal;
  /** Between two attempts: anything below a ceiling that doubles from `minMs` to `maxMs` (full jitter). */
  backoff?: { minMs: number; maxMs: number };
  /** For the jitter: [0, 1). */
  random?: () => number;
}

/** A newer relay may have codes that are not here. */
const ERRORS_BY_CODE = new Map<string, { retry: boolean; hint: string }>(Object.entries(ERRORS));

/** The relay refuses, and will again. */
export class TailError extends Error {
  readonly code: ErrorCode | undefined;
  readonly hint: string | undefined;
  constructor(message: string, code?: ErrorCode) {
    super(message);
    this.name = 'TailError';
    this.code = code;
    this.hint = code && ERRORS_BY_CODE.get(code)?.hint;
  }
}

/**
 * Follows a task: every line that matches once and in order, across any number of connections; events come in groups,
 * as they arrived. Goes on after `end`, which another run may follow; leave the loop to stop. With `realtime: false` it
 * ends at the head. Throws a TailError when trying again is in vain, and the signal's reason when that aborts.
 */
export async function* tail(options: TailOptions): AsyncGenerator<TailEvent[], void, undefined> {
  const { connect, signal, random = Math.random, backoff = BACKOFF } = options;
  const place = new Place(options);
  let attempt = 0;
  let lostAt = performance.now();
  for (;;) {
    signal?.throwIfAborted();
    const connection = new TailConnection({ connect, subscribe: place.subscribe(), signal });
    let resumed = false;
    let subscribed = false;
    let restMs: number | undefined;
    try {
      for await (const messages of connection.messages()) {
        const events: TailEvent[] = [];
        for (const message of messages) {
          if (message.type === 'subscribed') {
            attempt = 0;
            subscribed = true;
          }
          if (message.type === 'unsubscribed') {
            if (events.length > 0) yield events;
            return;
          }
          if (message.type === 'error' && !(ERRORS_BY_CODE.get(message.code)?.retry ?? false)) {
            const reset = place.reset(message.code, message.message);
            events.push(reset);
            resumed = true;
            break;
          }
          if (message.type === 'drain') restMs = message.retryAfterMs;
          const event = place.pass(message);
          if (event !== undefined) events.push(event);
        }
        if (events.length > 0) yield events;
        if (resumed) break;
      }
    } finally {
      connection.close();
    }
    signal?.throwIfAborted();
    const { closing } = connection;
    if (resumed || closing === undefined) continue;
    if (!closing.retry) throw new TailError(closing.problem);
    if (closing.atOnce === true) continue;
    if (subscribed) lostAt = performance.now();
    attempt++;
    yield [{ type: 'lag', attempt, forMs: performance.now() - lostAt, problem: closing.problem }];
    const waitMs = random() * Math.min(backoff.maxMs, backoff.minMs * 2 ** Math.min(attempt - 1, 30));
    await sleep(Math.min(restMs ?? closing.retryAfterMs ?? waitMs, MAX_WAIT_MS), signal);
  }
}

/** Where the tail is: what to ask for when it connects, so that nothing comes twice and nothing is left out. */
class Place {
  readonly #options: SubscribeOptions;
  #start: Pick<SubscribeOptions, 'from' | 'after' | 'tail'>;
  #nextLine: number | undefined;
  #end = '';

  constructor({ connect: _connect, signal: _signal, backoff: _backoff, random: _random, ...options }: TailOptions) {
    const { from, after, tail: lines, ...rest } = options;
    this.#options = { ...rest, batch: true };
    this.#start = { from, after, tail: lines };
  }

  subscribe(): SubscribeOptions {
    return { ...this.#options, ...this.#start };
  }

  /** Notes what came; the event for it, if it is news. */
  pass(message: ViewerMessage): TailEvent | undefined {
    switch (message.type) {
      case 'log':
        this.#start = { after: message.id };
        this.#nextLine = message.lineNumber + 1;
        return message;
      case 'gap':
        this.#start = { from: message.cursor };
        this.#nextLine = message.toLine + 1;
        return message;
      case 'subscribed':
        this.#start = { from: message.cursor };
        return message;
      case 'ping':
        if (message.cursor !== undefined) this.#start = { from: message.cursor };
        return undefined;
      case 'end': {
        // After a reconnect it is said again.
        const end = `${message.cursor} ${message.runs}`;
        if (end === this.#end) return undefined;
        this.#end = end;
        return message;
      }
      default:
        return undefined;
    }
  }

  /** After an error: where to go on if the store was replaced under us. Throws a TailError for all else. */
  reset(code: ErrorCode, message: string): ResetEvent {
    if (code !== 'INVALID_CURSOR' || this.#nextLine === undefined) throw new TailError(message, code);
    this.#start = { from: this.#nextLine };
    return { type: 'reset', message };
  }
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** No relay is left alone for longer, whatever it says. */
const MAX_WAIT_MS = 5 * 60_000;
const BACKOFF = { minMs: 100, maxMs: 30_000 };
