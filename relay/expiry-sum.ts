import type { Expired } from './store/store.ts';

/**
 * What was forgotten, until it is enough to be told of. The line that tells it may itself be too much for the store:
 * if every sweep had one, every one would have the next sweep forget something, for ever.
 */
export class ExpirySum {
  #sum = NOTHING;

  /** Adds what a sweep forgot. Answers the sum if it is to be told now; then it begins anew. */
  add({ lines, chunks, bytes }: Expired): Forgotten | undefined {
    const sum = {
      lines: this.#sum.lines + lines,
      chunks: this.#sum.chunks + chunks,
      bytes: this.#sum.bytes + bytes,
    };
    this.#sum = sum.lines < ENOUGH_LINES ? sum : NOTHING;
    return sum.lines < ENOUGH_LINES ? undefined : sum;
  }
}

export type Forgotten = Pick<Expired, 'lines' | 'chunks' | 'bytes'>;

const NOTHING: Forgotten = { lines: 0, chunks: 0, bytes: 0 };
/** Many times as many as have to go for one line that tells of it. */
const ENOUGH_LINES = 100;
