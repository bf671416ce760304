import type { FastifyInstance, FastifyRequest } from 'fastify';
import { KerutaError } from '../../../shared/errors.ts';
import { readableTasks } from '../permission.ts';
import type { SseStreams } from '../sse.ts';
import type { StreamParts } from './parts.ts';
import { askedPlace, first, type Query } from './query.ts';
import { STREAM_SSE, STREAM_STATUS } from './schemas.ts';
import { serveEvents, type Begin } from './stream-events.ts';

interface StreamRoute {
  Querystring: Query;
}

export function addStreamRoutes(app: FastifyInstance, parts: StreamParts & { streams: SseStreams }): void {
  const { connections, streams, log } = parts;

  app.get('/logs/stream/status', { schema: STREAM_STATUS }, ({ caller: { principal } }) => {
    readableTasks(principal);
    // Which job runs there are is only for those who may read them.
    const shows = (job: string): boolean => principal.may('read', { task: job });
    return { status: 'active', connections: connections.report(shows) };
  });

  app.get('/logs/stream/ws', { schema: { hide: true } }, () => {
    throw new KerutaError('UPGRADE_REQUIRED', 'This is the address of a WebSocket, and the request asks for none.');
  });

  app.get<StreamRoute>('/logs/stream/sse', { schema: STREAM_SSE }, async (request, reply) => {
    const { caller, query } = request;
    // Whoever may read nothing is told so; once the stream is open, nobody is told anything but events.
    readableTasks(caller.principal);
    const begin = await findBegin(request, parts);
    const job = first(query, 'job_run_id');
    const stream = streams.open(request, reply, { task: job });
    serveEvents(stream, { job, begin, caller }, parts).catch((error: unknown) => {
      // Who is gone has ended it.
      if (stream.signal.aborted) return;
      log.error({ err: error, requestId: request.id }, 'a stream failed');
      // The client comes back to where it was.
      stream.end();
    });
  });
}

/**
 * What a client sends by itself when it comes back (`Last-Event-ID`) goes before what its address says. If that is no
 * place here any more, refusing it would end the stream of every `EventSource` for ever: it goes on from now, and is
 * told so. Rejects with a KerutaError INVALID_CURSOR for a bad `cursor`.
 */
async function findBegin({ headers, query }: FastifyRequest<StreamRoute>, { merged }: StreamParts): Promise<Begin> {
  const last = headers['last-event-id']?.toString() ?? '';
  try {
    return { from: await merged.place(last || askedPlace(query) || 'now'), elsewhere: false };
  } catch (error) {
    if (last === '' || !(error instanceof KerutaError) || error.code !== 'INVALID_CURSOR') throw error;
    return { from: await merged.place('now'), elsewhere: true };
  }
}
