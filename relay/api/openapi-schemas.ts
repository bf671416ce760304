import { ERRORS, type ErrorCode } from '../../shared/errors.ts';

/** A JSON Schema, or what OpenAPI wraps around one. One with a `title` is written once in the document, by that name. */
export type Schema = Record<string, unknown>;

/** An answer of JSON. */
export function jsonAnswer(description: string, schema: Schema): Schema {
  return { description, content: { 'application/json': { schema } } };
}

/** An answer of a file or a text, by content types. */
export function textAnswer(description: string, types: readonly string[]): Schema {
  return { description, content: Object.fromEntries(types.map((type) => [type, { schema: { type: 'string' } }])) };
}

/** The answers that a route gives to errors, by status; `default` stands for those that every route may give. */
export function errorAnswers(...codes: readonly ErrorCode[]): Record<string, Schema> {
  const answers: Record<string, Schema> = {};
  for (const [status, ofStatus] of Object.entries(Object.groupBy(codes, (code) => ERRORS[code].status))) {
    answers[status] = jsonAnswer(ofStatus.join(', '), ERROR);
  }
  answers.default = jsonAnswer('Any other error, such as RATE_LIMIT_EXCEEDED or INTERNAL_SERVER_ERROR', ERROR);
  return answers;
}

/** `errorAnswers` of a route that wants a token. */
export function guardedErrors(...codes: readonly ErrorCode[]): Record<string, Schema> {
  return errorAnswers('UNAUTHORIZED', 'FORBIDDEN', ...codes);
}

/** An object that has all of these, and perhaps more. */
export function objectOf(properties: Record<string, Schema>, { title, optional = [] }: ObjectOptions = {}): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', ...(title !== undefined && { title }), properties, required };
}

export interface ObjectOptions {
  title?: string;
  /** Properties that may be absent. */
  optional?: readonly string[];
}

export function arrayOf(items: Schema): Schema {
  return { type: 'array', items };
}

/** Null where there is none. */
export function orNull(schema: Schema): Schema {
  return { ...schema, type: [schema.type, 'null'] };
}

export const TEXT: Schema = { type: 'string' };
export const FLAG: Schema = { type: 'boolean' };
export const COUNT: Schema = { type: 'integer', minimum: 0 };
export const NUMBER: Schema = { type: 'number' };
export const TIME: Schema = { type: 'string', format: 'date-time' };
export const TEXTS_BY_NAME: Schema = { type: 'object', additionalProperties: { type: 'string' } };

/** The path of everything that belongs to one task. */
export const TASK_PARAMS = objectOf({ taskId: { type: 'string', description: 'The task, percent-encoded' } });

export const ERROR = objectOf(
  {
    error: objectOf({
      code: { type: 'string', enum: Object.keys(ERRORS) },
      message: { type: 'string', description: 'What happened here' },
      status: { type: 'integer' },
      hint: { type: 'string', description: 'What to do about it' },
    }),
    meta: objectOf({ timestamp: TIME, version: TEXT, requestId: TEXT }, { optional: ['requestId'] }),
  },
  { title: 'Error' },
);

const CHECK = objectOf({ healthy: FLAG, message: TEXT, latency: NUMBER });

/** What /health and its parts answer. */
export const HEALTH_SCHEMA = {
  tags: ['health'],
  security: [],
  response: Object.fromEntries(
    [
      [200, 'Healthy'],
      [503, 'Not healthy: checks say what is wrong'],
    ].map(([status, description]) => [
      status,
      jsonAnswer(
        String(description),
        objectOf(
          {
            status: { type: 'string', enum: ['healthy', 'unhealthy'] },
            timestamp: TIME,
            checks: { type: 'object', additionalProperties: CHECK },
          },
          { title: 'Health' },
        ),
      ),
    ]),
  ),
};
