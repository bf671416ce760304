import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import packageJson from '../../../../package.json' with { type: 'json' };
import { ERRORS, KerutaError } from '../../../../shared/errors.ts';
import type { Door, Visit } from '../../../auth/door.ts';
import { requestIdOf } from '../../../auth/request-id.ts';
import type { Caller } from '../../../caller.ts';
import { errorHeaders, refuse, toKerutaError, type ErrorMeter } from '../../../http-errors.ts';
import type { Limits } from '../../../limits/limits.ts';
import type { Mount } from '../../public-api.ts';
import type { Connection } from './connection.ts';

/**
 * The way in: looks at everybody who begins a session, as at those who want a WebSocket elsewhere, before engine.io
 * does. What belongs to a session that is open passes; its id is the secret that it is known by.
 */
export class Gate implements Mount {
  readonly path = '/socket.io';
  readonly #options: GateOptions;
  readonly #admissions = new WeakMap<IncomingMessage, Admission>();
  /** WebSockets that are open. */
  readonly #sockets = new Set<Socket>();
  #stopping = false;

  constructor(options: GateOptions) {
    this.#options = options;
    const { engine } = options;
    engine.on('connection', (connection: Connection) => {
      const release = this.#admissions.get(connection.request)?.release;
      if (release !== undefined) connection.once('close', release);
    });
    engine.on('connection_error', ({ req }: { req: IncomingMessage }) => this.#admissions.get(req)?.release());
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    this.#allowOrigin(request, response);
    if (request.method === 'OPTIONS') {
      response.writeHead(204).end();
      return;
    }
    const visit = this.#visitOf(request);
    this.#admit(request, visit, () => !response.destroyed).then(
      () => this.#pass(request, () => this.#options.engine.handleRequest(request, response)),
      (error: unknown) => answer(response, this.#refused(error, visit)),
    );
  }

  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    // Nobody else listens while the token is looked at.
    const broken = (): void => void socket.destroy();
    socket.on('error', broken);
    const visit = this.#visitOf(request);
    this.#admit(request, visit, () => !socket.destroyed).then(
      () => {
        socket.off('error', broken);
        this.#sockets.add(socket);
        socket.once('close', () => {
          this.#sockets.delete(socket);
          // Also if the handshake fails.
          this.#admissions.get(request)?.release();
        });
        this.#pass(request, () => this.#options.engine.handleUpgrade(request, socket, head));
      },
      (error: unknown) => {
        const { requestId } = visit;
        refuse(socket, this.#refused(error, visit), { version: packageJson.version, requestId });
      },
    );
  }

  /** Who began the session that began with this request. */
  admissionOf(request: IncomingMessage): Admission | undefined {
    return this.#admissions.get(request);
  }

  /** Lets nobody begin a session any more. */
  close(): void {
    this.#stopping = true;
  }

  /** Resolves when all WebSockets have closed; those that have not after so long are cut. */
  async emptied(patienceMs: number): Promise<void> {
    const sockets = [...this.#sockets];
    const patience = setTimeout(() => sockets.forEach((socket) => socket.destroy()), patienceMs);
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
    clearTimeout(patience);
  }

  async #admit(request: IncomingMessage, visit: Visit, isThere: () => boolean): Promise<void> {
    const query = queryOf(request);
    // A script of any page could read what is answered as one.
    if (query.has('j')) throw new KerutaError('INVALID_INPUT', 'JSONP is not served; poll without j.');
    if (query.has('sid')) return;
    const { door, limits } = this.#options;
    let caller: Caller | undefined;
    let problem: KerutaError | undefined;
    try {
      caller = await (pollsUnnamed(request) ? door.admit(request, visit) : door.admitWebSocket(request, visit));
    } catch (error) {
      // Whoever brings a wrong token here may bring a right one when it joins, and is told then.
      problem = toKerutaError(error);
      if (problem.code !== 'UNAUTHORIZED') throw error;
    }
    if (this.#stopping) throw new KerutaError('DRAINING', 'The relay is stopping.');
    if (!isThere()) throw new KerutaError('IDLE', 'The client has gone.');
    const release = limits.connect({ address: visit.address, kind: 'viewer' });
    this.#admissions.set(request, { visit, caller, problem, release });
  }

  /** What engine.io can't even read, it throws at. */
  #pass(request: IncomingMessage, handle: () => void): void {
    try {
      handle();
    } catch (error) {
      this.#admissions.get(request)?.release();
      this.#options.log.error({ err: error }, 'a request for socket.io failed');
      request.destroy();
    }
  }

