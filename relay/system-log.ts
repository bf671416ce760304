import type { LineInput } from '../shared/columns.ts';
import { kindOf } from '../shared/line.ts';
import type { Sender } from './senders/sender.ts';
import { SUCCEEDED } from './senders/sent-run.ts';
import type { Senders } from './senders/senders.ts';
import type { SystemEvent } from './system-events.ts';
import { SYSTEM_TASK } from './system-task.ts';

/**
 * What happens to the relay, as lines of a task. Nobody waits for them and nothing fails because of them: what the store
 * does not take, and what is too much, is counted, and told by a line as soon as one gets through.
 */
export class SystemLog {
  readonly #options: SystemLogOptions;
  #sender: Sender | undefined;
  #ticker: NodeJS.Timeout | undefined;
  /** Writes that may still be made before the next tick. */
  #allowance = WRITES_AT_ONCE;
  /** Of each kind, how often it happened without a line, since the last one that told of it. */
  #untold = new Map<string, number>();

  constructor(options: SystemLogOptions) {
    this.#options = options;
  }

  /** What is said before is not noted. */
  start(): void {
    this.#ticker = setInterval(() => this.tick(), TICK_MS);
    this.#ticker.unref();
  }

  /** Notes what has happened, in the background. */
  say(event: SystemEvent): void {
    if (this.#ticker === undefined) return;
    if (this.#allowance === 0) this.#leaveOut(event.event, 1);
    else this.#write([event]);
  }

  /** Every few seconds: makes room for more, and tells what was left out. Public for tests, which own the clock. */
  tick(): void {
    this.#allowance = WRITES_AT_ONCE;
    if (this.#untold.size > 0) this.#write([]);
  }

  /** Takes in no more; resolves when what was said is stored, or can't be. */
  async stop(): Promise<void> {
    if (this.#ticker === undefined) return;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    if (this.#untold.size > 0) this.#write([]);
    if (this.#sender !== undefined) await this.#options.senders.finish(this.#sender, SUCCEEDED);
  }

  /** Writes these, and behind them what was left out before. */
  #write(events: readonly SystemEvent[]): void {
    this.#allowance--;
    const untold = this.#untold;
    this.#untold = new Map();
    const time = this.#options.now();
    const told = untold.size > 0 ? [...events, leftOut(untold)] : events;
    this.#sender ??= this.#options.senders.ownSender(SYSTEM_TASK);
    this.#sender.write(told.map((event) => lineOf(event, time))).catch((error: unknown) => {
      for (const { event } of events) this.#leaveOut(event, 1);
      for (const [event, times] of untold) this.#leaveOut(event, times);
      this.#options.onError(error);
    });
  }

  #leaveOut(event: string, times: number): void {
    this.#untold.set(event, times + (this.#untold.get(event) ?? 0));
  }
}

export interface SystemLogOptions {
  senders: Pick<Senders, 'ownSender' | 'finish'>;
  /** Some lines could not be stored; they will be counted. */
  onError: (error: unknown) => void;
  /** ms since 1970 */
  now: () => number;
}

function lineOf({ event, level, text, details }: SystemEvent, time: number): LineInput {
  const metadata = JSON.stringify({ event, ...details });
  return { time, kind: kindOf('agent', level), text: Buffer.from(text), metadata };
}

function leftOut(untold: ReadonlyMap<string, number>): SystemEvent {
  const list = [...untold].map(([event, times]) => `${times} × ${event}`).join(', ');
  const text = `Also happened, without a line each: ${list}`;
  return { event: 'left-out', level: 'WARN', text, details: Object.fromEntries(untold) };
}

/** A thousand agents that are lost at once are some lines and a sum. */
const WRITES_AT_ONCE = 20;
const TICK_MS = 10_000;
