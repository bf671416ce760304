import type { FastifyInstance } from 'fastify';
import { KerutaError } from '../../../shared/errors.ts';
import { sseEvent, type SseStreams } from '../sse.ts';
import { untilGone } from '../until-gone.ts';
import type { OttoParts } from './parts.ts';
import type { PipelineProgress } from './pipeline-progress.ts';
import { STREAM_PROGRESS } from './sse-schemas.ts';
import { beat, complete, serveStream } from './sse-stream.ts';
import { readUnnamed, type StreamQuery } from './stream-query.ts';

/** How far a pipeline is, as a stream of events. */
export function addProgressStream(app: FastifyInstance, parts: ProgressStreamParts): void {
  const { streams, progress, meter, log, now } = parts;
  app.get<ProgressRoute>(
    '/log-streaming/pipelines/:pipelineId/progress',
    { schema: STREAM_PROGRESS },
    async (request, reply) => {
      const { params, query, headers, caller } = request;
      const { principal } = caller;
      if (!principal.has('read')) throw new KerutaError('FORBIDDEN', 'The token does not grant read.');
      const event = readUnnamed(query) ? {} : { event: 'progress' };

      const { pipelineId } = params;
      const seen = headers['last-event-id']?.toString();
      // Clients come back when a stream has ended. This tells those who have seen the end not to.
      if (seen !== undefined && seen === (await progress.over(pipelineId, { principal, signal: untilGone(reply) })))
        return reply.code(204).send();

      const stream = streams.open(request, reply);
      const client = { stream, clientId: request.id, meter, log, now };
      await serveStream(client, async () => {
        beat(client);
        for await (const news of progress.follow(pipelineId, { principal, signal: stream.signal })) {
          const events = news.progress.map((one) => sseEvent({ ...event, data: JSON.stringify(one) }));
          await stream.write(events.join(''));
          if (news.over === undefined) continue;
          complete(client, { message: COMPLETE, id: news.over });
          return;
        }
      });
      return reply;
    },
  );
}

export interface ProgressStreamParts extends Pick<OttoParts, 'meter' | 'log' | 'now'> {
  streams: SseStreams;
  progress: PipelineProgress;
}

interface ProgressRoute {
  Params: { pipelineId: string };
  Querystring: StreamQuery;
}

/** "The pipeline is complete". */
const COMPLETE = '파이프라인이 완료되었습니다';
