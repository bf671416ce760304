import {
  packGroup,
  unpackOutcomes,
  type Call,
  type GroupAnswer,
  type GroupMessage,
  type Outcome,
} from './sqlite-group.ts';
import { StoreError } from './store.ts';

interface Waiting {
  call: Call;
  resolve: (outcome: Outcome) => void;
  reject: (error: Error) => void;
}

/** What one commit takes at most: bounds both its length and the buffer that is kept for it. */
const MAX_GROUP_BYTES = 8 * 1024 * 1024;
const MAX_GROUP_CALLS = 4096;
const MIN_BUFFER_BYTES = 64 * 1024;
/** How long a sign of life, which need not be durable, waits for something that must be. */
const SEEN_DELAY_MS = 100;

/**
 * Group commit: calls collect while one commit is under way and leave together as the next one. What is collected is
 * bounded by whoever calls: the windows of ingest.
 */
export class Commits {
  readonly #send: (group: GroupMessage) => void;
  #waiting: Waiting[] = [];
  #underWay: Waiting[] | undefined;
  #buffer = new ArrayBuffer(MIN_BUFFER_BYTES);
  #turn: NodeJS.Immediate | undefined;
  #delay: NodeJS.Timeout | undefined;

  /** `send` takes the group and its buffer; its answer comes back through `answered`. */
  constructor(send: (group: GroupMessage) => void) {
    this.#send = send;
  }

  /** Resolves with what became of the call; rejects with a StoreError. Outcomes come in the order of the calls. */
  call(call: Call): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ call, resolve, reject });
      if ('type' in call && call.type === 'seen') this.#delay ??= setTimeout(() => this.#flush(), SEEN_DELAY_MS);
      else this.#schedule();
    });
  }

  /** Returns the calls of the group with their outcomes, whose promises are resolved. */
  answered(answer: GroupAnswer): { call: Call; outcome: Outcome }[] {
    const group = this.#underWay ?? [];
    this.#underWay = undefined;
    this.#buffer = answer.bytes;
    if (this.#waiting.some(({ call }) => !('type' in call && call.type === 'seen'))) this.#schedule();
    else if (this.#waiting.length > 0) this.#delay ??= setTimeout(() => this.#flush(), SEEN_DELAY_MS);
    return unpackOutcomes(answer).map((outcome, index) => {
      const { call, resolve, reject } = group[index];
      if (outcome.type === 'error') reject(new StoreError(outcome.error.reason, outcome.error.message));
      else resolve(outcome);
      return { call, outcome };
    });
  }

  /** Rejects everything that is under way or waits. */
  fail(error: StoreError): void {
    clearImmediate(this.#turn);
    clearTimeout(this.#delay);
    const calls = [...(this.#underWay ?? []), ...this.#waiting];
    this.#underWay = undefined;
    this.#waiting = [];
    for (const { reject } of calls) reject(error);
  }

  /** Lets what only waits for company leave at once. */
  hurry(): void {
    if (this.#waiting.length > 0) this.#schedule();
  }

  /** At the end of the turn, so that what all sockets brought in it shares the commit. */
  #schedule(): void {
    this.#turn ??= setImmediate(() => this.#flush());
  }

  #flush(): void {
    clearImmediate(this.#turn);
    clearTimeout(this.#delay);
    this.#turn = this.#delay = undefined;
    if (this.#underWay || this.#waiting.length === 0) return;
    const { group, bytes } = this.#take();
    if (this.#buffer.byteLength < bytes) this.#buffer = new ArrayBuffer(2 ** Math.ceil(Math.log2(bytes)));
    this.#underWay = group;
    const calls = group.map(({ call }) => call);
    this.#send(packGroup(calls, this.#buffer));
  }

  /** Moves the next group out of the queue; `bytes` of chunks. */
  #take(): { group: Waiting[]; bytes: number } {
    let bytes = 0;
    let count = 0;
    for (const { call } of this.#waiting) {
      const size = 'append' in call ? call.append.bytes.length : 0;
      if (count > 0 && (bytes + size > MAX_GROUP_BYTES || count === MAX_GROUP_CALLS)) break;
      bytes += size;
      count++;
    }
    const group = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    return { group, bytes };
  }
}
