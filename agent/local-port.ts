import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { healthOf, metricsText, type RunFigures } from './local-metrics.ts';

/** Only this machine is answered. */
const HOST = '127.0.0.1';
const REQUEST_TIMEOUT_MS = 5000;
const MAX_CONNECTIONS = 16;

/**
 * A port of this machine that tells how a run is doing: /metrics and /health, and with `debug` what is behind /debug.
 * It keeps no process alive, and what goes wrong with it is said through `warn` and does not concern the script.
 */
export class LocalPort {
  readonly #server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
    (request, response) => this.#answer(request, response),
  );
  readonly #figures: () => RunFigures;
  readonly #debug: DebugRoutes | undefined;

  constructor(figures: () => RunFigures, debug?: DebugRoutes) {
    this.#figures = figures;
    this.#debug = debug;
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.unref();
  }

  /** Listens; 0 takes any port that is free. */
  listen(port: number, warn: (text: string) => void): void {
    this.#server.on('error', (error: NodeJS.ErrnoException) =>
      warn(`there is no local port: ${HOST}:${port} can't be had (${error.code ?? error.message})`),
    );
    this.#server.listen(port, HOST, () => {
      const { port: taken } = this.#server.address() as AddressInfo;
      if (port === 0) warn(`figures of this run are at http://${HOST}:${taken}/metrics`);
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '').split('?', 1)[0];
    const reads = request.method === 'GET' || request.method === 'HEAD';
    // A page in a browser of this machine must not read it under a name of its own.
    if (!isOurName(request.headers.host)) end(response, 403, 'text/plain', 'Ask 127.0.0.1 by its address.\n');
    else if (reads && path === '/metrics') {
      end(response, 200, 'text/plain; version=0.0.4; charset=utf-8', metricsText(this.#figures(), Date.now()));
    } else if (reads && path === '/health') {
      const health = healthOf(this.#figures(), Date.now());
      end(response, health.status === 'healthy' ? 200 : 503, 'application/json', `${JSON.stringify(health)}\n`);
    } else if (this.#debug?.(request, response) !== true) {
      end(response, 404, 'text/plain', 'There are /metrics and /health.\n');
    }
  }
}

/** Answers a request if it is one of its own; says whether it is. */
export type DebugRoutes = (request: IncomingMessage, response: ServerResponse) => boolean;

function isOurName(host: string | undefined): boolean {
  return host !== undefined && /^(localhost|127\.0\.0\.1)(:\d+)?$/.test(host);
}

function end(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' }).end(body);
}
