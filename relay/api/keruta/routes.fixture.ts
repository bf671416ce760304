import type { TestContext } from 'node:test';
import fastify, { type FastifyInstance } from 'fastify';
import '../../auth/http.ts';
import { ANYBODY, type Principal } from '../../auth/principal.ts';
import { errorBody, toKerutaError } from '../../http-errors.ts';
import { openReading, type Reading } from '../../reading.fixture.ts';
import { registerKerutaRoutes } from './routes.ts';

/** The read API over a real store, asked by anybody or by who is given; both are gone after the test. */
export async function openRoutes(t: TestContext, { principal = ANYBODY }: Asking = {}): Promise<Routes> {
  const reading = await openReading(t);
  const app = routesOver(reading, principal);
  t.after(() => app.close());
  return { reading, app };
}

/** The same over a store that is there; whoever asks for it closes it. */
export function routesOver(reading: Reading, principal: Principal = ANYBODY): FastifyInstance {
  const app = fastify() as unknown as FastifyInstance;
  app.decorateRequest('caller');
  app.addHook('onRequest', (request, _reply, done) => {
    request.caller = { principal, address: '127.0.0.1', requestId: request.id };
    done();
  });
  app.setErrorHandler((error, request, reply) => {
    const shown = errorBody(toKerutaError(error), { version: '0', requestId: request.id });
    return reply.code(shown.error.status).send(shown);
  });
  registerKerutaRoutes(app, reading);
  return app;
}

interface Asking {
  principal?: Principal;
}

export interface Routes {
  reading: Reading;
  app: FastifyInstance;
}
