import { encodeGap } from '../shared/chunk.ts';
import type { GapReason } from '../shared/gap-reasons.ts';
import { inTime } from './in-time.ts';
import { RecordQueue, type QueuedRecord } from './delivery-queue.ts';
import type { SpoolEnd, SpoolMeta, SpoolState } from './spool-contract.ts';
import { SpoolHealth, STALLED_AFTER_MS } from './spool-health.ts';
import { SpoolReader } from './spool-reader.ts';
import { EMPTY_CHAIN, moved, readRecord, type Chain, type SpoolRecord } from './spool-record.ts';
import { SpoolWriter } from './spool-writer.ts';
import { BATCH_BYTES, SpoolError, type Spool } from './spool.ts';

/**
 * A run's records on their way to the relay: taken from capture, written to the spool, read by the uplink in order,
 * forgotten when acknowledged. New ones are in memory, older ones only in the spool; memory is bounded either way.
 *
 * A record may be sent once the spool has it. If the spool fails (or takes too long), records are sent from memory,
 * the spool is tried again now and then, and beyond the bound the oldest ones become a gap, or `full` says so before.
 *
 * A spool is begun after a moment only (`spoolAfterMs`): most of what a short job says is at the relay by then, and if
 * all of it is verified, there was nothing to keep. Until then records are sent from memory, and stay there though they
 * are acknowledged; when the spool is begun, it comes into being with all of them.
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
  /** The spool was damaged: what the relay says of a record's digest is as good as what we know. */
  damaged = false;
  /** Lines in a damaged spool that can't be read and that the relay has not; gaps stand for them. */
  unreadableLines = 0;
  /** The relay has said at the end that it has other records. */
  unverified = false;
  readonly #options: BacklogOptions;
  readonly #spool: Spool;
  readonly #reader: SpoolReader;
  readonly #health: SpoolHealth;
  readonly #writer: SpoolWriter;
  #queue = new RecordQueue();
  /** Capture's seqs less ours. */
  #shift = 0;
  #saidDropped = false;
  #closed = false;
  #beginTimer: NodeJS.Timeout | undefined;

  /** Takes up a spool that is there, with what it knows. Rejects if it can't be opened. */
  static async resume(options: Omit<BacklogOptions, 'meta'>): Promise<Backlog> {
    const state = await options.spool.open({ path: options.path, time: options.now() });
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
        this.#writer.settle();
        if (!this.#health.trusted) this.#queue.dropBelow(this.acked.seq);
        this.#boundMemory();
        this.onChange();
      },
    });
    this.#writer = new SpoolWriter({
      spool: options.spool,
      health: this.#health,
      limitBytes: options.spoolLimitBytes,
      state: () => ({
        queue: this.#queue,
        acked: this.acked,
        epoch: this.epoch,
        end: this.end,
        urgent: this.full,
      }),
      onWritten: () => {
        this.#boundSpool();
        this.#writer.write();
        this.onChange();
      },
      onRewritten: () => this.onChange(),
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
    return overflow === 'block'
      ? memoryFull || this.#writer.bytes > spoolLimitBytes
      : memoryFull && this.#health.trusted;
  }

  /** All that was sent must leave room for what may be dropped. */
  get flightLimitBytes(): number {
    const { memoryLimitBytes, spoolLimitBytes } = this.#options;
    const bytes = Math.min(spoolLimitBytes, this.#health.trusted ? Infinity : memoryLimitBytes) / 2;
    // What was sent when the spool is begun goes into it as its first batch.
    return this.#health.state === 'unopened' ? Math.min(bytes, UNSPOOLED_BYTES) : bytes;
  }

  /** Everything has been taken by `next`, and so may the end be sent. */
  get endReadable(): boolean {
    return (
      this.end !== undefined &&
      this.cursor === this.nextSeq &&
      !this.#writer.rewriting &&
      (this.#writer.endSpooled || !this.#health.awaited)
    );
  }

  /** Everything that was put survives a SIGKILL, and so does the end. */
  get spooled(): boolean {
    if (this.#health.state !== 'ok' && this.#health.state !== 'failed') return false;
    return this.#queue.spooledSeq === this.nextSeq && (this.end === undefined || this.#writer.endSpooled);
  }

  /** Bytes of records in memory. */
  get memoryBytes(): number {
    return this.#queue.bytes;
  }

  /** Lines that the relay has not acknowledged. */
  get unsentLines(): number {
    return Math.max(0, this.nextSeq - this.acked.seq - (this.missing - this.acked.missing));
  }

  /** A new spool is begun when it is time. A failure is the backlog's to handle. */
  start(): void {
    if (this.#options.spoolAfterMs === undefined) this.begin();
    else this.#beginLater();
  }

  /** Begins a new spool now, if there is none. */
  begin(): void {
    if (this.#health.state !== 'unopened' || this.#closed) return;
    clearInterval(this.#beginTimer);
    this.#writer.open(this.#options.path, this.meta);
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
    if (this.#queue.waitingBytes > UNSPOOLED_BYTES || this.full) this.begin();
    this.#writer.write();
    this.#boundMemory();
  }

  /** No more records come, behind a last gap if one is given: the spool has both at once, or neither. */
  setEnd(end: SpoolEnd, gap?: { reason: GapReason; count: number }): void {
    this.end = end;
    if (gap !== undefined) this.putGap(gap.reason, gap.count);
    // What is left to be said may be verified soon.
    if (this.#health.state === 'unopened') this.#beginLater();
    this.#writer.write();
    this.onChange();
  }

  /** Takes the record at the cursor, which moves past it; undefined if it can't be sent yet, or there is none. */
  next(): QueuedRecord | undefined {
    const readableSeq = this.#health.awaited ? this.#queue.spooledSeq : this.nextSeq;
    if (this.#writer.rewriting || this.cursor >= readableSeq) return undefined;
    const record = this.cursor < this.#queue.firstSeq ? this.#older() : this.#queue.at(this.cursor);
    if (record) this.cursor = record.firstSeq + record.count;
    return record;
  }

  /** The relay has all up to `chain`. */
  setAcked(chain: Chain): void {
    this.acked = chain;
    this.cursor = Math.max(this.cursor, chain.seq);
    this.#queue.dropBelow(this.#health.trusted ? Math.min(chain.seq, this.#queue.spooledSeq) : chain.seq);
    this.#writer.ackSoon();
    this.onChange();
  }

  /** Sends again from `seq` on, which is not below what is acknowledged. */
  resend(seq: number): void {
    this.cursor = seq;
  }

  /** As `Spool.chainAt`; `forgotten` too if the spool can't tell. */
  async chainAt(seq: number): Promise<Chain | 'forgotten' | undefined> {
    if (seq === this.acked.seq) return this.acked;
    if (this.#queue.firstSeq === 0) return this.#queue.chainAt(seq);
    if (this.#health.state !== 'ok') return 'forgotten';
    return this.#spool.chainAt(seq).catch(() => 'forgotten' as const);
  }

  /**
   * The relay has forgotten what it acknowledged, and is back at `at`; or it has, of a damaged spool, all up to `at`.
   * What is no longer there from there on becomes a gap.
   */
  async rewind(at: Chain, epoch: string): Promise<void> {
    this.#reader.clear();
    this.acked = at;
    this.epoch = epoch;
    this.cursor = at.seq;
    this.#writer.rewound(at.seq);
    await this.#writer.rewrite(async () => {
      if (this.#health.state !== 'ok') return;
      const { lines, corrupt } = await this.#spool.rewind({ at, epoch, time: this.#options.now() });
      this.missing += lines;
      this.#noteUnreadable(corrupt);
    });
  }

  /** The relay does not take the record at `seq`, ever: a gap goes in its place. */
  async reject(seq: number): Promise<void> {
    await this.#writer.rewrite(async () => {
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
    await this.#writer.rewrite(async () => {
      const from = this.acked;
      if (this.#health.state !== 'ok') throw new SpoolError('the spool does not work');
      await this.#spool.fork({ fromSeq: from.seq, run });
      this.#reader.clear();
      this.#queue.dropBelow(from.seq);
      this.#queue.move(run, from.seq);
      this.#shift += from.seq;
      this.#writer.renumbered(from.seq);
      this.missing -= from.missing;
      this.acked = EMPTY_CHAIN;
      this.cursor = 0;
      this.meta = { ...this.meta, run, labels: { ...this.meta.labels, continues: this.meta.run } };
    });
  }

  /** The relay has more of the run than this spool, all of whose records it has: goes on behind that. */
  async adopt(at: Chain): Promise<void> {
    await this.#writer.rewrite(async () => {
      await this.#spool.reset({ at });
      this.acked = at;
      this.missing = at.missing;
      this.cursor = at.seq;
      this.#writer.startAt(at.seq);
      this.#queue = new RecordQueue(at.seq);
    });
  }

  /** Lets go of the spool; `destroy`: the relay has it all, it is deleted; `unverified`: it is marked so. */
  async close(how: 'keep' | 'destroy' | 'unverified'): Promise<void> {
    if (how !== 'destroy') {
      this.begin();
      await this.#writer.finish({ unverified: how === 'unverified' });
    } else if (this.#health.state === 'opening') await this.#writer.settled();
    this.#closed = true;
    clearInterval(this.#beginTimer);
    this.#health.end();
    this.#writer.close();
    // Also one that takes nothing in any more: what is in it would be sent once more, as another run.
    const closing =
      this.#health.stalled || (how !== 'destroy' && this.#health.state !== 'ok')
        ? this.#spool.terminate()
        : this.#spool.close(how === 'destroy' ? 'destroy' : 'keep');
    // A disk that hangs must not hold up the process's end.
    await inTime(closing, STALLED_AFTER_MS, () => undefined);
  }

  /** In turns: on a machine that has no time for us, what we wait for comes later, too. */
  #beginLater(): void {
    const { spoolAfterMs = 0 } = this.#options;
    let turns = BEGIN_TURNS;
    clearInterval(this.#beginTimer);
    this.#beginTimer = setInterval(() => --turns === 0 && this.begin(), spoolAfterMs / BEGIN_TURNS).unref();
  }

  #resume(state: SpoolState): void {
    this.acked = state.acked ?? EMPTY_CHAIN;
    this.epoch = state.epoch;
    this.end = state.end;
    this.#writer.endSpooled = state.end !== undefined;
    this.missing = state.missing;
    this.unverified = state.unverified;
    this.damaged = state.damaged;
    this.#queue = new RecordQueue(state.nextSeq);
    this.cursor = this.acked.seq;
    this.#writer.startAt(state.nextSeq, this.acked.seq);
    this.#writer.bytes = state.bytes;
    this.#opened();
  }

  #opened(): void {
    this.#health.opened();
    this.#writer.write();
    this.#writer.settle();
    this.onChange();
  }

  #boundSpool(): void {
    const { spoolLimitBytes, overflow, now } = this.#options;
    if (overflow === 'block' || this.#writer.bytes <= spoolLimitBytes || this.#writer.rewriting) return;
    const dropped = this.#writer.rewrite(async () => {
      const fromSeq = this.cursor;
      const untilBytes = spoolLimitBytes * (1 - DROPPED_SHARE);
      const { count, lines, bytes } = await this.#spool.drop({ fromSeq, untilBytes, time: now() });
      this.#writer.bytes = bytes;
      if (count === 0) return;
      this.#reader.clear();
      this.#queue.dropBelow(fromSeq + count);
      this.missing += lines;
      this.#sayDropped('the spool is full');
    });
    this.#writer.inBackground(dropped);
  }

  #boundMemory(): void {
    const { memoryLimitBytes, overflow, now } = this.#options;
    if (overflow === 'block' || this.#health.trusted || this.#queue.waitingBytes <= memoryLimitBytes) return;
    const firstSeq = Math.max(this.cursor, this.#queue.spooledSeq, this.#queue.firstSeq, this.#writer.reachedSeq);
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
    return this.#reader.take(this.cursor, this.#queue.firstSeq);
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
      this.#writer.endSpooled = false;
      if (state.nextSeq !== spooledSeq) await this.#writer.reset();
      this.#opened();
    } catch (error) {
      this.#health.failed(error);
    }
  }

  #noteUnreadable(lines: number): void {
    if (lines > 0 && this.unreadableLines === 0)
      this.#options.onWarning(
        `the spool ${this.#options.path} is damaged: ${lines} of its lines can't be read; gaps stand for them`,
      );
    this.unreadableLines = lines;
  }

  #sayDropped(why: string): void {
    if (this.#saidDropped) return;
    this.#saidDropped = true;
    this.#options.onWarning(`${why}: the oldest lines that the relay has not taken are dropped; a gap stands for them`);
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
  /** When a new spool is begun; at once if absent. */
  spoolAfterMs?: number;
  overflow: 'drop-oldest' | 'block';
  onWarning: (text: string) => void;
  /** ms since 1970 */
  now: () => number;
}

/** More is not sent or kept before there is a spool. Less than one batch of it, which comes into being with it. */
const UNSPOOLED_BYTES = BATCH_BYTES / 4;

const BEGIN_TURNS = 10;

/** A little more than needed is dropped at once, so that it is not done again for every record. */
const DROPPED_SHARE = 1 / 32;
