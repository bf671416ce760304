import { DIGEST, MAX_TEXT_CHARACTERS } from './wire.ts';

/** What the relay says on an agent's link (wire.ts). */
export type RelayMessage =
  | { type: 'ready'; epoch: string; nextSeq: number; digest: string; windowBytes: number }
  | { type: 'ack'; nextSeq: number }
  /** `expected`: a seq above the expected one came. `invalid`: the chunk at nextSeq breaks the format. */
  | { type: 'refused'; nextSeq: number; reason: 'expected' | 'invalid'; message: string }
  | { type: 'verified'; nextSeq: number }
  | { type: 'unverified'; nextSeq: number; digest: string }
  | { type: 'cancel'; reason: string }
  /** It is about to close, and is worth trying again after that time. */
  | { type: 'drain'; retryAfterMs: number };

type Check = (value: unknown) => boolean;
const count: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const text: Check = (value) => typeof value === 'string' && value.length <= MAX_TEXT_CHARACTERS;
const digest: Check = (value) => typeof value === 'string' && DIGEST.test(value);
const refusal: Check = (value) => value === 'expected' || value === 'invalid';

const MEMBERS: Record<RelayMessage['type'], Record<string, Check>> = {
  ready: { epoch: text, nextSeq: count, digest, windowBytes: count },
  ack: { nextSeq: count },
  refused: { nextSeq: count, reason: refusal, message: text },
  verified: { nextSeq: count },
  unverified: { nextSeq: count, digest },
  cancel: { reason: text },
  drain: { retryAfterMs: count },
};

/**
 * Throws an Error that names the member that is wrong. Checked by hand, since this is loaded at every start of an
 * agent, where a validation library would take a tenth of the time that there is.
 */
export function parseRelayMessage(json: string): RelayMessage {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new Error('bad message: not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null) throw new Error('bad message: not an object');
  const message = value as Record<string, unknown>;
  const type = message.type;
  if (typeof type !== 'string' || !Object.hasOwn(MEMBERS, type)) throw new Error('bad message: type: is unknown');
  for (const [name, check] of Object.entries(MEMBERS[type as RelayMessage['type']])) {
    if (!check(message[name])) throw new Error(`bad message: ${name}: is wrong in ${type}`);
  }
  return message as unknown as RelayMessage;
}
