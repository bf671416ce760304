import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { CatPrinter, type CatFlags } from './cat-printer.ts';
import { SpoolFile } from './spool-file.ts';

/**
 * `keruta-agent cat`: prints the logs in spool files, also of a run that is still being written, up to where it is. The
 * script's bytes go to `out`, what is missing is said on `err` (with `json`: both are objects on `out`). Resolves with
 * the exit code: 0, or 1 if a file could not be read.
 */
export async function cat(paths: string[], flags: CatFlags, streams: CatStreams = process): Promise<number> {
  const { stdout, stderr } = streams;
  const reader = new Reader(stdout);
  let code = 0;
  for (const path of paths) {
    try {
      await printSpool(
        path,
        new CatPrinter(flags, { out: (bytes) => reader.write(bytes), err: (line) => stderr.write(line) }),
        reader,
      );
    } catch (error) {
      stderr.write(`keruta-agent: ${(error as Error).message}\n`);
      code = 1;
    }
    if (reader.gone) break;
  }
  reader.dispose();
  return code;
}

async function printSpool(path: string, printer: CatPrinter, reader: Reader): Promise<void> {
  const spool = SpoolFile.open(path, { readonly: true });
  try {
    let seq = spool.firstSeq;
    printer.begin(seq);
    // In pieces, so that the writer of a live run is not held up by an open reading transaction.
    for (
      let records = spool.read(seq, READ_BYTES);
      records.length > 0 && !reader.gone;
      records = spool.read(seq, READ_BYTES)
    ) {
      for (const record of records) {
        printer.print(record);
        // A count that is damaged must not lead back.
        seq = record.firstSeq + Math.max(1, record.count);
        await reader.ready();
      }
    }
    printer.end();
    await reader.ready();
  } finally {
    spool.close();
  }
}

/** Whoever reads what we print: may be slow, and may leave. */
class Reader {
  gone = false;
  readonly #stream: Writable;
  #waits = false;
  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.gone = true;
    if (error.code !== 'EPIPE') throw error;
  };

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', this.#onError);
  }

  write(bytes: Buffer): void {
    if (!this.gone) this.#waits = !this.#stream.write(bytes);
  }

  async ready(): Promise<void> {
    if (!this.#waits || this.gone) return;
    this.#waits = false;
    // Rejects with what `#onError` has dealt with.
    await once(this.#stream, 'drain').catch(() => undefined);
  }

  dispose(): void {
    if (!this.gone) this.#stream.off('error', this.#onError);
  }
}

export interface CatStreams {
  stdout: Writable;
  stderr: Writable;
}

const READ_BYTES = 1024 * 1024;
