import { randomInt } from 'node:crypto';
import { askJson, StatusError } from '../http.ts';
import { isInVain } from '../readers/socket.ts';
import { Hopeless, Sender } from './sender.ts';

/** Posts each batch under a key of its own, until it is answered: then it is stored, once. */
export class KeyedPostSender extends Sender {
  #batch: { from: number; to: number; attempt: number } | undefined;

  protected override async session(signal: AbortSignal): Promise<void> {
    while (!this.done && !signal.aborted) {
      const from = this.acknowledged;
      if (this.sent.count === from) {
        await this.news(signal);
        continue;
      }
      this.#batch ??= { from, to: Math.min(this.sent.count, from + MOST_AT_ONCE), attempt: 0 };
      const { to, attempt } = this.#batch;
      const headers = { 'idempotency-key': `${this.task}-${from}-${to}-${attempt}` };
      const answer = await this.post({ from, to, headers, signal });
      if (answer !== 'stored') {
        // Nothing of it is stored: the relay was killed too often between a beginning and an end.
        this.#batch.attempt++;
        continue;
      }
      this.#batch = undefined;
      this.acknowledge(to);
    }
  }

  /** Rejects if it has to be sent again. `ended`: not under this name, which had so many lines before it was over. */
  protected async post({ from, to, headers, query = '', signal }: Post): Promise<'stored' | { ended: number }> {
    const entries = Array.from({ length: to - from }, (_, i) => {
      return { level: 'INFO', source: 'stdout', message: this.text(from + i) };
    });
    const path = `/api/v1/tasks/${encodeURIComponent(this.task)}/logs${query}`;
    const body = JSON.stringify(entries);
    try {
      const answer = await askJson<{ accepted: number }>(this.entrance, {
        ...{ path, method: 'POST', body, scope: 'ingest', signal },
        headers: { 'content-type': 'application/json', ...headers },
      });
      if (answer.accepted !== to - from) throw new Hopeless(`${answer.accepted} of ${to - from} lines were accepted`);
      return 'stored';
    } catch (error) {
      if (!(error instanceof StatusError) || !isInVain(error.status)) throw error;
      const ended = /has ended with (\d+) lines|(too often)/.exec(error.body);
      if (error.status === 409 && ended !== null) return { ended: Number(ended.at(1) ?? 0) };
      throw new Hopeless(error.message);
    }
  }
}

/** Numbers its lines itself: what comes again, also in other portions, is stored once. */
export class NumberedPostSender extends KeyedPostSender {
  #run = newRun();
  /** The line that is the first of the run. */
  #first = 0;

  protected override async session(signal: AbortSignal): Promise<void> {
    while (!this.done && !signal.aborted) {
      const from = this.acknowledged;
      const to = Math.min(this.sent.count, from + 1 + this.random.below(MOST_AT_ONCE));
      if (to === from || this.sent.count === from) {
        await this.news(signal);
        continue;
      }
      const query = `?run=${this.#run}&seq=${from - this.#first}`;
      const answer = await this.post({ from, to, query, signal });
      if (answer === 'stored') {
        this.acknowledge(to);
        continue;
      }
      // A clock that leapt ahead has ended the run: the next one begins behind what that has.
      this.#first += answer.ended;
      this.acknowledge(this.#first);
      this.#run = newRun();
    }
  }
}

interface Post {
  from: number;
  to: number;
  headers?: Record<string, string>;
  query?: string;
  signal: AbortSignal;
}

/** A ULID, without the product's own help. */
function newRun(): string {
  return `01${Array.from({ length: 24 }, () => ULID_DIGITS[randomInt(ULID_DIGITS.length)]).join('')}`;
}

const ULID_DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const MOST_AT_ONCE = 40;
