import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ServerResponse } from 'node:http';
import { KerutaError } from '../../shared/errors.ts';
import { returnAfterMs } from '../drain.ts';
import type { Limits } from '../limits/limits.ts';

/** Streams of server-sent events (the HTML standard, section 9.2) that are open, whichever API they are of. */
export class SseStreams {
  readonly #limits: Pick<Limits, 'connect'> | undefined;
  readonly #open = new Set<SseStream>();
  #stopping = false;

  /** `limits`: absent for none. */
  constructor({ limits }: { limits?: Pick<Limits, 'connect'> } = {}) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#open.size;
  }

  /**
   * Takes the answer over and sends its headers at once; nobody else may write it from here on. Throws a KerutaError,
   * and leaves the answer alone, if there are too many connections or the relay is stopping. To HEAD it answers the
   * headers, and the stream is over.
   */
  open(request: FastifyRequest, reply: FastifyReply, { task, headers }: OpenSse = {}): SseStream {
    if (this.#stopping) throw new KerutaError('DRAINING', 'The relay is stopping.');
    const release = this.#limits?.connect({ address: request.caller.address, kind: 'viewer', task });
    const stream = new SseStream(reply.raw);
    this.#open.add(stream);
    void stream.closed.then(() => {
      this.#open.delete(stream);
      release?.();
    });
    // What the hooks before the route have set: who may read it across origins.
    const sent = reply.getHeaders() as Record<string, string | string[]>;
    reply.hijack();
    // Who speaks HTTP/1.0 learns the end by the end of the connection.
    const connection = request.raw.httpVersion === '1.0' ? 'close' : 'keep-alive';
    reply.raw.writeHead(200, { ...sent, ...HEADERS, connection, ...headers });
    reply.raw.flushHeaders();
    if (request.method === 'HEAD') stream.end();
    return stream;
  }

  /** Ends all of them, says when to come back, and resolves when they have closed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const open = [...this.#open];
    await Promise.all(
      open.map((stream) => {
        stream.end(`retry: ${returnAfterMs(open.length)}\n\n`);
        return stream.cutAfter(CLOSE_PATIENCE_MS);
      }),
    );
  }
}

export interface OpenSse {
  /** The task that it is about, if it is one: connections are limited by task, too. */
  task?: string | undefined;
  headers?: Record<string, string>;
}

/**
 * One client's stream. A client that does not read costs what one write holds: whoever writes waits until it was taken.
 * One that takes nothing for long is cut by the server.
 */
export class SseStream {
  readonly #response: ServerResponse;
  readonly #abort = new AbortController();
  readonly #closed = Promise.withResolvers<undefined>();
  #taken: PromiseWithResolvers<undefined> | undefined;
  #idle: NodeJS.Timeout | undefined;
  #awaitSilence: () => void = () => undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.on('drain', () => this.#release());
    response.once('close', () => this.#close());
    // The connection broke while something was written. That it closes says all there is to say.
    response.on('error', () => undefined);
    // Nobody would say so again.
    if (response.destroyed) this.#close();
  }

  /** Resolves when the connection is through with it. */
  get closed(): Promise<undefined> {
    return this.#closed.promise;
  }

  /** Aborts when the client has gone, or the stream was ended. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Whether the client has not taken what was written. */
  get full(): boolean {
    return this.#response.writableNeedDrain;
  }

  /** Writes events, and resolves when the client has taken them. What comes after the end goes nowhere. */
  async write(events: Buffer | string): Promise<void> {
    if (this.signal.aborted) return;
    this.#awaitSilence();
    if (this.#response.write(events)) return;
    this.#taken ??= Promise.withResolvers();
    await this.#taken.promise;
  }

  /** Says what `make` answers whenever nothing was written for `everyMs`. Not to a client that has not taken what was. */
  onIdle(everyMs: number, make: () => string): void {
    this.#awaitSilence = () => {
      clearTimeout(this.#idle);
      if (this.signal.aborted) return;
      this.#idle = setTimeout(() => {
        if (!this.full) this.#response.write(make());
        this.#awaitSilence();
      }, everyMs);
    };
    this.#awaitSilence();
  }

  /** Ends the stream, behind a last text if one is given. */
  end(text?: string): void {
    if (this.signal.aborted) return;
    this.#response.end(text);
    this.#release();
    clearTimeout(this.#idle);
    this.#abort.abort(new KerutaError('DRAINING', 'The stream was ended.'));
  }

  /** Resolves as `closed` does; a connection whose client does not take the rest in time is cut. */
  async cutAfter(patienceMs: number): Promise<void> {
    const cut = setTimeout(() => this.#response.destroy(), patienceMs);
    await this.closed;
    clearTimeout(cut);
  }

  #close(): void {
    clearTimeout(this.#idle);
    this.#release();
    this.#closed.resolve(undefined);
    this.#abort.abort(new KerutaError('IDLE', 'The client has gone.'));
  }

  #release(): void {
    this.#taken?.resolve(undefined);
    this.#taken = undefined;
  }
}

/** One event as it goes over the wire. `data` may have several lines; `event` and `id` may not. */
export function sseEvent({ event, data, id }: SseEvent): string {
  const lines = data.split(/\r\n|\n|\r/).map((line) => `data: ${line}\n`);
  return `${event === undefined ? '' : `event: ${event}\n`}${lines.join('')}${id === undefined ? '' : `id: ${id}\n`}\n`;
}

export interface SseEvent {
  event?: string;
  data: string;
  id?: string;
}

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache',
  // Proxies that gather answers would hold back what is to be seen now.
  'x-accel-buffering': 'no',
};
/** For clients that do not take the rest of what was written. */
const CLOSE_PATIENCE_MS = 1000;
