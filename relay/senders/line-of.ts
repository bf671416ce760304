import { readStoredHeader } from '../../shared/chunk.ts';
import { decodeLines, decompress } from '../../shared/columns.ts';
import type { Store, Stored } from '../store/store.ts';

/**
 * The number of the line that is `seq` in its run: what a sender is told that sends a line again. Reads headers from the
 * task's start on. 0 if the line is not there any more.
 */
export async function lineOf(
  store: Pick<Store, 'read'>,
  { task, run, seq }: { task: string; run: string; seq: number },
): Promise<number> {
  /** The next seq of the run, as far as nothing of it was trimmed. */
  let next = 0;
  let line = 1;
  for (;;) {
    const stored = await store.read({ from: { task, line }, maxBytes: 1, wants: { headersOnly: true } });
    if (stored.length === 0) return 0;
    for (const one of stored) {
      line = one.firstLine + one.count;
      if (one.run === undefined) continue;
      if (one.kind === 'chunk' && one.runs === undefined && one.run === run)
        next = readStoredHeader(one.header).firstSeq;
      let before = 0;
      for (const part of partsOf(one)) {
        if (part.run === run) {
          if (seq < next + part.count) return seq < next ? 0 : one.firstLine + before + seq - next;
          next += part.count;
        }
        before += part.count;
      }
    }
  }
}

/** The time of a line, ms since 1970; undefined if it can't be read. */
export async function timeOf(
  store: Pick<Store, 'read'>,
  { task, line }: { task: string; line: number },
): Promise<number | undefined> {
  const stored = (await store.read({ from: { task, line }, maxBytes: 1 })).at(0);
  if (stored?.kind !== 'chunk' || stored.body === undefined) return undefined;
  const header = readStoredHeader(stored.header);
  return decodeLines(header, decompress(header, stored.body)).times[line - stored.firstLine];
}

/** Whose lines a record holds, in order. */
function partsOf(stored: Stored): readonly { run?: string; count: number }[] {
  return (stored.kind === 'chunk' ? stored.runs : undefined) ?? [stored];
}
