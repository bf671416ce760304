import * as z from 'zod/mini';
import { isUlid } from './ulid.ts';

export { taskIdProblem } from './task-id.ts';

/**
 * The agent's link, `ws://…/ws/tasks/{taskId}` under this subprotocol. Chunks are binary frames, all else is one of
 * the JSON text frames below.
 *
 *     agent                                relay
 *     hello ─────────────────────────────▶        who I am, what I know to be acknowledged
 *           ◀───────────────────────────── ready  where to go on, and the digest up to there
 *     chunk, chunk, … (binary) ──────────▶
 *           ◀─────────────────────────────  ack    cumulative: durable below nextSeq
 *           ◀───────────────────────────── refused  what came is not what was expected; go on from nextSeq
 *     progress ──────────────────────────▶        how far the run is, sent or not
 *     end ───────────────────────────────▶        the run is over: counts and digest
 *           ◀───────────────────────────── verified | unverified | ack (lines are missing: go on from nextSeq)
 *           ◀───────────────────────────── cancel at any time
 *
 * After `refused` the relay drops frames until one starts at or below `nextSeq`, since what was under way before the
 * agent heard of it can only be wrong too.
 */
export const SUBPROTOCOL = 'keruta.chunk.v1';

/** A control message; chunks have their own limit. */
export const MAX_CONTROL_BYTES = 256 * 1024;
const MAX_LABELS = 64;
const MAX_LABEL_CHARACTERS = 1024;
const MAX_COMMAND_CHARACTERS = 8192;

/** A ping goes out after this long without sending or receiving anything, and no more often. */
export const PING_AFTER_MS = 10_000;
/** A peer of whom no byte came for this long is gone. Time in which we ourselves paused reading does not count. */
export const PEER_GONE_AFTER_MS = 30_000;

const count = z.number().check(z.int(), z.nonnegative());
const text = z.string().check(z.maxLength(MAX_LABEL_CHARACTERS));
const digest = z.string().check(z.regex(/^[0-9a-f]{32}$/));

export const END_REASONS = ['exited', 'signalled', 'timeout', 'cancelled', 'not-started', 'agent-died'] as const;
export type EndReason = (typeof END_REASONS)[number];

const hello = z.object({
  type: z.literal('hello'),
  run: z.string().check(z.refine(isUlid, 'is not a ULID')),
  /** The store numbering that `ackedSeq` belongs to; absent before the first `ready`. */
  epoch: z.optional(text),
  ackedSeq: count,
  pipelineId: z.optional(text),
  workerId: text,
  taskName: z.optional(text),
  labels: z
    .record(text, text)
    .check(z.refine((labels) => Object.keys(labels).length <= MAX_LABELS, `has more than ${MAX_LABELS} entries`)),
  /** The script's command line, secrets masked. */
  command: z.optional(z.string().check(z.maxLength(MAX_COMMAND_CHARACTERS))),
  agentVersion: text,
  /** ms since 1970 */
  startedAt: count,
});

const progress = z.object({ type: z.literal('progress'), nextSeq: count });

const end = z.object({
  type: z.literal('end'),
  exitCode: z.nullable(z.number().check(z.int())),
  signal: z.nullable(text),
  reason: z.enum(END_REASONS),
  /** One past the run's last seq: lines and gaps. */
  nextSeq: count,
  /** Lines in chunks, without gaps. */
  lines: count,
  /** Bytes of their text, a line end each included. */
  bytes: count,
  digest,
  /** ms since 1970 */
  endedAt: count,
});

const agentMessage = z.discriminatedUnion('type', [hello, progress, end]);

const relayMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready'), epoch: text, nextSeq: count, digest, windowBytes: count }),
  z.object({ type: z.literal('ack'), nextSeq: count }),
  z.object({
    type: z.literal('refused'),
    nextSeq: count,
    /** `expected`: a seq above the expected one came. `invalid`: the chunk at nextSeq breaks the format. */
    reason: z.enum(['expected', 'invalid']),
    message: z.string(),
  }),
  z.object({ type: z.literal('verified'), nextSeq: count }),
  z.object({ type: z.literal('unverified'), nextSeq: count, digest }),
  z.object({ type: z.literal('cancel'), reason: z.string() }),
]);

export type Hello = z.infer<typeof hello>;
export type Progress = z.infer<typeof progress>;
export type End = z.infer<typeof end>;
export type AgentMessage = z.infer<typeof agentMessage>;
export type RelayMessage = z.infer<typeof relayMessage>;

/** Throws an Error that names the member that is wrong. */
export function parseAgentMessage(json: string): AgentMessage {
  return parse(agentMessage, json);
}

/** Throws an Error that names the member that is wrong. */
export function parseRelayMessage(json: string): RelayMessage {
  return parse(relayMessage, json);
}

function parse<T>(schema: z.ZodMiniType<T>, json: string): T {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new Error('bad message: not JSON', { cause: error });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Error(`bad message: ${issue.path.join('.') || 'it'}: ${issue.message}`);
}
