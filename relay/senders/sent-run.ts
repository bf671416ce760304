import { ChunkError, readHeader, type ChunkHeader } from '../../shared/chunk.ts';
import { encodeLines, type LineInput } from '../../shared/columns.ts';
import { advanceDigest } from '../../shared/digest.ts';
import { KerutaError } from '../../shared/errors.ts';
import type { EndReason } from '../../shared/wire.ts';
import { storedRecord } from '../ingest-frame.ts';
import type { AppendOutcome, EndOutcome, OpenedRun, OpenRun, RunRecord, Store, Stored } from '../store/store.ts';

/**
 * A run that the relay itself writes, for senders that don't number their lines. It counts what it has stored, as an
 * agent does, so that the run's end proves that the log is complete. One call at a time.
 */
export class SentRun {
  readonly task: string;
  readonly run: string;
  /** Whether it was over already when it was opened. */
  readonly ended: boolean;
  /** What the store said of it if lines of it were there already when it was opened. */
  readonly before: RunRecord | undefined;
  /** When the store last heard of it, ms since 1970. */
  seenAt: number;
  readonly #store: RunStore;
  readonly #stored: (stored: Stored) => void;
  readonly #fence: number;
  #nextSeq: number;
  #digest: string;
  #lines: number;
  #bytes: number;

  /** Opens a run, or goes on with one that is there. */
  static async open(parts: RunParts, open: OpenRun): Promise<SentRun> {
    const opened = await parts.store.open(open);
    // From now on nobody else writes it.
    const known = opened.nextSeq === 0 ? [] : await parts.store.runs(open.task);
    return new SentRun(parts, open, { opened, record: known.find(({ run }) => run === open.run) });
  }

  private constructor(parts: RunParts, open: OpenRun, before: { opened: OpenedRun; record: RunRecord | undefined }) {
    this.task = open.task;
    this.run = open.run;
    this.seenAt = open.now;
    this.#store = parts.store;
    this.#stored = parts.stored;
    const { opened, record } = before;
    this.ended = opened.ended;
    this.before = record;
    this.#fence = opened.fence;
    this.#nextSeq = opened.nextSeq;
    this.#digest = opened.digest;
    this.#lines = record?.lines ?? 0;
    this.#bytes = record?.textBytes ?? 0;
  }

  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Encodes lines as the chunk that starts at `seq`, else behind what is stored. As `encodeSent`. */
  encode(lines: readonly LineInput[], seq = this.#nextSeq): Buffer {
    return encodeSent(this.run, seq, lines);
  }

  /** Appends a chunk that `encode` made. Rejects as the store does; then nothing of it is stored. */
  async append(bytes: Buffer, now: number): Promise<AppendOutcome> {
    const outcome = await this.#store.append({ task: this.task, run: this.run, fence: this.#fence, bytes, now });
    if (outcome.outcome === 'stored') {
      const header = readHeader(outcome.clipped ?? bytes);
      this.#count(header, outcome.nextSeq);
      this.seenAt = now;
      // Before whoever sent it is told, and before the store wakes readers, who then find it there.
      this.#stored(storedRecord(this.task, header, bytes, outcome));
    }
    return outcome;
  }

  /** Ends the run. */
  async end(result: RunResult, now: number): Promise<EndOutcome> {
    return this.#store.end({
      ...{ task: this.task, run: this.run, fence: this.#fence },
      ...{ exitCode: result.exitCode, signal: null, reason: result.reason },
      ...{ nextSeq: this.#nextSeq, digest: this.#digest },
      ...{ lines: this.#lines, bytes: this.#bytes },
      ...{ endedAt: now, now },
    });
  }

  /** Tells the store that its writer lives. */
  async seen(now: number): Promise<void> {
    this.seenAt = now;
    await this.#store.seen({ task: this.task, run: this.run, fence: this.#fence, now });
  }

  #count(header: ChunkHeader, nextSeq: number): void {
    this.#digest = advanceDigest(this.#digest, header);
    this.#nextSeq = nextSeq;
    this.#lines += header.count;
    this.#bytes += header.textBytes;
  }
}

/** Encodes lines of a run as one chunk. Throws a KerutaError TOO_LARGE if they don't fit into one. */
export function encodeSent(run: string, seq: number, lines: readonly LineInput[]): Buffer {
  try {
    return encodeLines(run, seq, lines);
  } catch (error) {
    if (!(error instanceof ChunkError)) throw error;
    throw new KerutaError('TOO_LARGE', `The lines are too large: ${error.message}.`, { cause: error });
  }
}

export type RunStore = Pick<Store, 'open' | 'append' | 'end' | 'seen' | 'runs'>;

export interface RunParts {
  store: RunStore;
  /** Something was stored and is durable. */
  stored: (stored: Stored) => void;
}

/** What opened a run that the relay writes, as `agentVersion` says it: the relay itself is the agent. */
export const SENT_BY = {
  /** Posted lines, of a task of which nobody said that it runs. */
  post: 'api/post',
  /** A status that was put: somebody will say how it ends. */
  status: 'api/status',
  /** Posted lines whose sender numbers them. */
  numbered: 'api/numbered',
  /** A WebSocket. */
  socket: 'api/socket',
  /** A worker's gRPC streams; or of a worker that has registered, which it then still has when the relay restarts. */
  grpc: 'api/grpc',
  registered: 'api/grpc/registered',
  /** What happens to the relay itself. */
  system: 'api/system',
  /** Posted lines under an Idempotency-Key; the hash of their body follows. */
  key: 'api/key:',
} as const;

/** How a run came out, as its sender says. */
export interface RunResult {
  exitCode: number | null;
  reason: EndReason;
}

export const SUCCEEDED: RunResult = { exitCode: 0, reason: 'exited' };
/** Senders tell no exit code. */
export const FAILED: RunResult = { exitCode: null, reason: 'exited' };
export const CANCELLED: RunResult = { exitCode: null, reason: 'cancelled' };
/** The sender went without a word. */
export const DIED: RunResult = { exitCode: null, reason: 'agent-died' };
