import type { QueuedRecord } from './delivery-queue.ts';
import { readRecord } from './spool-record.ts';
import type { Spool } from './spool.ts';

/** Records that one read brings; at most two reads are held. */
const READ_BYTES = 1024 * 1024;

/** Reads records ahead of a reader that takes them one after the other. */
export class SpoolReader {
  readonly #spool: Spool;
  readonly #onRecords: (error?: Error) => void;
  #records: QueuedRecord[] = [];
  /** Where the next read begins. */
  #nextSeq = 0;
  #taken = 0;
  #reading = false;
  #generation = 0;

  /** `onRecords` is called when a read has brought some, or has failed. */
  constructor(spool: Spool, onRecords: (error?: Error) => void) {
    this.#spool = spool;
    this.#onRecords = onRecords;
  }

  /** The record at `seq`, or undefined: then it is being read. Nothing at or above `untilSeq` is read for its own sake. */
  take(seq: number, untilSeq: number): QueuedRecord | undefined {
    if (this.#taken < this.#records.length && this.#records[this.#taken].firstSeq !== seq) this.clear();
    const record = this.#taken < this.#records.length ? this.#records[this.#taken++] : undefined;
    if (!record && this.#nextSeq !== seq) {
      this.clear();
      this.#nextSeq = seq;
    }
    // The second half of one read is handed out while the next one is under way.
    if (this.#taken * 2 >= this.#records.length && this.#nextSeq < untilSeq) void this.#read();
    return record;
  }

  /** Forgets what was read, and what is being read. */
  clear(): void {
    this.#generation++;
    this.#records = [];
    this.#taken = 0;
    this.#reading = false;
  }

  async #read(): Promise<void> {
    if (this.#reading) return;
    const generation = this.#generation;
    const from = this.#nextSeq;
    this.#reading = true;
    try {
      const records = await this.#spool.read(from, READ_BYTES);
      if (generation !== this.#generation) return;
      this.#reading = false;
      const read = records.map(({ bytes }) => ({ ...readRecord(bytes), bytes }));
      const last = read.at(-1);
      if (read[0]?.firstSeq !== from || !last) throw new Error(`the spool has no record ${from}`);
      this.#records = [...this.#records.slice(this.#taken), ...read];
      this.#taken = 0;
      this.#nextSeq = last.firstSeq + last.count;
      this.#onRecords();
    } catch (error) {
      if (generation !== this.#generation) return;
      this.#reading = false;
      this.#onRecords(error as Error);
    }
  }
}
