import type { RecordQueue } from './delivery-queue.ts';
import type { SpoolBatch, SpoolEnd, SpoolMeta } from './spool-contract.ts';
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
  /** Runs for a while after a large batch has left. */
  #rest: NodeJS.Timeout | undefined;
  #finishing = false;
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

  /** Begins the spool, with all that there is by now: it has what was sent, or it is not there. */
  open(path: string, meta: SpoolMeta): void {
    const { health, spool } = this.#options;
    health.opens();
    const due = this.#due();
    const opened = spool.open({ path, meta, first: due.batch }).then((state) => {
      health.opened();
      return state.bytes;
    });
    this.#carry(due, opened);
  }

  /** Writes what there is to be written, if that is possible now. */
  write(): void {
    const { health, spool, state } = this.#options;
    if (health.state !== 'ok' || this.#writing || this.#rewriting > 0 || this.#closed) return;
    const { queue, acked, end, urgent } = state();
    if (acked.seq > queue.spooledSeq && queue.firstSeq > queue.spooledSeq) {
      // Sent from memory, acknowledged and let go of meanwhile: the spool goes on behind it.
      this.inBackground(this.rewrite(() => this.reset()));
      return;
    }
    // What comes meanwhile is written with it.
    const hurries = urgent || this.#finishing || end !== undefined || queue.waitingBytes >= BATCH_BYTES / 2;
    if (this.#rest && !hurries) return;
    const due = this.#due();
    const { batch } = due;
    if (batch.records.length === 0 && !batch.end && !batch.unverified && !(this.#ackDue && batch.acked)) return;
    health.begins();
    this.#carry(due, spool.write(batch));
  }

  /** What would be written now, and one past it. */
  #due(): DueBatch {
    const { limitBytes, state } = this.#options;
    const { queue, acked, epoch, end } = state();
    const waiting = queue.waiting(BATCH_BYTES);
    const last = waiting.at(-1);
    const seq = last ? last.firstSeq + last.count : queue.spooledSeq;
    const batch: SpoolBatch = {
      records: waiting.map(({ bytes }) => bytes),
      acked: acked.seq > this.#ackSpooled && acked.seq <= seq ? { seq: acked.seq, epoch } : undefined,
      end: this.endSpooled || seq < queue.nextSeq ? undefined : end,
      unverified: this.#unverifiedDue,
      limitBytes,
    };
    return { batch, seq };
  }

  /** `written` resolves with the spool's bytes when it has the batch. */
  #carry({ batch, seq }: DueBatch, written: Promise<number>): void {
    const { health } = this.#options;
    this.#writing = true;
    this.#writingSeq = seq;
    this.#restAfter(batch);
    written.then(
      (bytes) => {
        this.bytes = bytes;
        this.#wrote(seq, batch.acked?.seq ?? this.#ackSpooled);
        if (batch.end) this.endSpooled = true;
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

  /** Keeps the next batch waiting for a while if this one is large. */
  #restAfter({ records }: SpoolBatch): void {
    clearTimeout(this.#rest);
    this.#rest = undefined;
    if (records.reduce((bytes, record) => bytes + record.length, 0) < LARGE_BYTES) return;
    this.#rest = setTimeout(() => {
      this.#rest = undefined;
      this.write();
    }, LARGE_EVERY_MS);
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
    this.#finishing = true;
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
    clearTimeout(this.#rest);
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
    queue.dropBelow(Math.min(acked.seq, seq));
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

interface DueBatch {
  batch: SpoolBatch;
  seq: number;
}

export interface SpoolWriterOptions {
  spool: Spool;
  health: SpoolHealth;
  /** Bytes that the records in the spool may take. */
  limitBytes: number;
  /** What is to be written, as it is now. */
  state: () => {
    queue: RecordQueue;
    acked: Chain;
    epoch: string | undefined;
    end: SpoolEnd | undefined;
    /** The script waits for it. */
    urgent: boolean;
  };
  /** A batch is in the spool. */
  onWritten: () => void;
  onRewritten: () => void;
}

/** Records that are kept in memory although the spool has them: what was just written is about to be sent. */
const CACHE_BYTES = 8 * 1024 * 1024;
/**
 * Batches of this many bytes follow each other no sooner than this: each costs the spool's thread, the socket and the
 * relay a turn, and what prints so much is not read line by line.
 */
const LARGE_BYTES = 16 * 1024;
const LARGE_EVERY_MS = 8;
/** What was acknowledged is noted with the next records, or after this long. */
const ACK_DELAY_MS = 1000;
