import type { FastifyInstance } from 'fastify';
import { METRICS } from '../api/openapi-operation-schemas.ts';
import '../auth/http.ts';
import type { Metrics } from './metrics.ts';

/** `GET /metrics`. Metrics are about all tasks, so it takes permission to read all; unless it is open to everybody. */
export function registerMetrics(app: FastifyInstance, { metrics, open }: { metrics: Metrics; open: boolean }): void {
  app.get('/metrics', { schema: METRICS }, async (request, reply) => {
    if (!open) request.caller.principal.require('read');
    return reply.type(metrics.contentType).send(await metrics.text());
  });
}
