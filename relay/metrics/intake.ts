import { GAP_REASONS, type GapReason } from '../../shared/gap-reasons.ts';
import { PAIRS } from '../../shared/line.ts';
import type { Stored } from '../store/store.ts';

/**
 * What was stored, counted by the headers of chunks: a few additions a chunk, whatever its lines. Stands between those
 * who store and the tails, which it tells, too.
 */
export class Intake {
  /** Lines by pair (`source * 4 + level`). */
  readonly lines = new Float64Array(PAIRS);
  readonly missing: Record<GapReason, number>;
  chunks = 0;
  /** Of chunks, as they are stored. */
  bytes = 0;
  textBytes = 0;
  readonly #tails: readonly { stored(stored: Stored): void }[];
  readonly #followed: { stored(task: string, nextLine: number): void };
  readonly #onLatency: (ms: number) => void;
  readonly #now: () => number;

  constructor({ tails, followed, onLatency, now }: IntakeOptions) {
    this.#tails = tails;
    this.#followed = followed;
    this.#onLatency = onLatency;
    this.#now = now;
    this.missing = Object.fromEntries(GAP_REASONS.map((reason) => [reason, 0])) as Record<GapReason, number>;
  }

  stored(stored: Stored): void {
    for (const tail of this.#tails) tail.stored(stored);
    this.#followed.stored(stored.task, stored.firstLine + stored.count);
    if (stored.kind === 'gap') {
      this.missing[stored.reason] += stored.count;
      return;
    }
    const { header, body } = stored;
    this.chunks++;
    this.bytes += header.length + (body?.length ?? 0);
    this.textBytes += header.readUInt32LE(TEXT_BYTES_AT);
    // Most chunks have lines of one or two pairs.
    for (let pair = 0, left = stored.count; left > 0 && pair < PAIRS; pair++) {
      const count = header.readUInt16LE(COUNTS_AT + 2 * pair);
      this.lines[pair] += count;
      left -= count;
    }
    this.#onLatency(Math.max(0, this.#now() - header.readUIntLE(MIN_TIME_AT, 6)));
  }
}

export interface IntakeOptions {
  tails: readonly { stored(stored: Stored): void }[];
  followed: { stored(task: string, nextLine: number): void };
  /** A chunk was stored so many ms after its oldest line was written, by the clocks of both. */
  onLatency: (ms: number) => void;
  /** ms since 1970 */
  now: () => number;
}

/** In the header of a chunk; see shared/chunk.ts. */
const MIN_TIME_AT = 40;
const TEXT_BYTES_AT = 56;
const COUNTS_AT = 68;
