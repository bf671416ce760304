import type { BackoffLimits } from './backoff.ts';
import { ClientError } from './errors.ts';
import { searchOf, type Query } from './query.ts';
import type { OpenSocket } from './socket.ts';
import type { Token } from './token.ts';

export interface ClientOptions {
  /**
   * Where the relay is, as `http://localhost:8080`; behind a proxy with the path under which it stands there. May end
   * with `/api/v1`. Without it, where the page comes from.
   */
  url?: string | URL;
  token?: Token;
  /** Another `fetch`, for requests. */
  fetch?: typeof fetch;
  /** Another way to open a WebSocket, for tails: in Node with headers, a proxy, certificates. Gets no token: see there. */
  webSocket?: OpenSocket;
  /** Between two attempts to connect. Default 100 ms to 30 s. */
  backoff?: BackoffLimits;
  /** For its jitter, [0, 1). */
  random?: () => number;
  /** How long the WebSocket stays open when no tail needs it any more, ms. Default 2,000. */
  idleMs?: number;
  /** How long the beginning of an answer to a request is waited for, ms. Default 60,000. */
  timeoutMs?: number;
}

/** Throws a ClientError `INVALID_INPUT` for a URL that is none. */
export function createClient(options: ClientOptions = {}): Client {
  return new Client(options);
}

/** A relay, as all functions of this package take it. Opens nothing by itself. */
export class Client {
  /** Without a slash at the end. */
  readonly url: string;
  readonly options: Readonly<ClientOptions>;
  #shared: Shared | undefined;
  #closed: ClientError | undefined;

  constructor(options: ClientOptions) {
    this.options = options;
    this.url = baseOf(options.url);
  }

  /** Ends its tails, which throw a ClientError `CLOSED`. Nothing can be asked of it any more. */
  close(): void {
    this.#closed ??= new ClientError('CLOSED', 'The client was closed.');
    this.#shared?.close(this.#closed);
  }

  /** The address of what stands at a path under `/api/v1`, given as its parts. Throws a ClientError for what is no id. */
  urlOf(path: readonly string[], query: Query = {}): string {
    return `${this.url}/api/v1/${path.map(segmentOf).join('/')}${searchOf(query)}`;
  }

  /** For this package: throws if the client was closed. */
  check(): void {
    if (this.#closed !== undefined) throw this.#closed;
  }

  /** For this package: what there is one of for all tails, made by the first of them. Throws if the client was closed. */
  shared<T extends Shared>(make: () => T): T {
    this.check();
    return (this.#shared ??= make()) as T;
  }
}

export interface Shared {
  close(error: ClientError): void;
}

function baseOf(given: string | URL | undefined): string {
  const text = String(given ?? (globalThis as { location?: { origin?: string } }).location?.origin ?? '');
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const protocol = url && PROTOCOLS[url.protocol];
  if (url === undefined || protocol === undefined) {
    throw new ClientError(
      'INVALID_INPUT',
      `The relay's url is ${JSON.stringify(text)}; it must be as https://host:port.`,
    );
  }
  return `${protocol}//${url.host}${url.pathname.replace(/(\/api\/v1)?\/*$/, '')}`;
}

/** Without a name, or with dots only, it would be the address of something else. */
function segmentOf(part: string): string {
  if (/^\.{0,2}$/.test(part)) throw new ClientError('INVALID_INPUT', `${JSON.stringify(part)} is no id.`);
  return encodeURIComponent(part.toWellFormed());
}

const PROTOCOLS: Readonly<Record<string, string>> = {
  'http:': 'http:',
  'https:': 'https:',
  'ws:': 'http:',
  'wss:': 'https:',
};
