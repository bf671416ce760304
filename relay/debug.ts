import type { FastifyInstance, FastifyRequest } from 'fastify';
import { getHeapSnapshot } from 'node:v8';
import type { Logger } from 'pino';
import { KerutaError } from '../shared/errors.ts';
import { collectGarbage, MAX_PROFILE_SECONDS, profileCpu, profileSeconds } from '../shared/profiling.ts';
import { DEBUG_GC, DEBUG_HEAP, DEBUG_PROFILE } from './api/openapi-operation-schemas.ts';
import './auth/http.ts';

/** What shows where time and memory go. For admins only, one at a time: each of these slows the relay down or stops it. */
export function registerDebug(app: FastifyInstance, { log }: { log: Pick<Logger, 'warn'> }): void {
  let busy = false;
  const alone = async <T>(request: FastifyRequest, work: () => Promise<T> | T): Promise<T> => {
    const { caller, url } = request;
    caller.principal.require('admin');
    if (busy) throw new KerutaError('OVERLOADED', 'Another request for debugging is under way.');
    busy = true;
    try {
      log.warn({ path: url.split('?', 1)[0], by: caller.principal.name, requestId: caller.requestId }, 'debugging');
      return await work();
    } finally {
      busy = false;
    }
  };

  app.post('/debug/gc', { schema: DEBUG_GC }, (request) => alone(request, collectGarbage));

  app.get('/debug/pprof/profile', { schema: DEBUG_PROFILE }, async (request, reply) => {
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const profile = await alone(request, () => {
      const seconds = readSeconds((request.query as Record<string, unknown>).seconds);
      return profileCpu(seconds, gone.signal);
    });
    return attachment(reply, 'keruta-relay.cpuprofile').type('application/json').send(profile);
  });

  app.get('/debug/pprof/heap', { schema: DEBUG_HEAP }, (request, reply) =>
    alone(request, async () => {
      // V8 stops everything while it takes the snapshot; it then is streamed as fast as it is taken.
      const snapshot = getHeapSnapshot();
      reply.raw.once('close', () => snapshot.destroy());
      await attachment(reply, 'keruta-relay.heapsnapshot').type('application/json').send(snapshot);
    }),
  );
}

function readSeconds(text: unknown): number {
  const seconds = profileSeconds(text);
  if (seconds !== undefined) return seconds;
  throw new KerutaError('INVALID_INPUT', `seconds is a whole number from 1 to ${MAX_PROFILE_SECONDS}.`);
}

function attachment<T extends { header(name: string, value: string): T }>(reply: T, name: string): T {
  return reply.header('content-disposition', `attachment; filename="${name}"`).header('cache-control', 'no-store');
}
