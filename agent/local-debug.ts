import type { ServerResponse } from 'node:http';
import { getHeapSnapshot } from 'node:v8';
import { collectGarbage, MAX_PROFILE_SECONDS, profileCpu, profileSeconds } from '../shared/profiling.ts';
import type { DebugRoutes } from './local-port.ts';

/** /debug on the local port, as the relay has it: one request at a time. */
export function debugRoutes(): DebugRoutes {
  let busy = false;
  return (request, response) => {
    // Not as a URL: a request may ask for what is none.
    const [path, query] = (request.url ?? '').split('?', 2);
    const route = ROUTES[`${request.method ?? ''} ${path}`];
    if (route === undefined) return false;
    if (busy) {
      response.writeHead(503).end('Another request for debugging is under way.\n');
      return true;
    }
    busy = true;
    response.once('close', () => (busy = false));
    route(response, new URLSearchParams(query)).catch((error: unknown) => response.destroy(error as Error));
    return true;
  };
}

type Route = (response: ServerResponse, query: URLSearchParams) => Promise<void>;

const ROUTES: Partial<Record<string, Route>> = {
  'POST /debug/gc': (response) => {
    send(response, JSON.stringify(collectGarbage()));
    return Promise.resolve();
  },
  'GET /debug/pprof/profile': async (response, query) => {
    const seconds = profileSeconds(query.get('seconds'));
    if (seconds === undefined) {
      response.writeHead(400).end(`seconds is a whole number from 1 to ${MAX_PROFILE_SECONDS}.\n`);
      return;
    }
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    send(response, await profileCpu(seconds, gone.signal), 'keruta-agent.cpuprofile');
  },
  'GET /debug/pprof/heap': (response) => {
    response.writeHead(200, headers('keruta-agent.heapsnapshot'));
    const snapshot = getHeapSnapshot();
    response.once('close', () => snapshot.destroy());
    snapshot.pipe(response);
    return Promise.resolve();
  },
};

function send(response: ServerResponse, body: string, file?: string): void {
  response.writeHead(200, headers(file)).end(body);
}

function headers(file: string | undefined): Record<string, string> {
  const common = { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' };
  return file === undefined ? common : { ...common, 'content-disposition': `attachment; filename="${file}"` };
}
