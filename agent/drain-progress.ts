/** A drain that is over sooner is not worth a word. */
const SHOWN_AFTER_MS = 500;
const EVERY_MS = 200;
const CLEAR_LINE = '\r\u001b[K';

/**
 * Shows on a terminal how many lines are still to be sent, until `stop` is called; then the line is gone again. In a
 * pipe it does nothing.
 */
export class DrainProgress {
  readonly #terminal: Terminal;
  readonly #left: () => number;
  readonly #since: number;
  readonly #linesAtFirst: number;
  #timer: NodeJS.Timeout | undefined;
  #shown = false;

  /** `left` answers how many lines the relay has not acknowledged. */
  constructor(terminal: Terminal, left: () => number, clock: () => number = () => performance.now()) {
    this.#terminal = terminal;
    this.#left = left;
    this.#since = clock();
    this.#linesAtFirst = left();
    if (!terminal.isTTY) return;
    this.#timer = setInterval(() => this.#show(clock() - this.#since), EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    if (this.#shown) this.#terminal.write(CLEAR_LINE);
    this.#shown = false;
  }

  #show(ms: number): void {
    if (ms < SHOWN_AFTER_MS) return;
    this.#terminal.write(CLEAR_LINE + drainSentence(this.#left(), this.#linesAtFirst, ms));
    this.#shown = true;
  }
}

/** What is shown after `ms` of a drain. */
export function drainSentence(left: number, atFirst: number, ms: number): string {
  if (left === 0) return 'keruta-agent: waiting for the relay to confirm that it has everything';
  const rate = Math.round(((atFirst - left) * 1000) / ms);
  const speed = rate > 0 ? `, ${rate.toLocaleString('en')} a second` : '';
  return `keruta-agent: ${left.toLocaleString('en')} ${left === 1 ? 'line' : 'lines'} to be sent${speed}`;
}

/** As much of stderr as is used. */
export interface Terminal {
  isTTY: boolean;
  write(text: string): unknown;
}
