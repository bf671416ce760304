import type { TaskEvent } from '../client/events.ts';
import type { EndMessage, LogMessage } from '../shared/viewer-messages.ts';

/** Lines of one moment above which they are a flood, and how long a moment is. */
const FLOOD_LINES = 100;
const MOMENT_MS = 100;

/** What a reader notes of a log while it comes: how much, how late, and whether anything is wrong with it. */
export class Tally {
  /** Messages: each line, or piece of a line, is one. */
  messages = 0;
  /** Lines, the pieces of one being one. */
  lines = 0;
  /** Lines that gaps stand for. */
  missing = 0;
  /** What is wrong with the order of line numbers, if anything. */
  disorder: string | undefined;
  /** Lines in which the secret stands. */
  leaks = 0;
  /** The line that would show the secret if it were not masked. */
  maskedLine: string | undefined;
  end: EndMessage | undefined;
  readonly #secret: string;
  #nextLine = 1;
  /** By the moment in which lines were written: how late they came, ms. */
  readonly #moments = new Map<number, number[]>();

  constructor(options: { secret: string }) {
    this.#secret = options.secret;
  }

  /** Takes what came at `now`, ms since 1970. */
  take(event: TaskEvent, now: number): void {
    if (event.type === 'log') this.#line(event, now);
    else if (event.type === 'gap') {
      this.missing += event.toLine - event.fromLine + 1;
      this.#advance(event.fromLine, event.toLine);
    } else if (event.type === 'end') this.end = event;
  }

  /** How late lines came to the reader; floods and all others apart, since lines of a flood wait for each other. */
  latency(): { others: Latency; flood: Latency } {
    const others: number[] = [];
    const flood: number[] = [];
    for (const late of this.#moments.values()) (late.length > FLOOD_LINES ? flood : others).push(...late);
    return { others: latencyOf(others), flood: latencyOf(flood) };
  }

  #line(line: LogMessage, now: number): void {
    this.messages++;
    if (line.more !== true) this.lines++;
    this.#advance(line.lineNumber, line.lineNumber);
    if (line.message.includes(this.#secret)) this.leaks++;
    if (line.message.includes('logging in with token')) this.maskedLine = line.message;
    const time = Date.parse(line.timestamp);
    const moment = Math.floor(time / MOMENT_MS);
    const late = this.#moments.get(moment);
    if (late === undefined) this.#moments.set(moment, [now - time]);
    else late.push(now - time);
  }

  #advance(first: number, last: number): void {
    if (first !== this.#nextLine) this.disorder ??= `line ${first} came where line ${this.#nextLine} was expected`;
    this.#nextLine = last + 1;
  }
}

/** ms */
export interface Latency {
  lines: number;
  median: number;
  p99: number;
}

function latencyOf(late: number[]): Latency {
  const sorted = Float64Array.from(late).sort();
  const at = (share: number): number => (sorted.length === 0 ? 0 : sorted[Math.floor(share * (sorted.length - 1))]);
  return { lines: sorted.length, median: at(0.5), p99: at(0.99) };
}
