import type { FastifyInstance } from 'fastify';
import { answerErrors, type ErrorAnswers } from '../answer-errors.ts';

/** Errors of these routes, those of the door and of limits too, in Stratal's words: `{"error":"…"}`. */
export function speakErrors(app: FastifyInstance, parts: Omit<ErrorAnswers, 'shape'>): void {
  answerErrors(app, { ...parts, shape: ({ message }) => ({ error: message }) });
}
