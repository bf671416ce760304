import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { openapiInfo } from './openapi-info.ts';
import { documentPage } from './openapi-page.ts';
import { nameSchemas, type OpenapiDocument } from './openapi-names.ts';

/**
 * Serves what the routes' schemas say as OpenAPI 3.1 at /openapi.json, and as a page at /docs. To be called, and waited
 * for, before the routes are registered; those that are hidden (`schema.hide`) are left out.
 */
export async function addOpenapi(app: FastifyInstance, { version }: { version: string }): Promise<void> {
  describeOnly(app);
  await app.register(swagger, {
    openapi: openapiInfo(version),
    convertConstToEnum: false,
  });
  let document: OpenapiDocument | undefined;
  const written = (): OpenapiDocument => (document ??= nameSchemas(app.swagger() as unknown as OpenapiDocument));
  const hidden = { schema: { hide: true } };
  app.get('/openapi.json', hidden, (_request, reply) => reply.header('cache-control', 'no-cache').send(written()));
  app.get('/docs', hidden, (_request, reply) =>
    reply.header('cache-control', 'no-cache').type('text/html; charset=utf-8').send(documentPage(written())),
  );
}

/** Schemas describe: routes read their input themselves, so that messages are ours, and write JSON as it is. */
export function describeOnly(app: FastifyInstance): void {
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
}
