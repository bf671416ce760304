import { encodeGap, type GapReason } from '../shared/chunk.ts';
import { RecordQueue, type QueuedRecord } from './delivery-queue.ts';
import type { SpoolBatch, SpoolEnd, SpoolMeta, SpoolState } from './spool-contract.ts';
import { SpoolHealth, STALLED_AFTER_MS } from './spool-health.ts';
import { SpoolReader } from './spool-reader.ts';
import { EMPTY_CHAIN, moved, readRecord, type Chain, type SpoolRecord } from './spool-record.ts';
import { BATCH_BYTES, SpoolError, type Spool } from './spool.ts';

/**
 * A run's records on their way to the relay: taken from capture, written to the spool, read by the uplink in order,
 * forgotten when acknowledged. New ones are in memory, older ones only in the spool; memory is bounded either way.
 *
 * A record may be sent once the spool has it. If the spool fails (or takes too long), records are sent from memory,
 * the spool is tried again now and then, and beyond the bound the oldest ones become a gap, or `full` says so before.
 *
 * What was sent never changes: only records at or above `cursor` become gaps.
 */
export class Backlog {
  /** There may be something to send, or `full` may have changed. */
  onChange: () => void = () => undefined;
  meta: SpoolMeta;
  /** What the relay has acknowledged. */
  acked: Chain = EMPTY_CHAIN;
  epoch: string | undefined;
  /** The next record to be sent. */
  cursor = 0;
  end: SpoolEnd | undefined;
  /** Seqs that gaps take, in all records. */
  missing = 0;
  /** The relay has said at the end that it has other records. */
  unverified = false;
  readonly #options: BacklogOptions;
  readonly #spool: Spool;
  readonly #reader: SpoolReader;
  readonly #health: SpoolHealth;
  #queue = new RecordQueue();
  #writing = false;
  /** One past what is being written, or was. */
  #writingSeq = 0;
  #onSettled: (() => void)[] = [];
  #rewriting = 0;
  #rewrites: Promise<unknown> = Promise.resolve();
  #spoolBytes = 0;
  #endSpooled = false;
  #ackSpooled = 0;
  #ackDue = false;
  #unverifiedDue = false;
  /** Capture's seqs less ours. */
  #shift = 0;
  #saidDropped = false;
  #closed = false;
  #ackTimer: NodeJS.Timeout | undefined;

  /** Takes up a spool that is there, with what it knows. Rejects if it can't be opened. */
  static async resume(options: Omit<BacklogOptions, 'meta'>): Promise<Backlog> {
    const state = await options.spool.open({ path: options.path });
    const backlog = new Backlog({ ...options, meta: state.meta });
    backlog.#resume(state);
    return backlog;
  }

