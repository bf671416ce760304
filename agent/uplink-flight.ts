import { advance, EMPTY_CHAIN, type Chain, type SpoolRecord } from './spool-record.ts';

/** What was sent on a connection and is not acknowledged, with the run's chain behind each record. */
export class Flight {
  /** Up to what is acknowledged, and up to what was sent. */
  acked: Chain;
  sent: Chain;
  bytes = 0;
  /** In the order of sending. */
  #records: { chain: Chain; bytes: number }[] = [];

  constructor(acked: Chain = EMPTY_CHAIN) {
    this.acked = this.sent = acked;
  }

  push(record: SpoolRecord, bytes: number): void {
    this.sent = advance(this.sent, record);
    this.#records.push({ chain: this.sent, bytes });
    this.bytes += bytes;
  }

  /** Acknowledges all that ends at or below `seq`. True if that was anything. */
  ack(seq: number): boolean {
    let done = 0;
    while (done < this.#records.length && this.#records[done].chain.seq <= seq) {
      this.bytes -= this.#records[done].bytes;
      this.acked = this.#records[done++].chain;
    }
    this.#records.splice(0, done);
    return done > 0;
  }

  /** The chain up to `seq`, if a record in flight or the last acknowledged one ends there. */
  find(seq: number): Chain | undefined {
    if (seq === this.acked.seq) return this.acked;
    return this.#records.find(({ chain }) => chain.seq === seq)?.chain;
  }

  /** Forgets what was sent at or above `seq`. False if no record ends there; nothing changes then. */
  rewind(seq: number): boolean {
    const chain = this.find(seq);
    if (!chain) return false;
    this.#records = this.#records.filter((record) => record.chain.seq <= seq);
    this.bytes = this.#records.reduce((sum, { bytes }) => sum + bytes, 0);
    this.sent = chain;
    return true;
  }
}
