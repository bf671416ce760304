import { readStoredHeader } from '../shared/chunk.ts';
import { PAIRS } from '../shared/line.ts';
import type { Delivery, Outbox, OutboxFigures, RunResult } from './outbox.ts';

/** Counts what goes into an outbox, by the headers of its chunks. */
export class CountingOutbox implements Outbox {
  readonly counts = new Array<number>(PAIRS).fill(0);
  textBytes = 0;
  readonly #outbox: Outbox;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  set onChange(onChange: () => void) {
    this.#outbox.onChange = onChange;
  }

  get idle(): boolean {
    return this.#outbox.idle;
  }

  get full(): boolean {
    return this.#outbox.full;
  }

  get unsentLines(): number {
    return this.#outbox.unsentLines;
  }

  get figures(): OutboxFigures {
    return this.#outbox.figures;
  }

  put(chunk: Buffer): void {
    const { counts, textBytes } = readStoredHeader(chunk);
    for (let pair = 0; pair < PAIRS; pair++) this.counts[pair] += counts[pair];
    this.textBytes += textBytes;
    this.#outbox.put(chunk);
  }

  end(result: RunResult, signal: AbortSignal): Promise<Delivery> {
    return this.#outbox.end(result, signal);
  }
}
