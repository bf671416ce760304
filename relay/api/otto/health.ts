import type { FastifyInstance } from 'fastify';
import type { OttoParts } from './parts.ts';
import { OTTO_HEALTH } from './sse-schemas.ts';

/** How the relay is, and how many are connected over all transports. */
export function addHealth(app: FastifyInstance, { health, connections }: HealthParts): void {
  app.get('/log-streaming/health', { schema: OTTO_HEALTH }, async (_request, reply) => {
    const { status, timestamp } = await health.report();
    return reply.code(status === 'healthy' ? 200 : 503).send({ status, timestamp, activeConnections: connections() });
  });
}

export type HealthParts = Pick<OttoParts, 'health' | 'connections'>;
