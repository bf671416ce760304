import { hash } from 'node:crypto';
import type { LineInput } from '../../shared/columns.ts';
import { KerutaError } from '../../shared/errors.ts';
import { formatUlid } from '../../shared/ulid.ts';
import type { Caller } from '../caller.ts';
import type { RunRecord, Store } from '../store/store.ts';
import { lineOf } from './line-of.ts';
import { inTime } from './patience.ts';
import type { Written } from './sender.ts';
import { encodeSent, SENT_BY, SUCCEEDED, type SentRun } from './sent-run.ts';
import type { Posts } from './posts.ts';
import type { Senders } from './senders.ts';

/**
 * Lines that are posted under an Idempotency-Key are stored once, however often they come, also when the relay was
 * killed in between. They are a run of their own, whose id follows from task and key: so it is the store that knows
 * whether they are there. What the run was opened by holds the hash of the body, which must be the same each time.
 */
export class Keyed {
  readonly #options: KeyedOptions;
  /** Runs that are being written; whoever comes with the same key waits and looks again. */
  readonly #writing = new Map<string, Promise<unknown>>();
  /** Runs by id that were opened and have not ended, since the store failed in between. */
  readonly #open = new Map<string, SentRun>();

  constructor(options: KeyedOptions) {
    this.#options = options;
  }

  /** Resolves when the lines are durable, now or since earlier. Rejects with a KerutaError or StoreError. */
  write(task: string, lines: KeyedLines): Promise<Written> {
    return inTime(this.#inTurn(task, lines));
  }

  /** Ends the runs whose senders have not come again. Rejects as the store does. */
  async sweep(): Promise<void> {
    const { graceMs, now } = this.#options;
    const due = [...this.#open.values()].filter((run) => now() - run.seenAt >= graceMs);
    await Promise.all(due.map((run) => this.#end(run)));
  }

  async #inTurn(task: string, { key, body, lines, caller }: KeyedLines): Promise<Written> {
    const by = SENT_BY.key + hash('sha256', body, 'hex').slice(0, BODY_HASH_DIGITS);
    const id = JSON.stringify([task, key]);
    while (this.#writing.has(id)) await this.#writing.get(id);
    const writing = this.#write(task, { by, key, lines, caller });
    const settled = writing.then(
      () => this.#writing.delete(id),
      () => this.#writing.delete(id),
    );
    this.#writing.set(id, settled);
    return writing;
  }

  async #write(task: string, { by, key, lines, caller }: Attempt): Promise<Written> {
    const { senders } = this.#options;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const id = runOf([task, key, attempt]);
      // First of all, so that no run is opened for what is too large for one.
      const bytes = encodeSent(id, 0, lines);
      // The task is running while something is posted to it; a short run alone would end it again and again.
      await senders.posts.touch(task, caller);
      const run = await senders.openRun(task, { caller, by, run: id });
      // An earlier process was killed before it stored anything, and the run has been closed since.
      if (run.ended && run.nextSeq === 0) continue;
      if (!run.ended) this.#open.set(id, run);
      if (run.before !== undefined) return await this.#again(run, run.before, by);
      return await this.#first(run, bytes);
    }
    throw new KerutaError('CONFLICT', 'This Idempotency-Key has failed too often; use another one.');
  }

  async #first(run: SentRun, bytes: Buffer): Promise<Written> {
    const { now } = this.#options;
    const outcome = await run.append(bytes, now());
    if (outcome.outcome !== 'stored') {
      throw new KerutaError('FENCED', 'Another request has come with the same Idempotency-Key.');
    }
    await this.#end(run);
    return { firstLine: outcome.firstLine };
  }

  async #again(run: SentRun, before: RunRecord, by: string): Promise<Written> {
    // An earlier attempt has failed between the two.
    if (!run.ended) await this.#end(run);
    if (before.agentVersion !== by) {
      throw new KerutaError('CONFLICT', 'This Idempotency-Key was used before, with another body.');
    }
    return { firstLine: await lineOf(this.#options.store, { task: run.task, run: run.run, seq: 0 }), again: true };
  }

  async #end(run: SentRun): Promise<void> {
    await run.end(SUCCEEDED, this.#options.now());
    // Another attempt may have gone on with it meanwhile.
    if (this.#open.get(run.run) === run) this.#open.delete(run.run);
  }
}

export interface KeyedOptions {
  senders: Pick<Senders, 'openRun'> & { posts: Pick<Posts, 'touch'> };
  store: Pick<Store, 'read'>;
  /** How long a run that could not be written waits for its sender to come again. */
  graceMs: number;
  /** ms since 1970 */
  now: () => number;
}

export interface KeyedLines {
  key: string;
  /** As it came. */
  body: Uint8Array;
  lines: readonly LineInput[];
  caller: Caller;
}

type Attempt = Omit<KeyedLines, 'body'> & { by: string };

/** Any 128 bits are a run id. */
function runOf(parts: readonly unknown[]): string {
  return formatUlid(hash('sha256', JSON.stringify(parts), 'buffer'), 0);
}

const BODY_HASH_DIGITS = 32;
const MAX_ATTEMPTS = 5;
