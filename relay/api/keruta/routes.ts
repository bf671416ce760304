import type { FastifyInstance } from 'fastify';
import { describeOnly } from '../openapi.ts';
import { addExportRoutes } from './routes-export.ts';
import { addLogRoutes } from './routes-logs.ts';
import { addPipelineRoutes } from './routes-pipelines.ts';
import type { RouteParts } from './routes-request.ts';
import { addTaskRoutes } from './routes-tasks.ts';
import { addWhoamiRoute } from './routes-whoami.ts';

/** Registers what the keruta API reads with, under the prefix that `app` has. Requests have a `caller`. */
export function registerKerutaRoutes(app: FastifyInstance, parts: RouteParts): void {
  describeOnly(app);
  // A log changes all the time, and is not everybody's.
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store');
    done();
  });
  addTaskRoutes(app, parts);
  addPipelineRoutes(app, parts);
  addLogRoutes(app, parts);
  addExportRoutes(app, parts);
  addWhoamiRoute(app);
}
