import * as z from 'zod/mini';
import { KerutaError } from '../../../shared/errors.ts';
import {
  MAX_SUBSCRIPTION_NAME,
  type SubscribeMessage,
  type SubscribeOptions,
  type UnsubscribeMessage,
} from '../../../shared/viewer-messages.ts';
import { taskIdProblem } from '../../../shared/task-id.ts';
import { MAX_TEXT_CHARACTERS } from '../../../shared/wire.ts';
import { readFilter } from '../filter-query.ts';
import { compileFilter, type Filter } from '../../filter.ts';

/** What may be said on a socket that speaks JSON. */
export type ViewerRequest =
  | { type: 'subscribe'; name?: string; target?: Target; options: unknown }
  | { type: 'unsubscribe'; name?: string; taskId?: string }
  | { type: 'auth'; token?: string }
  | { type: 'ping' | 'pong' }
  /** An agent's: a log entry and a status, still to be read. */
  | { type: 'log' | 'status'; taskId?: string; body: unknown };

/** What is subscribed to; also the members by which messages say it. */
export type Target = { taskId: string } | { pipelineId: string } | { all: true };

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
  const message = parse(request, json, 'The message');
  if (message.type !== 'subscribe' && message.type !== 'unsubscribe') return message;
  const { subscription, taskId } = message;
  checkName(subscription);
  checkTaskId(taskId);
  const name = subscription === undefined ? undefined : { name: subscription };
  if (message.type === 'unsubscribe') return { type: message.type, ...name, ...(taskId !== undefined && { taskId }) };
  const target = readTarget(message);
  return { type: message.type, ...name, ...(target && { target }), options: message.options };
}

/**
 * Which subscription a frame is about that `readRequest` refuses, if it says so: what is wrong with one is no affair of
 * the others on its socket.
 */
export function subscriptionIn(frame: string): { subscription?: string } {
  try {
    const { subscription } = Object(JSON.parse(frame)) as { subscription?: unknown };
    if (typeof subscription !== 'string') return {};
    checkName(subscription);
    return { subscription };
  } catch {
    return {};
  }
}

/**
 * A `subscribe`'s options for what it is about. Throws a KerutaError: INVALID_MESSAGE_FORMAT for a wrong type,
 * INVALID_INPUT for a wrong value.
 */
export function readSubscribe(given: unknown, target: Target): Subscribe {
  const subscribe = readOptions(parse(optional(options), given, 'options') ?? {});
  if (!('taskId' in target)) checkMerged(subscribe);
  return subscribe;
}

function parse<T extends z.ZodMiniType>(type: T, json: unknown, what: string): z.infer<T> {
  const parsed = type.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue.path.join('.');
  const problem = place === 'type' ? `it may be ${TYPES.join(', ')}` : issue.message;
  throw new KerutaError('INVALID_MESSAGE_FORMAT', `${place === '' ? what : place}: ${problem}.`);
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

function checkName(name: string | undefined): void {
  if (name === undefined || (name !== '' && name.length <= MAX_SUBSCRIPTION_NAME)) return;
  const problem = name === '' ? 'is empty' : `has ${name.length} characters; ${MAX_SUBSCRIPTION_NAME} are allowed`;
  throw new KerutaError('INVALID_INPUT', `The name of the subscription ${problem}.`);
}

function readTarget({ subscription, taskId, pipelineId, all }: SentSubscribe): Target | undefined {
  if ([taskId, pipelineId, all === true ? all : undefined].filter((one) => one !== undefined).length > 1) {
    throw new KerutaError('INVALID_INPUT', 'Only one of taskId, pipelineId and all can be given.');
  }
  if (taskId !== undefined) return { taskId };
  if (pipelineId === undefined && all !== true) return undefined;
  if (subscription === undefined) {
    throw new KerutaError('INVALID_INPUT', 'What is not a task needs a name: "subscription" must be given.');
  }
  if (pipelineId === undefined) return { all: true };
  if (pipelineId !== '' && pipelineId.length <= MAX_TEXT_CHARACTERS) return { pipelineId };
  throw new KerutaError('INVALID_INPUT', `pipelineId must have 1 to ${MAX_TEXT_CHARACTERS} characters.`);
}

/** Options that mean something for a task only. */
function checkMerged({ start, expectRuns }: Subscribe): void {
  if (expectRuns !== undefined) throw new KerutaError('INVALID_INPUT', 'expectRuns is for the runs of one task.');
  if (start === undefined) return;
  if ('from' in start && LINE_NUMBER.test(start.from)) {
    const message = 'Line numbers are places in a task: here from may be start, now or a cursor.';
    throw new KerutaError('INVALID_INPUT', message);
  }
  if ('tail' in start && start.tail > MAX_MERGED_TAIL_LINES) {
    throw new KerutaError('INVALID_INPUT', `Of more than one task, tail may be ${MAX_MERGED_TAIL_LINES} at most.`);
  }
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

/** They are found as a page is, and read twice. */
const MAX_MERGED_TAIL_LINES = 1000;
const LINE_NUMBER = /^\d{1,15}$/;

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
  workers: texts,
  meta: optional(z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]))),
  batch: optional(z.boolean()),
  expectRuns: optional(z.int().check(z.positive())),
} satisfies Record<keyof SubscribeOptions, unknown>);

const text = z.optional(z.string());
const subscribe = {
  type: z.literal('subscribe'),
  subscription: text,
  taskId: text,
  pipelineId: text,
  all: z.optional(z.boolean()),
  options: z.optional(z.unknown()),
} satisfies Record<keyof SubscribeMessage, unknown>;
const unsubscribe = {
  type: z.literal('unsubscribe'),
  subscription: text,
  taskId: text,
} satisfies Record<keyof UnsubscribeMessage, unknown>;

type SentSubscribe = z.infer<z.ZodMiniObject<typeof subscribe>>;

const request = z.discriminatedUnion('type', [
  z.object(subscribe),
  z.object(unsubscribe),
  z.object({ type: z.literal('auth'), token: z.optional(z.string()) }),
  z.object({ type: z.enum(['ping', 'pong']) }),
]);

const TYPES = ['subscribe', 'unsubscribe', 'ping', 'pong', 'auth', 'log', 'status'];
