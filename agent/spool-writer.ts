import type { RecordQueue } from './delivery-queue.ts';
import type { SpoolBatch, SpoolEnd } from './spool-contract.ts';
import type { SpoolHealth } from './spool-health.ts';
import type { Chain } from './spool-record.ts';
import { BATCH_BYTES, type Spool } from './spool.ts';

/**
 * Brings a backlog's records, acknowledgements and end into its spool, one batch after the other, as long as the spool
 * works. Those who change what is in it already (`rewrite`) take turns with that: nothing is written meanwhile.
 */
export class SpoolWriter {
  /** That the records in the spool take. */
  bytes = 0;
  /** The spool has the end. */
  endSpooled = false;
  readonly #options: SpoolWriterOptions;
  #writing = false;
  /** One past what is being written, or was. */
  #writingSeq = 0;
  #onSettled: (() => void)[] = [];
  #rewriting = 0;
  #rewrites: Promise<unknown> = Promise.resolve();
  /** Up to where the spool knows what is acknowledged. */
  #ackSpooled = 0;
  #ackDue = false;
  #ackTimer: NodeJS.Timeout | undefined;
  #unverifiedDue = false;
  #closed = false;

  constructor(options: SpoolWriterOptions) {
    this.#options = options;
  }

  /** What is in the spool is being changed, or is about to be. */
  get rewriting(): boolean {
    return this.#rewriting > 0;
  }

  /** One past what may be in the spool already, or soon; what is above can still be changed. */
  get reachedSeq(): number {
    return this.#writing ? this.#writingSeq : 0;
  }

  /** The spool has all below `seq`, and knows what is acknowledged below `acked`. */
  startAt(seq: number, acked = seq): void {
    this.#writingSeq = seq;
    this.#ackSpooled = acked;
  }

  /** The relay is back at `seq`. */
  rewound(seq: number): void {
    this.#ackSpooled = seq;
  }

  /** All records have `by` lower seqs, and none is acknowledged. */
  renumbered(by: number): void {
    this.#writingSeq -= by;
    this.#ackSpooled = 0;
  }

  /** Writes what there is to be written, if that is possible now. */
  write(): void {
    const { health, spool, limitBytes, state } = this.#options;
    if (health.state !== 'ok' || this.#writing || this.#rewriting > 0 || this.#closed) return;
    const { queue, acked, epoch, end: wholeEnd } = state();
    const { spooledSeq, nextSeq } = queue;
    if (acked.seq > spooledSeq) {
      // Sent from memory and acknowledged meanwhile: the spool goes on behind it.
      this.inBackground(this.rewrite(() => this.reset()));
      return;
    }
    const records = queue.waiting(BATCH_BYTES);
    const last = records.at(-1);
    const writingSeq = last ? last.firstSeq + last.count : spooledSeq;
    const end = this.endSpooled || writingSeq < nextSeq ? undefined : wholeEnd;
    if (!last && !end && !this.#unverifiedDue && !(this.#ackDue && this.#ackSpooled < acked.seq)) return;
    const batch: SpoolBatch = {
      records: records.map(({ bytes }) => bytes),
      acked: acked.seq > this.#ackSpooled ? { seq: acked.seq, epoch } : undefined,
      end,
      unverified: this.#unverifiedDue,
      limitBytes,
    };
    this.#writing = true;
    this.#writingSeq = writingSeq;
    health.begins();
    spool.write(batch).then(
      (bytes) => {
        this.bytes = bytes;
        this.#wrote(writingSeq, acked.seq);
        if (end) this.endSpooled = true;
        health.wrote();
        this.#written();
        this.#options.onWritten();
      },
      (error: unknown) => {
        health.failed(error);
        this.#written();
      },
    );
  }

  /** More was acknowledged: that is noted with the next records, or soon; at once where it makes room. */
  ackSoon(): void {
    const note = (): void => {
      this.#ackTimer = undefined;
      this.#ackDue = true;
      this.write();
    };
    if (this.bytes > this.#options.limitBytes) {
      this.#ackDue = true;
      this.write();
    } else this.#ackTimer ??= setTimeout(note, ACK_DELAY_MS).unref();
  }

  /** Waits until all is written that can be. */
  async settled(): Promise<void> {
    const { health } = this.#options;
    while ((this.#writing || health.state === 'opening') && !health.stalled) await this.#turn();
  }

  /** Writes the last of it. */
  async finish({ unverified }: { unverified: boolean }): Promise<void> {
    await this.settled();
    this.#ackDue = true;
    this.#unverifiedDue = unverified;
    this.write();
    await this.settled();
  }

  /** Nothing is written any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#ackTimer);
  }

  /** Who waits for the spool looks again. */
  settle(): void {
    for (const resolve of this.#onSettled.splice(0)) resolve();
  }

  /** Changes records that are there already: nothing is written or read meanwhile. */
  async rewrite(work: () => Promise<void>): Promise<void> {
    this.#rewriting++;
    const turn = this.#rewrites.then(async () => {
      while (this.#writing) await this.#turn();
      await work();
    });
    this.#rewrites = turn.catch(() => undefined);
    try {
      await turn;
    } finally {
      this.#rewriting--;
      this.write();
      this.#options.onRewritten();
    }
  }

  /** As part of a rewrite: the spool forgets all that is acknowledged, and goes on behind it. */
  async reset(): Promise<void> {
    const { queue, acked } = this.#options.state();
    await this.#options.spool.reset({ at: acked });
    queue.spooled(acked.seq);
    this.startAt(acked.seq);
  }

  /** For a rewrite that nobody waits for. */
  inBackground(work: Promise<void>): void {
    work.catch((error: unknown) => this.#options.health.failed(error));
  }

  #wrote(seq: number, ackedSeq: number): void {
    const { queue, acked } = this.#options.state();
    queue.spooled(seq);
    queue.shrinkSpooled(CACHE_BYTES);
    this.#ackSpooled = Math.max(this.#ackSpooled, ackedSeq);
    // What was acknowledged meanwhile is as due as before.
    if (acked.seq <= ackedSeq) this.#ackDue = false;
    this.#unverifiedDue = false;
  }

  #written(): void {
    this.#writing = false;
    this.#options.health.answered();
    this.settle();
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#onSettled.push(resolve));
  }
}

export interface SpoolWriterOptions {
  spool: Spool;
  health: SpoolHealth;
  /** Bytes that the records in the spool may take. */
  limitBytes: number;
  /** What is to be written, as it is now. */
  state: () => { queue: RecordQueue; acked: Chain; epoch: string | undefined; end: SpoolEnd | undefined };
  /** A batch is in the spool. */
  onWritten: () => void;
  onRewritten: () => void;
}

/** Records that are kept in memory although the spool has them: what was just written is about to be sent. */
const CACHE_BYTES = 8 * 1024 * 1024;
/** What was acknowledged is noted with the next records, or after this long. */
const ACK_DELAY_MS = 1000;
