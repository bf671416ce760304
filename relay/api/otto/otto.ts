import { answerErrors } from '../answer-errors.ts';
import { describeOnly } from '../openapi.ts';
import type { PublicApi } from '../public-api.ts';
import { SseStreams } from '../sse.ts';
import { ottoError } from './errors.ts';
import { openGrpc } from './grpc/grpc.ts';
import { addHealth } from './health.ts';
import type { OttoParts } from './parts.ts';
import { PipelineProgress } from './pipeline-progress.ts';
import { openSocketIo } from './socket-io.ts';
import { addLogStreams } from './sse-logs.ts';
import { addProgressStream } from './sse-progress.ts';

/** Otto's API: what its workers send over gRPC, and logs and progress as server-sent events and over Socket.IO. */
export function openOtto(parts: OttoParts): PublicApi {
  const progress = new PipelineProgress(parts);
  const grpc = openGrpc(parts);
  const streams = new SseStreams({ limits: parts.limits });
  const socketIo = openSocketIo({ ...parts, progress });
  parts.meter.watchConnections('grpc', () => grpc.connections());
  parts.meter.watchConnections('sse', () => streams.count);
  parts.meter.watchConnections('socket.io', () => socketIo.connections());

  return {
    routes: (app) => {
      describeOnly(app);
      answerErrors(app, {
        ...parts,
        shape: (error, { id: clientId }) => ottoError(error, { clientId, now: parts.now() }),
      });
      // A log changes all the time, and is not everybody's.
      app.addHook('onRequest', (_request, reply, done) => {
        reply.header('cache-control', 'no-store');
        done();
      });
      addLogStreams(app, { ...parts, streams });
      addProgressStream(app, { ...parts, streams, progress });
      addHealth(app, parts);
    },
    mounts: [socketIo.mount],
    start: () => grpc.start(),
    stop: async () => {
      await Promise.all([grpc.stop(), streams.stop(), socketIo.stop()]);
    },
    connections: () => grpc.connections() + streams.count + socketIo.connections(),
  };
}
