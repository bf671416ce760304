import type { Caller } from '../caller.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False: its requests do not count towards those that a client may make. */
    counted?: boolean;
  }
  interface FastifyRequest {
    /** Who asks: on all routes that want credentials. */
    caller: Caller;
  }
}
