import { constants, createZstdCompress, type ZstdCompress } from 'node:zlib';
import { ZSTD_OPTIONS } from '../shared/columns.ts';

/**
 * Compresses bodies one after another, each to a Zstandard frame of its own, on the thread pool. One stream serves all
 * of them: making a compressor costs a third of what compressing 256 KiB does.
 */
export class Compressor {
  #stream: ZstdCompress | undefined;
  #parts: Buffer[] = [];
  #onError: ((error: Error) => void) | undefined;

  /**
   * One call at a time. Keeps `raw` until it calls back; without memory for a compressor, with an error. The body is
   * good for as long as the callback runs: the next one takes its place.
   */
  compress(raw: Buffer, done: (error: Error | undefined, body: Buffer) => void): void {
    const stream = (this.#stream ??= this.#open());
    let over = false;
    const finish = (error: Error | undefined) => {
      if (over) return;
      over = true;
      const parts = this.#parts;
      this.#parts = [];
      const body = parts.length === 1 ? parts[0] : Buffer.concat(parts);
      useOutputAgain(stream);
      done(error, body);
    };
    this.#onError = finish;
    stream.write(raw, (error) => finish(error ?? undefined));
  }

  close(): void {
    this.#stream?.destroy();
    this.#stream = undefined;
  }

  #open(): ZstdCompress {
    // Each write ends a frame: one trip to the thread pool instead of two.
    const stream = createZstdCompress({ ...ZSTD_OPTIONS, flush: constants.ZSTD_e_end });
    stream.on('data', (part: Buffer) => this.#parts.push(part));
    stream.on('error', (error) => {
      this.#stream = undefined;
      this.#onError?.(error);
    });
    return stream;
  }
}

/**
 * A stream writes its output behind what it wrote before, into a fresh buffer when one is full: every other body would
 * be cut in two and take two trips, and collecting those buffers would cost the more. `_outOffset` is where it goes on;
 * it is not public, and if it is called otherwise one day, all is as it would be without this.
 */
function useOutputAgain(stream: ZstdCompress): void {
  (stream as ZstdCompress & { _outOffset: number })._outOffset = 0;
}
