import type { Append, AppendOutcome, EndOutcome, EndRun, OpenedRun, OpenRun, StoreError, TaskNote } from './store.ts';

/**
 * Calls on their way to the writer, which commits them as one, and their outcomes on the way back. A group is one
 * message whatever its size: chunks lie one behind the other in one buffer, numbers in one array.
 */
export interface GroupMessage {
  /** The chunks; comes back with the answer to be used again. */
  bytes: ArrayBuffer;
  /** CALL_FIELDS numbers a call, in order: the key's index, fence, now, offset, length; or -1 and an index of `others`. */
  calls: Float64Array;
  /** Task and run of appends, two texts a key. */
  keys: string[];
  others: OtherCall[];
}

/** Calls that are not appends; there are few of them. */
export type OtherCall =
  | { type: 'open'; open: OpenRun }
  | { type: 'end'; end: EndRun }
  | { type: 'seen'; seen: { task: string; run: string; fence: number; nextSeq?: number; now: number } }
  | { type: 'markLost'; before: number; now: number; except?: string | undefined }
  | { type: 'annotate'; task: string; note: TaskNote; now: number }
  | { type: 'pin'; task: string; pinned: boolean };

export type OtherOutcome = OpenedRun | EndOutcome | { task: string; run: string }[] | boolean | undefined;

export type Outcome =
  | { type: 'append'; outcome: AppendOutcome }
  | { type: 'other'; outcome: OtherOutcome }
  | { type: 'error'; error: Failure };

/** A StoreError's parts; errors lose their class on the way between threads. */
export interface Failure {
  reason: StoreError['reason'];
  message: string;
}

export interface GroupAnswer {
  bytes: ArrayBuffer;
  /** OUTCOME_FIELDS numbers a call: what it was, next seq, first line, position, count. */
  outcomes: Float64Array;
  /** By a call's index, what does not fit into numbers. */
  others: Map<number, OtherOutcome>;
  clipped: Map<number, Uint8Array>;
  errors: Map<number, Failure>;
}

const CALL_FIELDS = 5;
const OUTCOME_FIELDS = 5;
const APPEND_OUTCOMES = ['stored', 'duplicate', 'expected', 'ended', 'fenced'] as const;
const OTHER = APPEND_OUTCOMES.length;
const ERROR = OTHER + 1;

export type Call = { append: Append } | OtherCall;

/** `bytes` has room for all chunks. */
export function packGroup(calls: readonly Call[], bytes: ArrayBuffer): GroupMessage {
  const message: GroupMessage = { bytes, calls: new Float64Array(calls.length * CALL_FIELDS), keys: [], others: [] };
  const into = new Uint8Array(bytes);
  const keys = new Map<string, number>();
  let offset = 0;
  let at = 0;
  for (const call of calls) {
    if ('append' in call) {
      const { task, run, fence, now, bytes: chunk } = call.append;
      // A ULID's length is fixed, so the pair is told from any other by being joined.
      let key = keys.get(run + task);
      if (key === undefined) {
        key = message.keys.push(task, run) - 2;
        keys.set(run + task, key);
      }
      into.set(chunk, offset);
      message.calls.set([key, fence, now, offset, chunk.length], at);
      offset += chunk.length;
    } else {
      message.calls[at] = -1;
      message.calls[at + 1] = message.others.push(call) - 1;
    }
    at += CALL_FIELDS;
  }
  return message;
}

/** The calls again; the chunks are views of the message's buffer. */
export function unpackGroup(message: GroupMessage): Call[] {
  const calls: Call[] = [];
  for (let at = 0; at < message.calls.length; at += CALL_FIELDS) {
    const [key, fence, now, offset, length] = message.calls.subarray(at, at + CALL_FIELDS);
    if (key === -1) {
      calls.push(message.others[fence]);
    } else {
      const bytes = Buffer.from(message.bytes, offset, length);
      calls.push({ append: { task: message.keys[key], run: message.keys[key + 1], fence, now, bytes } });
    }
  }
  return calls;
}

export function packOutcomes(results: readonly Outcome[], bytes: ArrayBuffer): GroupAnswer {
  const answer: GroupAnswer = {
    bytes,
    outcomes: new Float64Array(results.length * OUTCOME_FIELDS),
    others: new Map(),
    clipped: new Map(),
    errors: new Map(),
  };
  results.forEach((result, index) => {
    const at = index * OUTCOME_FIELDS;
    if (result.type === 'error') {
      answer.outcomes[at] = ERROR;
      answer.errors.set(index, result.error);
    } else if (result.type === 'other') {
      answer.outcomes[at] = OTHER;
      answer.others.set(index, result.outcome);
    } else {
      const { outcome } = result;
      answer.outcomes[at] = APPEND_OUTCOMES.indexOf(outcome.outcome);
      if (outcome.outcome !== 'fenced') answer.outcomes[at + 1] = outcome.nextSeq;
      if (outcome.outcome !== 'stored') return;
      answer.outcomes.set([outcome.firstLine, outcome.position, outcome.count], at + 2);
      if (outcome.clipped) answer.clipped.set(index, outcome.clipped);
    }
  });
  return answer;
}

export function unpackOutcomes(answer: GroupAnswer): Outcome[] {
  const results: Outcome[] = [];
  for (let index = 0; index * OUTCOME_FIELDS < answer.outcomes.length; index++) {
    const at = index * OUTCOME_FIELDS;
    const kind = answer.outcomes[at];
    const error = answer.errors.get(index);
    if (error) results.push({ type: 'error', error });
    else if (kind === OTHER) results.push({ type: 'other', outcome: answer.others.get(index) });
    else results.push({ type: 'append', outcome: appendOutcome(answer, index, at) });
  }
  return results;
}

function appendOutcome(answer: GroupAnswer, index: number, at: number): AppendOutcome {
  const outcome = APPEND_OUTCOMES[answer.outcomes[at]];
  const nextSeq = answer.outcomes[at + 1];
  if (outcome === 'fenced') return { outcome };
  if (outcome !== 'stored') return { outcome, nextSeq };
  const [firstLine, position, count] = answer.outcomes.subarray(at + 2, at + 5);
  const clipped = answer.clipped.get(index);
  if (!clipped) return { outcome, nextSeq, firstLine, position, count };
  const bytes = Buffer.from(clipped.buffer, clipped.byteOffset, clipped.length);
  return { outcome, nextSeq, firstLine, position, count, clipped: bytes };
}
