import * as z from 'zod/mini';
import { isUlid } from './ulid.ts';
import { DIGEST, END_REASONS, MAX_TEXT_CHARACTERS } from './wire.ts';

/** What an agent says on its link (wire.ts). It comes from outside, and so is checked member by member. */

const MAX_LABELS = 64;
const MAX_COMMAND_CHARACTERS = 8192;

const count = z.number().check(z.int(), z.nonnegative());
const text = z.string().check(z.maxLength(MAX_TEXT_CHARACTERS));
const digest = z.string().check(z.regex(DIGEST));

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

export type Hello = z.infer<typeof hello>;
export type Progress = z.infer<typeof progress>;
export type End = z.infer<typeof end>;
export type AgentMessage = z.infer<typeof agentMessage>;

/** Throws an Error that names the member that is wrong. */
export function parseAgentMessage(json: string): AgentMessage {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new Error('bad message: not JSON', { cause: error });
  }
  const result = agentMessage.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Error(`bad message: ${issue.path.join('.') || 'it'}: ${issue.message}`);
}
