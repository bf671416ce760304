import { rmSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { encodeGap, MAX_GAP_LINES, readHeader } from '../shared/chunk.ts';
import type { GapReason } from '../shared/gap-reasons.ts';
import { createDatabase, openDatabase, opened } from './spool-database.ts';
import type { Dropped, Rewound, SpoolBatch, SpoolEnd, SpoolMeta, StoredRecord } from './spool-contract.ts';
import { isSound, mendRows } from './spool-mend.ts';
import { advance, EMPTY_CHAIN, moved, readRecord, type Chain, type SpoolRecord } from './spool-record.ts';
import { ROW_BYTES, statements, type Head, type Statements } from './spool-schema.ts';

/**
 * A run's spool: one SQLite file with a row a record (chunk or gap), in the order in which they go to the relay. Runs
 * in a worker (spool-worker.ts); every method is synchronous and one transaction.
 *
 * What a method has written survives SIGKILL of the process once it returns: it is in the operating system's hands.
 * It need not survive power loss, since nothing is fsynced but at checkpoints (`synchronous=NORMAL`); the file stays
 * readable then and may lack its newest records.
 *
 * Records without bytes were acknowledged and evicted for room; they are the oldest ones. They keep what the digest
 * needs, so that the chain can be recomputed up to any record. Before the first row stands `base`.
 */
export class SpoolFile {
  readonly path: string;
  meta: SpoolMeta;
  /** One past the last record. */
  nextSeq: number;
  ackedSeq: number;
  /** Of the relay's store that `ackedSeq` belongs to. */
  epoch: string | undefined;
  end: SpoolEnd | undefined;
  /** The relay has the run and says that it differs. */
  unverified: boolean;
  /** Bytes of all records that are there, as the limit counts them. */
  bytes: number;
  /** Rows were found damaged, now or before. */
  readonly damaged: boolean;
  readonly #db: Database.Database;
  readonly #sql: Statements;
  #base: Chain;
  /** The chain at some acknowledged record, from where later ones are computed. */
  #checkpoint: Chain;
  /** Rows below have no bytes. */
  #evictedSeq: number;
  /** Rows without bytes. */
  #stubs: number;

  /** Makes a new spool, for the user alone, in one step with what is in it first. Throws if there is one. */
  static create(path: string, meta: SpoolMeta, first?: SpoolBatch): SpoolFile {
    return createDatabase(path, meta, (db) => {
      const file = new SpoolFile(path, db);
      if (first) file.write(first);
      return file;
    });
  }

  /**
   * Opens a spool that is there; throws an Error that says why it can't. `readonly`: beside the agent that writes it.
   * `mendTime` (ms): what was damaged is put in order.
   */
  static open(path: string, options: { readonly?: boolean; mendTime?: number } = {}): SpoolFile {
    try {
      return opened(openDatabase(path, options), (db) => new SpoolFile(path, db, options.mendTime));
    } catch (error) {
      throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  private constructor(path: string, db: Database.Database, mendTime?: number) {
    this.path = path;
    this.#db = db;
    this.#sql = statements(db);
    const meta = this.#get('meta');
    if (meta === undefined) throw new Error('was never completely created');
    this.meta = JSON.parse(meta) as SpoolMeta;
    this.ackedSeq = seqOf(this.#get('acked'));
    this.epoch = this.#get('epoch');
    this.end = this.#getJson('end') as SpoolEnd | undefined;
    this.unverified = this.#get('unverified') !== undefined;
    this.#base = this.#checkpoint = (this.#getJson('base') as Chain | undefined) ?? EMPTY_CHAIN;
    this.damaged = mendTime === undefined ? false : this.#mend(mendTime);
    const last = this.#sql.last.get();
    this.nextSeq = last ? last.first_seq + last.count : this.#base.seq;
    const sum = this.#sql.sum.get() as { bytes: number; stubs: number };
    this.bytes = sum.bytes;
    this.#stubs = sum.stubs;
    this.#evictedSeq = this.#sql.firstWithBytes.get(this.#base.seq)?.first_seq ?? this.nextSeq;
  }

  /** Where the records begin. */
  get firstSeq(): number {
    return this.#base.seq;
  }

  /** Seqs that gaps take, in all records. */
  missing(): number {
    return this.#base.missing + (this.#sql.missing.get()?.missing ?? 0);
  }

  /**
   * Appends records, each one past the one before, and notes what is acknowledged and the end. Then evicts the oldest
   * acknowledged records while there are more than `limitBytes`. Throws without having done anything of it.
   */
  write(batch: SpoolBatch): void {
    this.#transaction(() => {
      for (const bytes of batch.records) this.#insert(readRecord(bytes), bytes);
      if (batch.acked) this.#setAcked(batch.acked);
      if (batch.end) {
        this.#set('end', JSON.stringify(batch.end));
        this.end = batch.end;
      }
      if (batch.unverified) this.#set('unverified', 'true');
      this.#evict(batch.limitBytes);
    });
  }

  /** Records from `fromSeq` on, in order, until `maxBytes` are exceeded; at least one if there is any. */
  read(fromSeq: number, maxBytes: number): StoredRecord[] {
    const records: StoredRecord[] = [];
    let bytes = 0;
    for (const row of this.#sql.from.iterate(fromSeq)) {
      records.push({ firstSeq: row.first_seq, count: row.count, bytes: row.bytes });
      bytes += ROW_BYTES + (row.bytes?.length ?? 0);
      if (bytes > maxBytes) break;
    }
    return records;
  }

  /** The chain up to `seq`; `forgotten` if that is below what can be computed; undefined if no record ends there. */
  chainAt(seq: number): Chain | 'forgotten' | undefined {
    if (seq < this.#base.seq) return 'forgotten';
    let chain = this.#checkpoint.seq <= seq ? this.#checkpoint : this.#base;
    for (const row of this.#sql.heads.iterate(chain.seq, seq)) {
      chain = advance(chain, {
        firstSeq: row.first_seq,
        count: row.count,
        lines: row.lines,
        textBytes: row.text_bytes,
        crc: row.crc,
      });
    }
    return chain.seq === seq ? chain : undefined;
  }

  /**
   * Makes room: replaces the oldest records from `fromSeq` on, as many as it takes to come down to `untilBytes`, by one
   * gap `dropped`. None of them may have been sent. Answers how many seqs the gap takes, and lines that became missing.
   */
  drop(fromSeq: number, untilBytes: number, time: number): Dropped {
    let freed = 0;
    let count = 0;
    let lines = 0;
    for (const row of this.#sql.headsFrom.iterate(fromSeq)) {
      if (this.bytes - freed <= untilBytes || count + row.count > MAX_GAP_LINES) break;
      freed += ROW_BYTES + row.size;
      count += row.count;
      lines += row.lines;
    }
    if (lines > 0) this.#transaction(() => this.#putGap({ firstSeq: fromSeq, count, reason: 'dropped', time }));
    return { count: lines > 0 ? count : 0, lines };
  }

  /** Replaces the record at `seq`, which the relay does not take, by a gap. Answers how many lines became missing. */
  reject(seq: number, time: number): number {
    const row = this.#sql.headsFrom.get(seq);
    if (row?.first_seq !== seq) throw new Error(`no record starts at ${seq}`);
    this.#transaction(() => this.#putGap({ firstSeq: seq, count: row.count, reason: 'rejected', time }));
    return row.lines;
  }

  /**
   * Goes on from `at`: the relay has no more than that, perhaps less than it acknowledged. Of what has no bytes from
   * there on, what it had becomes gaps `acked-then-lost`, the rest gaps `corrupt`.
   */
  rewind(at: Chain, epoch: string, time: number): Rewound {
    const before = this.missing();
    this.#transaction(() => {
      const { ackedSeq } = this;
      const [baseSeq, known] = [this.#base.seq, this.chainAt(at.seq)];
      if (at.seq < baseSeq) this.#setBase(at);
      else if (typeof known !== 'object' || known.digest !== at.digest) this.#goOnBehind(at, time);
      else if (at.seq < this.#checkpoint.seq) this.#checkpoint = this.#base;
      this.#stripUnsound(at.seq, ackedSeq);
      const forgotten = at.seq < baseSeq ? [{ firstSeq: at.seq, count: baseSeq - at.seq }] : [];
      for (const { firstSeq, count } of joined([...forgotten, ...this.#sql.stubs.all(at.seq, ackedSeq)]))
        this.#putGap({ firstSeq, count, reason: 'acked-then-lost', time });
      for (const { firstSeq, count } of joined(this.#sql.stubs.all(Math.max(at.seq, ackedSeq), MAX_SEQ)))
        this.#putGap({ firstSeq, count, reason: 'corrupt', time });
      this.#setAcked({ seq: at.seq, epoch });
    });
    return { lines: this.missing() - before, corrupt: this.#corruptFrom(at.seq) };
  }

  /** Forgets every record: the relay has all up to `at`, and what follows comes with the next writes. */
  reset(at: Chain): void {
    this.#transaction(() => {
      this.#delete(0, Infinity);
      this.#setBase(at);
      this.#setAcked({ seq: at.seq, epoch: this.epoch });
      this.nextSeq = this.#evictedSeq = at.seq;
      this.#stubs = 0;
    });
  }

  /** Forgets records at or above `seq`, and the end. */
  truncate(seq: number): void {
    this.#transaction(() => {
      this.#delete(seq, Infinity);
      this.#sql.unset.run('end');
      this.end = undefined;
      this.nextSeq = Math.max(this.#base.seq, Math.min(this.nextSeq, seq));
      this.#evictedSeq = Math.min(this.#evictedSeq, this.nextSeq);
    });
  }

  /** Goes on as a new run, which begins with the records from `fromSeq` on; the ones before are forgotten. */
  fork(fromSeq: number, run: string): void {
    this.#transaction(() => {
      this.#delete(0, fromSeq);
      this.#stubs = 0;
      // Ascending, so that a row never takes the key of one that is still to be moved.
      let at = fromSeq;
      for (let row = this.#sql.from.get(at); row; row = this.#sql.from.get(at)) {
        at = row.first_seq + row.count;
        if (!row.bytes) throw new Error(`the record at ${row.first_seq} has no bytes`);
        const bytes = moved(row.bytes, { run, firstSeq: row.first_seq - fromSeq });
        this.#sql.move.run(row.first_seq - fromSeq, bytes.readUInt32LE(4), bytes, row.first_seq);
      }
      this.meta = { ...this.meta, run, labels: { ...this.meta.labels, continues: this.meta.run } };
      this.#set('meta', JSON.stringify(this.meta));
      this.#setBase(EMPTY_CHAIN);
      this.#setAcked({ seq: 0, epoch: this.epoch });
      this.nextSeq -= fromSeq;
      this.#evictedSeq = 0;
    });
  }

  close(): void {
    this.#db.close();
  }

  /** Deletes the spool and what belongs to it. */
  destroy(): void {
    // Closing moves the log into the file; there is no need to wait for the disk.
    this.#db.pragma('synchronous = OFF');
    this.#db.close();
    for (const suffix of ['', '-wal', '-shm']) rmSync(this.path + suffix, { force: true });
  }

  #mend(time: number): boolean {
    const { meta, ackedSeq } = this;
    const mending = { run: meta.run, baseSeq: this.#base.seq, ackedSeq, time };
    return this.#db.transaction(() => mendRows(this.#sql, mending)).immediate();
  }

  /** Forgets what is below `at`, of which the relay knows better; of a record that reaches beyond, a gap stays. */
  #goOnBehind(at: Chain, time: number): void {
    const last = this.#sql.headBefore.get(at.seq);
    const end = last ? last.first_seq + last.count : at.seq;
    this.#delete(0, at.seq);
    this.#setBase(at);
    if (end > at.seq) this.#putGap({ firstSeq: at.seq, count: end - at.seq, reason: 'corrupt', time });
  }

  #stripUnsound(fromSeq: number, toSeq: number): void {
    const unsound: Head[] = [];
    for (const head of this.#sql.heads.iterate(fromSeq, toSeq)) {
      const { bytes } = this.#sql.from.get(head.first_seq) ?? { bytes: null };
      if (bytes && !isSound(bytes, this.meta.run, head.first_seq)) unsound.push(head);
    }
    for (const { first_seq: seq, size } of unsound) {
      this.#sql.strip.run(seq);
      this.bytes -= size;
      this.#stubs++;
    }
  }

  /** Seqs of all gaps `corrupt` from `seq` on. */
  #corruptFrom(seq: number): number {
    let count = 0;
    for (const { bytes } of this.#sql.gapsFrom.iterate(seq)) {
      if (!bytes) continue;
      const header = readHeader(bytes);
      if (header.reason === 'corrupt') count += header.count;
    }
    return count;
  }

  #transaction(work: () => void): void {
    const { nextSeq, ackedSeq, epoch, end, meta, bytes } = this;
    const [base, checkpoint, evictedSeq, stubs] = [this.#base, this.#checkpoint, this.#evictedSeq, this.#stubs];
    try {
      this.#db.transaction(work).immediate();
    } catch (error) {
      Object.assign(this, { nextSeq, ackedSeq, epoch, end, meta, bytes });
      [this.#base, this.#checkpoint, this.#evictedSeq, this.#stubs] = [base, checkpoint, evictedSeq, stubs];
      throw error;
    }
  }

  #insert(record: SpoolRecord, bytes: Buffer): void {
    if (record.firstSeq !== this.nextSeq) throw new Error(`record ${record.firstSeq} does not follow ${this.nextSeq}`);
    this.#sql.insert.run(
      record.firstSeq,
      record.count,
      record.lines,
      record.textBytes,
      record.crc,
      bytes.length,
      bytes,
    );
    this.nextSeq += record.count;
    this.bytes += ROW_BYTES + bytes.length;
  }

  /** Puts a gap in the place of all records that it covers. */
  #putGap(gap: { firstSeq: number; count: number; reason: GapReason; time: number }): void {
    const bytes = encodeGap({ ...gap, run: this.meta.run });
    const { rows } = this.#delete(gap.firstSeq, gap.firstSeq + gap.count);
    if (gap.reason === 'acked-then-lost' || gap.reason === 'corrupt') this.#stubs = Math.max(0, this.#stubs - rows);
    const { firstSeq, count, crc } = readRecord(bytes);
    this.#sql.insert.run(firstSeq, count, 0, 0, crc, bytes.length, bytes);
    this.bytes += ROW_BYTES + bytes.length;
    this.#evictedSeq = Math.min(this.#evictedSeq, firstSeq);
  }

  #delete(fromSeq: number, toSeq: number): { rows: number } {
    const gone = this.#sql.sumOf.get(fromSeq, toSeq) as { rows: number; bytes: number };
    this.#sql.remove.run(fromSeq, toSeq);
    this.bytes -= gone.bytes;
    return { rows: gone.rows };
  }

  #setAcked(acked: { seq: number; epoch: string | undefined }): void {
    this.#set('acked', String(acked.seq));
    if (acked.epoch !== undefined) this.#set('epoch', acked.epoch);
    this.ackedSeq = acked.seq;
    this.epoch = acked.epoch;
    const chain = this.chainAt(acked.seq);
    if (typeof chain === 'object') this.#checkpoint = chain;
  }

  #setBase(base: Chain): void {
    this.#set('base', JSON.stringify(base));
    this.#base = this.#checkpoint = base;
  }

  #evict(limitBytes: number): void {
    // What is left of evicted records must not take the room of those to come.
    const mostStubs = Math.max(MIN_STUBS, Math.min(MAX_STUBS, Math.floor(limitBytes / 8 / ROW_BYTES)));
    while (this.bytes > limitBytes && this.#evictedSeq < this.ackedSeq) {
      const row = this.#sql.headsFrom.get(this.#evictedSeq);
      if (!row || row.first_seq + row.count > this.ackedSeq) break;
      this.#sql.strip.run(row.first_seq);
      this.bytes -= row.size;
      this.#evictedSeq = row.first_seq + row.count;
      if (++this.#stubs > mostStubs) this.#forgetStubs(mostStubs / 2);
    }
  }

  /** Forgets the oldest rows without bytes, but for the newest `keep` of them. */
  #forgetStubs(keep: number): void {
    const first = this.#sql.nth.get(this.#stubs - Math.floor(keep));
    const chain = first && this.chainAt(first.first_seq);
    if (typeof chain !== 'object') return;
    const checkpoint = this.#checkpoint;
    this.#stubs -= this.#delete(0, chain.seq).rows;
    this.#setBase(chain);
    if (checkpoint.seq > chain.seq) this.#checkpoint = checkpoint;
  }

  #get(key: string): string | undefined {
    return this.#sql.get.get(key)?.value;
  }

  #getJson(key: string): unknown {
    const json = this.#get(key);
    return json === undefined ? undefined : JSON.parse(json);
  }

  #set(key: string, value: string): void {
    this.#sql.set.run(key, value);
  }
}

/** Those that follow each other as one, as far as a gap may reach. */
function joined(stretches: { firstSeq: number; count: number }[]): { firstSeq: number; count: number }[] {
  const runs: { firstSeq: number; count: number }[] = [];
  for (const { firstSeq, count } of stretches) {
    const last = runs.at(-1);
    if (last && last.firstSeq + last.count === firstSeq && last.count + count <= MAX_GAP_LINES) last.count += count;
    else runs.push({ firstSeq, count });
  }
  return runs;
}

/** What can't be one is as if nothing was acknowledged: the relay says what it has. */
function seqOf(text: string | undefined): number {
  const seq = Number(text ?? 0);
  return Number.isSafeInteger(seq) && seq >= 0 ? seq : 0;
}

const MAX_SEQ = Number.MAX_SAFE_INTEGER;

/** Evicted rows that are kept: 64 bytes each, and an eighth of the limit at most. */
const MAX_STUBS = 1 << 18;
const MIN_STUBS = 16;
