import type { Target } from './subscribe.ts';

/** What a subscription follows. Its places are line numbers of a task, or positions of a merged stream. */
export interface Stream<Batch> {
  readonly target: Target;
  /**
   * Where to begin, and what `subscribed` says of the lines that there are. `place` is where a subscription was that
   * this one replaces. Rejects with a KerutaError.
   */
  begin(place: number | undefined, signal: AbortSignal): Promise<Beginning>;
  /** From a place on; rejects with the signal's reason when that aborts. */
  follow(from: number, signal: AbortSignal): AsyncGenerator<Batch, void, undefined>;
  /** The frames of a batch, in order, and the place behind it. */
  render(batch: Batch): Promise<Rendered> | Rendered;
  /** The batch was written. */
  took(batch: Batch): void;
  /** Somebody follows, and is at a place that changes; until the answer is called. */
  join(follower: Follower): () => void;
  cursor(place: number): string;
}

export interface Beginning {
  place: number;
  extent?: { firstLine: number; lastLine: number };
}

export interface Rendered {
  frames: readonly Buffer[];
  next: number;
}

export interface Follower {
  /** Everything below was written, or does not match; undefined before it is known where to begin. */
  readonly place: number | undefined;
}
