import { advance, EMPTY_CHAIN, moved, type Chain, type SpoolRecord } from './spool-record.ts';

export interface QueuedRecord extends SpoolRecord {
  bytes: Buffer;
}

/** What an entry costs beside its bytes, so that many small ones are bounded too. */
const ENTRY_BYTES = 256;
/** Entries that were taken from the front are let go of in groups; a group keeps its bytes until then. */
const COMPACT_AFTER = 32;

/**
 * The newest records of a run, consecutive up to `nextSeq`, in memory. Those below `spooledSeq` are in the spool too;
 * the others wait for it.
 */
export class RecordQueue {
  nextSeq: number;
  spooledSeq: number;
  /** Memory that all records take, and those that wait for the spool. */
  bytes = 0;
  waitingBytes = 0;
  #records: QueuedRecord[] = [];
  #head = 0;

  constructor(nextSeq = 0) {
    this.nextSeq = this.spooledSeq = nextSeq;
  }

  /** Where the records begin; `nextSeq` if there are none. */
  get firstSeq(): number {
    return this.#head < this.#records.length ? this.#records[this.#head].firstSeq : this.nextSeq;
  }

  /** `record` is one past the last. */
  push(record: QueuedRecord): void {
    if (record.firstSeq !== this.nextSeq) throw new Error(`record ${record.firstSeq} does not follow ${this.nextSeq}`);
    this.#records.push(record);
    this.#count(record, 1);
    this.nextSeq += record.count;
  }

  /** The record that starts at `seq`, which is not below `firstSeq`. */
  at(seq: number): QueuedRecord | undefined {
    const record = this.#records.at(this.#indexOf(seq));
    return record?.firstSeq === seq ? record : undefined;
  }

  /** The chain up to `seq`, if all of the run's records are here and one of them ends there. */
  chainAt(seq: number): Chain | undefined {
    const end = this.#indexOf(seq);
    const chain = this.#records.slice(this.#head, end).reduce(advance, EMPTY_CHAIN);
    return chain.seq === seq ? chain : undefined;
  }

  /** The records that wait for the spool, up to `maxBytes` of their bytes, one at least. */
  waiting(maxBytes: number): QueuedRecord[] {
    const records: QueuedRecord[] = [];
    let bytes = 0;
    for (let i = this.#indexOf(this.spooledSeq); i < this.#records.length; i++) {
      bytes += this.#records[i].bytes.length;
      if (bytes > maxBytes && records.length > 0) break;
      records.push(this.#records[i]);
    }
    return records;
  }

  /** What is below `seq` is in the spool. */
  spooled(seq: number): void {
    for (let i = this.#indexOf(this.spooledSeq); i < this.#records.length; i++) {
      if (this.#records[i].firstSeq >= seq) break;
      this.waitingBytes -= sizeOf(this.#records[i]);
    }
    this.spooledSeq = seq;
  }

  /** Forgets the records below `seq`. */
  dropBelow(seq: number): void {
    while (this.#head < this.#records.length && this.#records[this.#head].firstSeq < seq) this.#shift();
  }

  /** Forgets the oldest records that are in the spool, until those take no more than `bytes`. */
  shrinkSpooled(bytes: number): void {
    while (this.bytes - this.waitingBytes > bytes) this.#shift();
  }

  /**
   * Picks the records from `fromSeq` on (where one starts), as many as it takes to bring what waits down to
   * `untilBytes`, for one gap instead of them.
   */
  oldest(fromSeq: number, untilBytes: number): { count: number; lines: number } {
    let waiting = this.waitingBytes;
    let count = 0;
    let lines = 0;
    for (let i = this.#indexOf(fromSeq); i < this.#records.length && waiting > untilBytes; i++) {
      waiting -= sizeOf(this.#records[i]);
      count += this.#records[i].count;
      lines += this.#records[i].lines;
    }
    return { count, lines };
  }

  /** Puts `gap` in the place of the records that it covers; or before all others, where there were none. */
  replace(gap: QueuedRecord): void {
    const from = this.#indexOf(gap.firstSeq);
    const to = this.#indexOf(gap.firstSeq + gap.count);
    for (const record of this.#records.splice(from, to - from, gap)) this.#count(record, -1);
    this.#count(gap, 1);
  }

  /** Renumbers all records, `by` less, into another run. */
  move(run: string, by: number): void {
    this.#records = this.#records.slice(this.#head).map((record) => {
      const firstSeq = record.firstSeq - by;
      const bytes = moved(record.bytes, { run, firstSeq });
      return { ...record, firstSeq, bytes, crc: bytes.readUInt32LE(4) };
    });
    this.#head = 0;
    this.nextSeq -= by;
    this.spooledSeq -= by;
  }

  #count(record: QueuedRecord, sign: 1 | -1): void {
    this.bytes += sign * sizeOf(record);
    if (record.firstSeq >= this.spooledSeq) this.waitingBytes += sign * sizeOf(record);
  }

  #shift(): void {
    this.#count(this.#records[this.#head++], -1);
    if (this.#head < COMPACT_AFTER) return;
    this.#records.splice(0, this.#head);
    this.#head = 0;
  }

  /** The first index whose record starts at or above `seq`. */
  #indexOf(seq: number): number {
    let low = this.#head;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#records[middle].firstSeq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function sizeOf(record: QueuedRecord): number {
  return record.bytes.length + ENTRY_BYTES;
}