  constructor(options: BacklogOptions) {
    this.#options = options;
    this.#spool = options.spool;
    this.meta = options.meta;
    this.#reader = new SpoolReader(options.spool, (error) => this.#health.read(error));
    this.#health = new SpoolHealth({
      path: options.path,
      onWarning: options.onWarning,
      onRetry: () => void this.#recover(),
      onChange: () => {
        this.#settle();
        this.#boundMemory();
        this.onChange();
      },
    });
  }

  /** Why the spool does not work, while it doesn't. */
  get spoolProblem(): string | undefined {
    return this.#health.problem;
  }

  get nextSeq(): number {
    return this.#queue.nextSeq;
  }

  /** Capture should pause. */
  get full(): boolean {
    const { overflow, memoryLimitBytes, spoolLimitBytes, bufferLines = Infinity } = this.#options;
    const { waitingBytes, nextSeq, spooledSeq, firstSeq } = this.#queue;
    const memoryFull = waitingBytes > memoryLimitBytes / 2 || nextSeq - Math.max(spooledSeq, firstSeq) > bufferLines;
    return overflow === 'block' ? memoryFull || this.#spoolBytes > spoolLimitBytes : memoryFull && this.#health.trusted;
  }

  /** All that was sent must leave room for what may be dropped. */
  get flightLimitBytes(): number {
    const { memoryLimitBytes, spoolLimitBytes } = this.#options;
    return Math.min(spoolLimitBytes, this.#health.trusted ? Infinity : memoryLimitBytes) / 2;
  }

  /** Everything has been taken by `next`, and so may the end be sent. */
  get endReadable(): boolean {
    return (
      this.end !== undefined &&
      this.cursor === this.nextSeq &&
      this.#rewriting === 0 &&
      (this.#endSpooled || !this.#health.trusted)
    );
  }

  /** Everything that was put survives a SIGKILL. */
  get spooled(): boolean {
    return (this.#health.state === 'ok' || this.#health.state === 'failed') && this.#queue.spooledSeq === this.nextSeq;
  }

  /** Bytes of records in memory. */
  get memoryBytes(): number {
    return this.#queue.bytes;
  }

  /** Lines that the relay has not acknowledged. */
  get unsentLines(): number {
    return Math.max(0, this.nextSeq - this.acked.seq - (this.missing - this.acked.missing));
  }

  /** Begins a new spool. A failure is the backlog's to handle. */
  start(): void {
    this.#health.begins();
    this.#spool.open({ path: this.#options.path, meta: this.meta }).then(
      () => this.#opened(),
      (error: unknown) => this.#health.failed(error),
    );
  }

  /** Takes capture's next chunk. */
  put(chunk: Buffer): void {
    const record = readRecord(chunk);
    if (record.run === this.meta.run) this.#append(record, chunk);
    else {
      const bytes = moved(chunk, { run: this.meta.run, firstSeq: record.firstSeq - this.#shift });
      this.#append(readRecord(bytes), bytes);
    }
  }

  /** Appends a gap. */
  putGap(reason: GapReason, count: number): void {
    const gap = this.#gap({ firstSeq: this.nextSeq, count, reason, time: this.#options.now() });
    this.#append(gap, gap.bytes);
  }

  #append(record: SpoolRecord, bytes: Buffer): void {
    const { firstSeq, count, lines, textBytes, crc } = record;
    this.#queue.push({ firstSeq, count, lines, textBytes, crc, bytes });
    this.missing += record.count - record.lines;
    this.#write();
    this.#boundMemory();
  }

  /** No more records come. */
  setEnd(end: SpoolEnd): void {
    this.end = end;
    this.#write();
    this.onChange();
  }

  /** Takes the record at the cursor, which moves past it; undefined if it can't be sent yet, or there is none. */
  next(): QueuedRecord | undefined {
    const readableSeq = this.#health.trusted ? this.#queue.spooledSeq : this.nextSeq;
    if (this.#rewriting > 0 || this.cursor >= readableSeq) return undefined;
    const record = this.cursor < this.#queue.firstSeq ? this.#older() : this.#queue.at(this.cursor);
    if (record) this.cursor = record.firstSeq + record.count;
    return record;
  }

  /** The relay has all up to `chain`. */
  setAcked(chain: Chain): void {
    this.acked = chain;
    this.cursor = Math.max(this.cursor, chain.seq);
    this.#queue.dropBelow(chain.seq);
    if (this.#spoolBytes > this.#options.spoolLimitBytes) {
      this.#ackDue = true;
      this.#write();
    } else {
      this.#ackTimer ??= setTimeout(() => {
        this.#ackTimer = undefined;
        this.#ackDue = true;
        this.#write();
      }, ACK_DELAY_MS).unref();
    }
    this.onChange();
  }

  /** Sends again from `seq` on, which is not below what is acknowledged. */
  resend(seq: number): void {
    this.cursor = seq;
  }

  /** As `Spool.chainAt`; `forgotten` too if the spool can't tell. */
  async chainAt(seq: number): Promise<Chain | 'forgotten' | undefined> {
    if (seq === this.acked.seq) return this.acked;
    if (this.#health.state !== 'ok') return 'forgotten';
    return this.#spool.chainAt(seq).catch(() => 'forgotten' as const);
  }

  /** The relay has forgotten what it acknowledged, and is back at `at`. What is no longer there becomes a gap. */
  async rewind(at: Chain, epoch: string): Promise<void> {
    this.#reader.clear();
    this.acked = at;
    this.epoch = epoch;
    this.cursor = this.#ackSpooled = at.seq;
    await this.#rewrite(async () => {
      if (this.#health.state === 'ok')
        this.missing += await this.#spool.rewind({ at, epoch, time: this.#options.now() });
    });
  }

  /** The relay does not take the record at `seq`, ever: a gap goes in its place. */
  async reject(seq: number): Promise<void> {
    await this.#rewrite(async () => {
      const time = this.#options.now();
      this.#reader.clear();
      const record = seq >= this.#queue.firstSeq ? this.#queue.at(seq) : undefined;
      const lines = seq < this.#queue.spooledSeq ? await this.#spool.reject({ seq, time }) : (record?.lines ?? 0);
      if (record) this.#queue.replace(this.#gap({ firstSeq: seq, count: record.count, reason: 'rejected', time }));
      this.missing += lines;
      this.cursor = seq;
    });
  }

  /** Another writer has written this run: what is not acknowledged becomes a new run. Rejects if the spool can't. */
  async fork(run: string): Promise<void> {
    await this.#rewrite(async () => {
      const from = this.acked;
      if (this.#health.state !== 'ok') throw new SpoolError('the spool does not work');
      await this.#spool.fork({ fromSeq: from.seq, run });
      this.#reader.clear();
      this.#queue.dropBelow(from.seq);
      this.#queue.move(run, from.seq);
      this.#shift += from.seq;
      this.#writingSeq -= from.seq;
      this.missing -= from.missing;
      this.acked = EMPTY_CHAIN;
      this.cursor = this.#ackSpooled = 0;
      this.meta = { ...this.meta, run, labels: { ...this.meta.labels, continues: this.meta.run } };
    });
  }

  /** The relay has more of the run than this spool, all of whose records it has: goes on behind that. */
  async adopt(at: Chain): Promise<void> {
    await this.#rewrite(async () => {
      await this.#spool.reset({ at });
      this.acked = at;
      this.missing = at.missing;
      this.cursor = this.#ackSpooled = this.#writingSeq = at.seq;
      this.#queue = new RecordQueue(at.seq);
    });
  }

  /** Waits until all is written that can be. */
  async settled(): Promise<void> {
    while ((this.#writing || this.#health.state === 'opening') && !this.#health.stalled)
      await new Promise<void>((resolve) => this.#onSettled.push(resolve));
  }

  /** Lets go of the spool; `destroy`: the relay has it all, it is deleted; `unverified`: it is marked so. */
  async close(how: 'keep' | 'destroy' | 'unverified'): Promise<void> {
    if (how !== 'destroy') {
      await this.settled();
      this.#ackDue = true;
      this.#unverifiedDue = how === 'unverified';
      this.#write();
      await this.settled();
    }
    this.#closed = true;
    this.#health.end();
    clearTimeout(this.#ackTimer);
    const closing =
      this.#health.stalled || this.#health.state !== 'ok'
        ? this.#spool.terminate()
        : this.#spool.close(how === 'destroy' ? 'destroy' : 'keep');
    await withinPatience(closing);
  }

  #resume(state: SpoolState): void {
    this.acked = state.acked ?? EMPTY_CHAIN;
    this.epoch = state.epoch;
    this.end = state.end;
    this.#endSpooled = state.end !== undefined;
    this.missing = state.missing;
    this.unverified = state.unverified;
    this.#queue = new RecordQueue(state.nextSeq);
    this.#writingSeq = state.nextSeq;
    this.cursor = this.#ackSpooled = this.acked.seq;
    this.#spoolBytes = state.bytes;
    this.#opened();
  }

  #opened(): void {
    this.#health.opened();
    this.#write();
    this.#settle();
    this.onChange();
  }

  #write(): void {
    if (this.#health.state !== 'ok' || this.#writing || this.#rewriting > 0 || this.#closed) return;
    const { spooledSeq, nextSeq } = this.#queue;
    if (this.acked.seq > spooledSeq) {
      // Sent from memory and acknowledged meanwhile: the spool goes on behind it.
      this.#inBackground(this.#rewrite(() => this.#reset()));
      return;
    }
    const records = this.#queue.waiting(BATCH_BYTES);
    const last = records.at(-1);
    const writingSeq = last ? last.firstSeq + last.count : spooledSeq;
    const end = this.#endSpooled || writingSeq < nextSeq ? undefined : this.end;
    if (!last && !end && !this.#unverifiedDue && !(this.#ackDue && this.#ackSpooled < this.acked.seq)) return;
    const { seq } = this.acked;
    const batch: SpoolBatch = {
      records: records.map(({ bytes }) => bytes),
      acked: seq > this.#ackSpooled ? { seq, epoch: this.epoch } : undefined,
      end,
      unverified: this.#unverifiedDue,
      limitBytes: this.#options.spoolLimitBytes,
    };
    this.#writing = true;
    this.#writingSeq = writingSeq;
    this.#health.begins();
    this.#spool.write(batch).then(
      (bytes) => {
        this.#queue.spooled(writingSeq);
        this.#queue.shrinkSpooled(CACHE_BYTES);
        this.#spoolBytes = bytes;
        this.#ackSpooled = Math.max(this.#ackSpooled, seq);
        // What was acknowledged meanwhile is as due as before.
        if (this.acked.seq <= seq) this.#ackDue = false;
        this.#unverifiedDue = false;
        if (end) this.#endSpooled = true;
        this.#health.wrote();
        this.#written();
        this.#boundSpool();
        this.#write();
        this.onChange();
      },
      (error: unknown) => {
        this.#health.failed(error);
        this.#written();
      },
    );
  }

  #written(): void {
    this.#writing = false;
    this.#health.answered();
    this.#settle();
  }

  /** Who waits for the spool looks again. */
  #settle(): void {
    for (const resolve of this.#onSettled.splice(0)) resolve();
  }

  #boundSpool(): void {
    const { spoolLimitBytes, overflow, now } = this.#options;
    if (overflow === 'block' || this.#spoolBytes <= spoolLimitBytes || this.#rewriting > 0) return;
    const dropped = this.#rewrite(async () => {
      const fromSeq = this.cursor;
      const untilBytes = spoolLimitBytes * (1 - DROPPED_SHARE);
      const { count, lines, bytes } = await this.#spool.drop({ fromSeq, untilBytes, time: now() });
      this.#spoolBytes = bytes;
      if (count === 0) return;
      this.#reader.clear();
      this.#queue.dropBelow(fromSeq + count);
      this.missing += lines;
      this.#sayDropped('the spool is full');
    });
    this.#inBackground(dropped);
  }

  #boundMemory(): void {
    const { memoryLimitBytes, overflow, now } = this.#options;
    if (overflow === 'block' || this.#health.trusted || this.#queue.waitingBytes <= memoryLimitBytes) return;
    const firstSeq = Math.max(
      this.cursor,
      this.#queue.spooledSeq,
      this.#queue.firstSeq,
      this.#writing ? this.#writingSeq : 0,
    );
    const { count, lines } = this.#queue.oldest(firstSeq, memoryLimitBytes * (1 - DROPPED_SHARE));
    if (lines === 0) return;
    this.#queue.replace(this.#gap({ firstSeq, count, reason: 'dropped', time: now() }));
    this.missing += lines;
    this.#sayDropped('the spool does not work and memory is full');
  }

  /** A record that is in the spool only. */
  #older(): QueuedRecord | undefined {
    if (this.#health.state === 'gone') {
      const [firstSeq, count] = [this.cursor, this.#queue.firstSeq - this.cursor];
      const gap = this.#gap({ firstSeq, count, reason: 'dropped', time: this.#options.now() });
      this.#queue.replace(gap);
      this.missing += count;
      return gap;
    }
    const bytes = this.#reader.take(this.cursor, this.#queue.firstSeq);
    return bytes && { ...readRecord(bytes), bytes };
  }

  /** Changes records that are there already: nothing is written or read meanwhile. */
  async #rewrite(work: () => Promise<void>): Promise<void> {
    this.#rewriting++;
    const turn = this.#rewrites.then(async () => {
      while (this.#writing) await new Promise<void>((resolve) => this.#onSettled.push(resolve));
      await work();
    });
    this.#rewrites = turn.catch(() => undefined);
    try {
      await turn;
    } finally {
      this.#rewriting--;
      this.#write();
      this.onChange();
    }
  }

  async #reset(): Promise<void> {
    const at = this.acked;
    await this.#spool.reset({ at });
    this.#queue.spooled(at.seq);
    this.#ackSpooled = this.#writingSeq = at.seq;
  }

  #inBackground(work: Promise<void>): void {
    work.catch((error: unknown) => this.#health.failed(error));
  }

  #gap(gap: { firstSeq: number; count: number; reason: GapReason; time: number }): QueuedRecord {
    const bytes = encodeGap({ ...gap, run: this.meta.run });
    return { ...readRecord(bytes), bytes };
  }

  async #recover(): Promise<void> {
    try {
      const { spooledSeq } = this.#queue;
      const state = await this.#spool.open({ path: this.#options.path, meta: this.meta, truncateSeq: spooledSeq });
      if (this.#closed) return;
      if (state.nextSeq !== spooledSeq && this.acked.seq < spooledSeq) {
        this.#health.lost('has lost what was in it');
        return;
      }
      this.#endSpooled = false;
      if (state.nextSeq !== spooledSeq) await this.#reset();
      this.#opened();
    } catch (error) {
      this.#health.failed(error);
    }
  }

  #sayDropped(why: string): void {
    if (this.#saidDropped) return;
    this.#saidDropped = true;
    this.#options.onWarning(`${why}: the oldest lines that the relay has not taken are dropped; a gap stands for them`);
  }
}

/** A disk that hangs must not hold up the process's end. */
async function withinPatience(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, STALLED_AFTER_MS)));
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

export interface BacklogOptions {
  spool: Spool;
  path: string;
  /** Of the run; what a resumed spool says takes its place. */
  meta: SpoolMeta;
  /** Bytes that the records in the spool may take. */
  spoolLimitBytes: number;
  /** Bytes of records that are not in the spool. */
  memoryLimitBytes: number;
  /** Lines that are not in the spool; no bound if absent. */
  bufferLines?: number;
  overflow: 'drop-oldest' | 'block';
  onWarning: (text: string) => void;
  /** ms since 1970 */
  now: () => number;
}

/** Records that are kept in memory although the spool has them: what was just written is about to be sent. */
const CACHE_BYTES = 8 * 1024 * 1024;
/** A little more than needed is dropped at once, so that it is not done again for every record. */
const DROPPED_SHARE = 1 / 32;
/** What was acknowledged is noted with the next records, or after this long. */
const ACK_DELAY_MS = 1000;
