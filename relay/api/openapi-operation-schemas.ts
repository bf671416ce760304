import { COUNT, guardedErrors, jsonAnswer, NUMBER, objectOf, textAnswer } from './openapi-schemas.ts';

export const METRICS = {
  tags: ['operation'],
  summary: 'Metrics for Prometheus',
  description: 'Wants the scope read on all tasks, unless the relay shows its metrics to everybody.',
  response: { 200: textAnswer('In the text format of Prometheus', ['text/plain']), ...guardedErrors() },
};

export const DEBUG_GC = {
  tags: ['operation'],
  summary: 'Collects garbage now',
  description: 'Stops the relay for a moment. Wants the scope admin.',
  response: {
    200: jsonAnswer('Bytes of the heap in use', objectOf({ before: COUNT, after: COUNT, ms: NUMBER })),
    ...guardedErrors('OVERLOADED'),
  },
};

export const DEBUG_PROFILE = {
  tags: ['operation'],
  summary: 'Shows where time goes: a .cpuprofile of V8',
  description: 'Wants the scope admin.',
  querystring: objectOf(
    { seconds: { type: 'integer', minimum: 1, maximum: 60, default: 30, description: 'How long to look' } },
    { optional: ['seconds'] },
  ),
  response: { 200: jsonAnswer('The profile', { type: 'object' }), ...guardedErrors('INVALID_INPUT', 'OVERLOADED') },
};

export const DEBUG_HEAP = {
  tags: ['operation'],
  summary: 'Shows what memory holds: a .heapsnapshot of V8',
  description: 'It has log lines and tokens in it. Stops the relay while it is taken. Wants the scope admin.',
  response: { 200: jsonAnswer('The snapshot', { type: 'object' }), ...guardedErrors('OVERLOADED') },
};
