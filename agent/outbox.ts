import type { EndReason } from '../shared/wire.ts';

/**
 * Where capture puts what it has sealed: the spool and the uplink behind it (delivery.ts). Capture never waits for
 * it; it asks whether it should seal early (`idle`) or hold the script back (`full`), and is told when that changes.
 */
export interface Outbox {
  /**
   * Takes the next chunk of the run; its firstSeq is one past the last one's end. Never throws and never waits: what
   * can be kept nowhere becomes a gap (overflow `drop-oldest`), or `full` says so before (overflow `block`).
   */
  put(chunk: Buffer): void;

  /** Connected, and nothing is unacknowledged: a waiting line should leave at once. */
  readonly idle: boolean;

  /** Capture should pause the script's pipes. With `drop-oldest` only while memory is briefly ahead of the disk. */
  readonly full: boolean;

  /** Lines that the relay has not acknowledged, of those that were put. */
  readonly unsentLines: number;

  /** For whoever watches the run. */
  readonly figures: OutboxFigures;

  /** Called after `idle` or `full` may have changed. */
  onChange: () => void;

  /**
   * The run is over: writes `end` as the last record, then waits until the relay has verified it, `drainTimeout` is
   * over or `signal` aborts. `lines` and `bytes` count what capture put into chunks.
   */
  end(result: RunResult, signal: AbortSignal): Promise<Delivery>;
}

export interface RunResult {
  exitCode: number | null;
  signal: string | null;
  reason: EndReason;
  nextSeq: number;
  lines: number;
  bytes: number;
  endedAt: number;
}

export interface OutboxFigures {
  /** Log streaming is switched off: nothing goes anywhere. */
  disabled: boolean;
  /** The relay takes lines now. */
  connected: boolean;
  /** How often it did, and how often that ended. */
  connections: number;
  cuts: number;
  /** Why there is no connection, in a sentence. */
  problem?: string;
  unsentLines: number;
  missingLines: number;
  /** Of records that are not in the spool, or are under way. */
  memoryBytes: number;
  /** The spool works; `spoolProblem` says why not. */
  spooled: boolean;
  spoolProblem?: string;
}

/** What became of a run's log by the time the agent exits. */
export interface Delivery {
  /** `verified`: the relay has it all and says so. `unverified`: it has it, but digests differ. `spooled`: the rest
   * waits in the spool. `lost`: part of the rest is nowhere (no spool could be written). */
  outcome: 'verified' | 'unverified' | 'spooled' | 'lost';
  /** Lines that the relay has not acknowledged. */
  unsentLines: number;
  /** Lines that gaps stand for. */
  missingLines: number;
  /** Why it was not delivered, in a sentence, if it was not. */
  problem?: string;
}
