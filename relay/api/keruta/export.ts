import type { Batch, GapEvent, LinesEvent } from '../../cursor.ts';

/** How an export is written. It sees each event once and in order, and may remember what it needs of them. */
export interface ExportWriter {
  /** Ahead of everything. */
  open(): string;
  lines(event: LinesEvent): string | Buffer;
  gap(event: GapEvent): string;
  /** Behind everything. */
  close(): string;
}

/**
 * An export, part after part; nothing is read before it is asked for, and nothing handed out before something was read.
 * Empty parts are left out.
 */
export async function* exportParts(
  batches: AsyncIterable<Batch>,
  writer: ExportWriter,
): AsyncGenerator<Buffer, void, undefined> {
  let parts: Buffer[] = [Buffer.from(writer.open())];
  for await (const { events } of batches) {
    for (const event of events) {
      if (event.type === 'end') continue;
      const part = event.type === 'gap' ? writer.gap(event) : writer.lines(event);
      parts.push(typeof part === 'string' ? Buffer.from(part) : part);
    }
    // Most batches are one event, which need not be copied.
    const joined = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    if (joined.length > 0) yield joined;
    parts = [];
  }
  const last = Buffer.concat([...parts, Buffer.from(writer.close())]);
  if (last.length > 0) yield last;
}
