import type { FastifyInstance } from 'fastify';
import type { PublicApi } from '../public-api.ts';
import { describeOnly } from '../openapi.ts';
import { SseStreams } from '../sse.ts';
import { Connections } from './connections.ts';
import { speakErrors } from './errors.ts';
import type { StratalParts } from './parts.ts';
import { addDownloadRoutes } from './routes-download.ts';
import { addLogRoutes } from './routes-logs.ts';
import { addStreamRoutes } from './routes-stream.ts';
import { serveStream } from './stream-socket.ts';

/** Stratal's API: its streams, pages and downloads of job runs (groups of tasks) and task runs (tasks). */
export function openStratal(parts: StratalParts): PublicApi {
  const connections = new Connections();
  const streams = new SseStreams(parts.limits && { limits: parts.limits });
  const streaming = { ...parts, connections };
  return {
    routes: (app) => {
      describeOnly(app);
      speakErrors(app, parts);
      answerOptions(app);
      // A log changes all the time, and is not everybody's.
      app.addHook('onRequest', (_request, reply, done) => {
        reply.header('cache-control', 'no-store');
        done();
      });
      addStreamRoutes(app, { ...streaming, streams });
      addLogRoutes(app, parts);
      addDownloadRoutes(app, parts);
    },
    sockets: [{ path: '/api/v1/logs/stream/ws', serve: (socket, visitor) => serveStream(socket, visitor, streaming) }],
    stop: () => streams.stop(),
    connections: () => streams.count,
  };
}

/** Stratal's clients want 200. Which pages may ask is what the relay's origins say. */
function answerOptions(app: FastifyInstance): void {
  const config = { cors: { optionsSuccessStatus: 200, strictPreflight: false } };
  app.options('/logs/*', { schema: { hide: true }, config }, (_request, reply) => reply.send());
}
