/** What is counted of all clients for `get-server-stats`, over the last seconds. */
export class ServerStats {
  readonly #messages: Recent;
  readonly #answers: Recent;
  readonly #errors: Recent;

  /** `clock` is monotonic, in ms. */
  constructor(clock: () => number = () => performance.now()) {
    this.#messages = new Recent(RATE_SECONDS, clock);
    this.#answers = new Recent(ERROR_SECONDS, clock);
    this.#errors = new Recent(ERROR_SECONDS, clock);
  }

  /** So many entries went out to a client. */
  sent(messages: number): void {
    this.#messages.add(messages);
  }

  /** A client was answered. */
  answered(outcome: 'success' | 'error'): void {
    this.#answers.add(1);
    if (outcome === 'error') this.#errors.add(1);
  }

  /** Messages a second, over the last ten. */
  get messagesPerSecond(): number {
    return this.#messages.sum() / RATE_SECONDS;
  }

  /** How many of the answers of the last minute were errors, 0 to 1. */
  get errorRate(): number {
    const answers = this.#answers.sum();
    return answers === 0 ? 0 : this.#errors.sum() / answers;
  }
}

/** A sum over the last whole seconds, in a ring of them. */
class Recent {
  readonly #seconds: Float64Array;
  readonly #clock: () => number;
  /** The second that was counted in last. */
  #last = 0;

  constructor(seconds: number, clock: () => number) {
    this.#seconds = new Float64Array(seconds);
    this.#clock = clock;
  }

  add(count: number): void {
    this.#advance();
    this.#seconds[this.#last % this.#seconds.length] += count;
  }

  sum(): number {
    this.#advance();
    return this.#seconds.reduce((all, one) => all + one, 0);
  }

  /** Forgets what lies behind the ring. */
  #advance(): void {
    const now = Math.floor(this.#clock() / 1000);
    const { length } = this.#seconds;
    for (let second = Math.max(this.#last + 1, now - length + 1); second <= now; second++) {
      this.#seconds[second % length] = 0;
    }
    this.#last = Math.max(this.#last, now);
  }
}

const RATE_SECONDS = 10;
const ERROR_SECONDS = 60;
