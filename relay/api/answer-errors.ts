import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { ERRORS, type KerutaError } from '../../shared/errors.ts';
import { errorHeaders, toKerutaError, type ErrorMeter } from '../http-errors.ts';

/** Lets the routes of `app` answer errors, those of the door and of limits too, as `shape` makes them. */
export function answerErrors(app: FastifyInstance, { meter, log, shape }: ErrorAnswers): void {
  app.setErrorHandler((error, request, reply) => {
    const shown = toKerutaError(error);
    const { status } = ERRORS[shown.code];
    meter.failed(shown.code);
    if (status >= 500) log.error({ err: error, requestId: request.id }, 'a request failed');
    return reply.code(status).headers(errorHeaders(shown)).send(shape(shown, request));
  });
}

export interface ErrorAnswers {
  meter: ErrorMeter;
  log: Pick<Logger, 'error'>;
  /** The body of the answer. */
  shape: (error: KerutaError, request: FastifyRequest) => object;
}
