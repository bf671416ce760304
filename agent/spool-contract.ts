import type { EndReason } from '../shared/wire.ts';
import type { Chain } from './spool-record.ts';

/** What the agent and its spool's worker say to each other, and the words in it. */
export interface SpoolCalls {
  /**
   * Takes the spool's lock, then opens the file, or makes it with `meta` if it is not there: in one step with `first`,
   * so that it is not there without that. Records at or above `truncateSeq` are forgotten. One that is there and was
   * damaged is mended without `meta`, at `time` (ms). Throws a SpoolLocked error if another process has it.
   */
  open: (call: SpoolOpening) => SpoolState;
  /** Answers the bytes that are there. */
  write: (call: PackedBatch) => { data: ArrayBuffer; bytes: number };
  read: (call: { fromSeq: number; maxBytes: number }) => {
    data: ArrayBuffer;
    records: { firstSeq: number; size: number }[];
  };
  chainAt: (call: { seq: number }) => Chain | 'forgotten' | undefined;
  drop: (call: { fromSeq: number; untilBytes: number; time: number }) => Dropped & { bytes: number };
  reject: (call: { seq: number; time: number }) => number;
  rewind: (call: { at: Chain; epoch: string; time: number }) => Rewound;
  reset: (call: { at: Chain }) => void;
  fork: (call: { fromSeq: number; run: string }) => void;
  /** Lets go of file and lock. */
  close: () => void;
  /** As `close`, and deletes the spool. */
  destroy: () => void;
}

/** The code of the error where a spool was never completely made, and so holds nothing: it is not there any more. */
export const UNBORN = 'UNBORN';

export interface SpoolState {
  meta: SpoolMeta;
  nextSeq: number;
  /** The chain up to what is acknowledged; undefined if it can't be computed. */
  acked: Chain | undefined;
  ackedSeq: number;
  epoch: string | undefined;
  end: SpoolEnd | undefined;
  unverified: boolean;
  missing: number;
  bytes: number;
  /** Rows were found damaged, now or before: what the digests of its records were can't be relied on. */
  damaged: boolean;
}

/** What is known of the run when it starts. Never tokens. */
export interface SpoolMeta {
  task: string;
  run: string;
  /** The relay's base URL, without credentials. */
  url: string;
  pipelineId?: string;
  workerId: string;
  taskName?: string;
  labels: Record<string, string>;
  command?: string;
  agentVersion: string;
  /** ms since 1970 */
  startedAt: number;
}

export interface SpoolEnd {
  exitCode: number | null;
  signal: string | null;
  reason: EndReason;
  /** ms since 1970 */
  endedAt: number;
}

export interface SpoolOpening {
  path: string;
  meta?: SpoolMeta;
  first?: PackedBatch;
  truncateSeq?: number;
  time?: number;
}

export interface SpoolBatch {
  records: Buffer[];
  acked?: { seq: number; epoch: string | undefined };
  end?: SpoolEnd;
  unverified?: boolean;
  limitBytes: number;
}

/** The records stand behind each other in `data`. */
export type PackedBatch = Omit<SpoolBatch, 'records'> & { data: ArrayBuffer; sizes: number[] };

export interface StoredRecord {
  firstSeq: number;
  count: number;
  /** null: acknowledged, and evicted. */
  bytes: Buffer | null;
}

export interface Dropped {
  /** Seqs that the gap takes; 0 if there was nothing to drop. */
  count: number;
  /** Lines that became missing. */
  lines: number;
}

export interface Rewound {
  /** Lines that became missing. */
  lines: number;
  /** Seqs of all gaps `corrupt` that are still to be sent. */
  corrupt: number;
}