  #refused(error: unknown, { requestId, address }: Visit): KerutaError {
    const shown = toKerutaError(error);
    this.#options.meter.failed(shown.code);
    this.#options.log.debug({ code: shown.code, address, requestId }, 'refused a session of socket.io');
    if (shown.code === 'INTERNAL_SERVER_ERROR') this.#options.log.error({ err: error }, 'a session could not begin');
    return shown;
  }

  #visitOf(request: IncomingMessage): Visit {
    return { address: this.#options.door.addressOf(request), requestId: requestIdOf(request.headers) };
  }

  /** Pages that may have a WebSocket may poll, too; with cookies only those that are known by name. */
  #allowOrigin(request: IncomingMessage, response: ServerResponse): void {
    const { origin, host } = request.headers;
    const { door } = this.#options;
    response.setHeader('vary', 'Origin');
    if (origin === undefined || !door.mayConnect(origin, host)) return;
    response.setHeader('access-control-allow-origin', origin);
    if (door.origins.known(origin, host)) response.setHeader('access-control-allow-credentials', 'true');
    if (request.method !== 'OPTIONS') return;
    response.setHeader('access-control-allow-methods', 'GET, POST, OPTIONS');
    response.setHeader('access-control-allow-headers', ALLOWED_HEADERS);
    response.setHeader('access-control-max-age', PREFLIGHT_SECONDS);
  }
}

export interface GateOptions {
  engine: Engine;
  door: Door;
  limits: Pick<Limits, 'connect'>;
  meter: ErrorMeter;
  log: Pick<Logger, 'debug' | 'error'>;
}

/** What is used of an engine.io server. */
export interface Engine {
  handleRequest(request: IncomingMessage, response: ServerResponse): void;
  handleUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void;
  on(event: 'connection', listener: (connection: Connection) => void): unknown;
  on(event: 'connection_error', listener: (refused: { req: IncomingMessage }) => void): unknown;
}

/** What is known of a session's client from its first request. */
export interface Admission {
  visit: Visit;
  /** Undefined: it brought no token, or a wrong one. */
  caller: Caller | undefined;
  /** What is wrong with the token that it brought. */
  problem: KerutaError | undefined;
  /** The session has ended. */
  release: () => void;
}

/**
 * Of a page of the relay's own, browsers don't say whose it is when it polls. Its cookie counts, as in any request that
 * reads: another page, whose request looks the same, learns nothing of the session.
 */
function pollsUnnamed({ headers }: IncomingMessage): boolean {
  return headers.origin === undefined && headers.upgrade === undefined;
}

function queryOf({ url = '' }: IncomingMessage): URLSearchParams {
  const query = url.indexOf('?');
  return new URLSearchParams(query === -1 ? '' : url.slice(query));
}

/** As engine.io answers errors. */
function answer(response: ServerResponse, error: KerutaError): void {
  const body = JSON.stringify({ code: error.code, message: error.message });
  response.writeHead(ERRORS[error.code].status, { ...errorHeaders(error), 'content-type': 'application/json' });
  response.end(body);
}

const ALLOWED_HEADERS = 'Content-Type, Authorization, X-API-Key, X-Request-Id';
const PREFLIGHT_SECONDS = 600;
