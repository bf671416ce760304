import * as z from 'zod/mini';
import { KerutaError } from '../../../shared/errors.ts';
import type { SubscribeOptions } from '../../../shared/viewer-messages.ts';
import { taskIdProblem } from '../../../shared/task-id.ts';
import { readFilter } from '../filter-query.ts';
import { compileFilter, type Filter } from '../../filter.ts';

/** What may be said on a socket that speaks JSON. */
export type ViewerRequest =
  | { type: 'subscribe'; taskId?: string; options: Subscribe }
  | { type: 'unsubscribe'; taskId?: string }
  | { type: 'auth'; token?: string }
  | { type: 'ping' | 'pong' }
  /** An agent's: a log entry and a status, still to be read. */
  | { type: 'log' | 'status'; taskId?: string; body: unknown };

/** A `subscribe`'s options, read. */
export interface Subscribe {
  filter: Filter;
  /** Where to start, if it says: a place as `Reader.place` takes it, the line behind a cursor, or lines from the end. */
  start: { from: string } | { after: string } | { tail: number } | undefined;
  realtime: boolean;
  batch: boolean;
  expectRuns: number | undefined;
}

/** Throws a KerutaError: INVALID_MESSAGE_FORMAT for what is no message, INVALID_INPUT for an option's value. */
export function readRequest(frame: string): ViewerRequest {
  let json: unknown;
  try {
    json = JSON.parse(frame);
  } catch (error) {
    throw new KerutaError('INVALID_MESSAGE_FORMAT', 'The frame is not JSON.', { cause: error });
  }
  const sent = readSent(json);
  if (sent !== undefined) return sent;
  const parsed = request.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue.path.join('.');
    const problem = place === 'type' ? `it may be ${TYPES.join(', ')}` : issue.message;
    throw new KerutaError('INVALID_MESSAGE_FORMAT', `${place === '' ? 'The message' : place}: ${problem}.`);
  }
  const message = parsed.data;
  if ('taskId' in message) checkTaskId(message.taskId);
  return withOptions(message);
}

/**
 * What agents send, of which there is much. The entry of a log may be the message itself, or its member `log`.
 */
function readSent(json: unknown): Extract<ViewerRequest, { body: unknown }> | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { type, taskId, log } = json as Record<string, unknown>;
  if (type !== 'log' && type !== 'status') return undefined;
  const body = type === 'log' && log !== undefined ? log : json;
  if (taskId === undefined || taskId === null) return { type, body };
  if (typeof taskId !== 'string') throw new KerutaError('INVALID_MESSAGE_FORMAT', 'taskId is no text.');
  checkTaskId(taskId);
  return { type, taskId, body };
}

function checkTaskId(taskId: string | undefined): void {
  const problem = taskId === undefined ? undefined : taskIdProblem(taskId);
  if (problem !== undefined) throw new KerutaError('INVALID_INPUT', `The task id ${problem}.`);
}

function withOptions(message: z.infer<typeof request>): ViewerRequest {
  if (message.type !== 'subscribe') return message;
  return { ...message, options: readOptions(message.options ?? {}) };
}

/** What a bare connect means. */
export function defaultSubscribe(): Subscribe {
  return readOptions({});
}

function readOptions(given: z.infer<typeof options>): Subscribe {
  const { from, after, tail } = given;
  const starts = [from, after, tail].filter((start) => start !== undefined && start !== null);
  if (starts.length > 1) throw new KerutaError('INVALID_INPUT', 'Only one of from, after and tail can be given.');
  return {
    filter: compileFilter(readFilter({ ...given, from: given.since, to: given.until }, { from: 'since', to: 'until' })),
    start: from != null ? { from: String(from) } : after != null ? { after } : tail != null ? { tail } : undefined,
    realtime: given.realtime ?? true,
    batch: given.batch ?? false,
    expectRuns: given.expectRuns ?? undefined,
  };
}

/** Lines of `tail` are looked for backward, which takes time and memory. */
const MAX_TAIL_LINES = 1_000_000;

const optional = <T extends z.ZodMiniType>(type: T): z.ZodMiniOptional<z.ZodMiniNullable<T>> =>
  z.optional(z.nullable(type));
const texts = optional(z.array(z.string()));
const place = z.union([z.string(), z.int().check(z.nonnegative())]);
const time = optional(z.union([z.string(), z.number()]));

/** Unknown members are let pass: other clients have their own. */
const options = z.object({
  sources: texts,
  levels: texts,
  realtime: optional(z.boolean()),
  from: optional(place),
  after: optional(z.string()),
  tail: optional(z.int().check(z.nonnegative(), z.maximum(MAX_TAIL_LINES))),
  q: optional(z.union([z.string(), z.array(z.string())])),
  regex: optional(z.string()),
  since: time,
  until: time,
  runs: texts,
  meta: optional(z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]))),
  batch: optional(z.boolean()),
  expectRuns: optional(z.int().check(z.positive())),
} satisfies Record<keyof SubscribeOptions, unknown>);

const request = z.discriminatedUnion('type', [
  z.object({ type: z.literal('subscribe'), taskId: z.optional(z.string()), options: z.optional(z.nullable(options)) }),
  z.object({ type: z.literal('unsubscribe'), taskId: z.optional(z.string()) }),
  z.object({ type: z.literal('auth'), token: z.optional(z.string()) }),
  z.object({ type: z.enum(['ping', 'pong']) }),
]);

const TYPES = ['subscribe', 'unsubscribe', 'ping', 'pong', 'auth', 'log', 'status'];
