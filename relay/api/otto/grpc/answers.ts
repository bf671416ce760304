import type { AnswerMessage, AnswerStatus } from './messages.ts';

/**
 * The answers to the entries of one stream, in the order of the entries, whatever order they are found in. Those that
 * are alike and follow each other take no more room than one. Whoever reads none for long misses some: see MAX_KEPT.
 */
export class Answers {
  /** Answers that nobody will be told. */
  forgotten = 0;
  /** In the order of the entries; what is found waits for what stands before it. */
  readonly #awaited: Slot[] = [];
  readonly #found: Alike[] = [];

  /** Room for the answers to the next `count` entries, the first of which has this number; 0 if they have none. */
  expect(count: number, sequence: number): Slot {
    const slot: Slot = { count, sequence, answer: undefined };
    this.#awaited.push(slot);
    return slot;
  }

  /** How many places are kept for answers that are not found, or wait for one that is not. */
  get awaited(): number {
    return this.#awaited.length;
  }

  /** Whether there are some to be told. */
  get ready(): boolean {
    return this.#found.length > 0;
  }

  settle(slot: Slot, answer: Answer): void {
    slot.answer = answer;
    let next = this.#awaited.at(0);
    while (next?.answer !== undefined) {
      this.#add({ count: next.count, sequence: next.sequence, answer: next.answer });
      this.#awaited.shift();
      next = this.#awaited.at(0);
    }
  }

  /** Takes out up to `max` answers. */
  take(max: number): AnswerMessage[] {
    const taken: AnswerMessage[] = [];
    for (let alike = this.#found.at(0); alike !== undefined && taken.length < max; alike = this.#found.at(0)) {
      const { status, message = '', throttleMs = 0 } = alike.answer;
      taken.push({ status, message, sequence: alike.sequence, throttle_ms: throttleMs });
      if (alike.sequence > 0) alike.sequence++;
      if (--alike.count === 0) this.#found.shift();
    }
    return taken;
  }

  #add(next: Alike): void {
    const last = this.#found.at(-1);
    if (last !== undefined && follows(last, next)) last.count += next.count;
    else if (this.#found.length < MAX_KEPT) this.#found.push(next);
    else this.forgotten += next.count;
  }
}

export interface Answer {
  status: AnswerStatus;
  message?: string;
  throttleMs?: number;
}

/** The place of answers to some entries that follow each other. */
export interface Slot {
  readonly count: number;
  readonly sequence: number;
  answer: Answer | undefined;
}

interface Alike {
  count: number;
  sequence: number;
  answer: Answer;
}

function follows(last: Alike, next: Alike): boolean {
  const { status, message, throttleMs } = last.answer;
  const expected = last.sequence === 0 ? 0 : last.sequence + last.count;
  return (
    next.sequence === expected &&
    next.answer.status === status &&
    next.answer.message === message &&
    next.answer.throttleMs === throttleMs
  );
}

/** Of those that are not alike, for a client that does not read. Known ones never do, and their entries go on. */
const MAX_KEPT = 1024;
