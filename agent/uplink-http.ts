import { randomUUID } from 'node:crypto';
import type { Dispatcher } from 'undici';
import { encodeLinkFrame, LINK_CONTENT_TYPE } from '../shared/link-frames.ts';
import { parseRelayMessage } from '../shared/relay-message.ts';
import { PING_AFTER_MS } from '../shared/wire.ts';
import { dispatcher, readText, refusalOf } from './http-client.ts';
import type { TlsSettings } from './tls.ts';
import type { Closing, Connection, ConnectionEvents } from './uplink-connection.ts';
import { brokenConnection, refusedRequest } from './uplink-refusal.ts';

/**
 * A connection over HTTP requests, one after the other (shared/wire.ts): the first brings the hello, the others what
 * has gathered since, and each answer what the relay has to say. Any failure ends it; nothing is sent twice on it.
 */
export class UplinkHttp implements Connection {
  readonly #options: HttpOptions;
  readonly #events: ConnectionEvents;
  readonly #dispatcher: Dispatcher;
  readonly #abort = new AbortController();
  /** Of the hello: one that a proxy sends twice must not begin a second session, which would fence the first. */
  readonly #key = randomUUID();
  #session: string | undefined;
  #frames: (Buffer | string)[] = [];
  #bytes = 0;
  #busy = false;
  #timer: NodeJS.Timeout | undefined;
  #done = false;

  constructor(options: HttpOptions, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
    this.#dispatcher = dispatcher(options);
    setImmediate(() => !this.#done && events.onOpen());
  }

  get bufferedBytes(): number {
    return this.#bytes;
  }

  send(frame: Buffer | string): void {
    if (this.#done) return;
    this.#frames.push(frame);
    this.#bytes += frame.length;
    // What is sent at once goes together.
    if (!this.#busy) queueMicrotask(() => this.#pump());
  }

  close(): void {
    if (this.#done) return;
    const session = this.#session;
    this.#finish();
    // Nobody waits for the answer: the relay forgets the session by itself, too.
    const leaving =
      session === undefined
        ? Promise.resolve()
        : this.#dispatcher.request(this.#request('DELETE', session, AbortSignal.timeout(LEAVE_PATIENCE_MS)));
    void leaving.then(
      () => this.#dispatcher.destroy(),
      () => this.#dispatcher.destroy(),
    );
  }

  #pump(): void {
    if (this.#done || this.#busy) return;
    clearTimeout(this.#timer);
    this.#busy = true;
    this.#exchange().then(
      () => {
        this.#busy = false;
        if (this.#done) return;
        if (this.#frames.length > 0) this.#pump();
        // The relay has no other way to say something.
        else this.#timer = setTimeout(() => this.#pump(), this.#options.pingAfterMs ?? PING_AFTER_MS).unref();
      },
      (error: unknown) => this.#end(closingOf(this.#options.name, error as Error)),
    );
  }

  async #exchange(): Promise<void> {
    const session = this.#session;
    const body = session === undefined ? (this.#take(1)[0] as string) : this.#body();
    const type =
      session === undefined
        ? { 'content-type': 'application/json', 'idempotency-key': this.#key }
        : { 'content-type': LINK_CONTENT_TYPE };
    const request = this.#request('POST', session, this.#abort.signal);
    const answer = await this.#dispatcher.request({
      ...request,
      ...(body.length > 0 && { body, headers: { ...request.headers, ...type } }),
    });
    const text = await readText(answer.body);
    if (answer.statusCode >= 300) {
      const closing = refusedRequest(this.#options.name, refusalOf(answer, text));
      // A token that was good has expired: there may be another one, which the next session is begun with.
      throw new Refused(session !== undefined && answer.statusCode === 401 ? { ...closing, retry: true } : closing);
    }
    for (const message of this.#messages(text)) {
      if (this.#done) return;
      this.#events.onMessage(message);
    }
  }

  #request(method: 'POST' | 'DELETE', session: string | undefined, signal: AbortSignal) {
    const { url, headers, answerTimeoutMs = ANSWER_PATIENCE_MS } = this.#options;
    const { origin, pathname } = new URL(url);
    const path = session === undefined ? pathname : `${pathname}/${session}`;
    return { method, origin, path, headers, signal, headersTimeout: answerTimeoutMs, bodyTimeout: answerTimeoutMs };
  }

  /** The frames of the next request: as many as make one request, one at least. */
  #body(): Buffer {
    let bytes = 0;
    let count = 0;
    while (count < this.#frames.length && (count === 0 || bytes + this.#frames[count].length <= MAX_REQUEST_BYTES))
      bytes += this.#frames[count++].length;
    return Buffer.concat(this.#take(count).flatMap(encodeLinkFrame));
  }

  #take(count: number): (Buffer | string)[] {
    const frames = this.#frames.splice(0, count);
    for (const frame of frames) this.#bytes -= frame.length;
    return frames;
  }

  #messages(text: string) {
    try {
      const answer = JSON.parse(text) as unknown;
      if (this.#session !== undefined) return (answer as unknown[]).map(parsed);
      const { session, messages } = answer as { session: unknown; messages: unknown[] };
      if (typeof session !== 'string' || !/^[\w-]{1,64}$/.test(session)) throw new Error('it names no session');
      this.#session = session;
      return messages.map(parsed);
    } catch (error) {
      const problem = `the relay at ${this.#options.name} can't be understood: ${(error as Error).message}`;
      throw new Refused({ retry: true, problem });
    }
  }

  #end(closing: Closing): void {
    if (this.#done) return;
    this.#finish();
    void this.#dispatcher.destroy();
    this.#events.onClose(closing);
  }

  /** No more events leave from here. */
  #finish(): void {
    this.#done = true;
    this.#frames = [];
    this.#bytes = 0;
    clearTimeout(this.#timer);
    this.#abort.abort();
  }
}

export interface HttpOptions {
  /** `…/tasks/{taskId}/link` */
  url: string;
  /** The URL for messages: without what may be secret. */
  name: string;
  headers: Record<string, string>;
  tls?: TlsSettings;
  proxy?: URL;
  /** For the connection to open. */
  connectTimeoutMs: number;
  /** For the answer to a request; 30 s if absent. */
  answerTimeoutMs?: number;
  /** How long after an answer the next request goes out although there is nothing to send; PING_AFTER_MS if absent. */
  pingAfterMs?: number;
}

class Refused extends Error {
  readonly closing: Closing;
  constructor(closing: Closing) {
    super(closing.problem);
    this.closing = closing;
  }
}

function closingOf(name: string, error: Error): Closing {
  if (error instanceof Refused) return error.closing;
  // undici says "other side closed" and the like, with a code; what TLS says is in the cause, if there is one.
  return brokenConnection(name, error.cause instanceof Error ? error.cause : error);
}

function parsed(message: unknown) {
  return parseRelayMessage(JSON.stringify(message));
}

/** Of frames, but for a single one that is larger: few enough for a slow line to bring in one answer's patience. */
const MAX_REQUEST_BYTES = 1024 * 1024;
const ANSWER_PATIENCE_MS = 30_000;
const LEAVE_PATIENCE_MS = 1000;
