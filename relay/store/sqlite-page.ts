import { CHUNK_HEADER_BYTES, ChunkError, CODEC_GAP, readStoredHeader, type ChunkHeader } from '../../shared/chunk.ts';
import type { PlacedStored, Stored, Walked } from './store.ts';

/** What one read returns, on its way between threads: numbers in one array, headers and bodies in one buffer. */
export interface Page {
  /** ROW_FIELDS numbers a row: first line, position, count, offset of the header, bytes of the body or -1, and the
   * indices of task and run in `names`. */
  rows: Float64Array;
  names: string[];
  bytes: ArrayBuffer;
  /** By a row's index: whose lines they are, if several runs'. */
  runs: Map<number, { run: string; count: number }[]>;
  /** What was trimmed at the place that was asked for. */
  trimmed?: { task: string; firstLine: number; count: number };
}

/** What a walk returns: as a page, and how far it went. */
export interface WalkedPage extends Page {
  nextPosition: number;
}

export interface PageRow {
  task: string;
  run: string;
  firstLine: number;
  position: number;
  count: number;
  header: Buffer;
  body?: Buffer;
  /** Only if its lines are those of several runs. */
  runs?: { run: string; count: number }[];
}

const ROW_FIELDS = 7;

/** Undefined if it can't be read: then the lines are lost, and whoever reads them says so. */
export function headerOf({ header }: { header: Buffer }): ChunkHeader | undefined {
  try {
    return readStoredHeader(header);
  } catch (error) {
    if (error instanceof ChunkError) return undefined;
    throw error;
  }
}

export function packPage(rows: readonly PageRow[], trimmed?: Page['trimmed']): Page {
  const bytes = new ArrayBuffer(rows.reduce((sum, row) => sum + CHUNK_HEADER_BYTES + (row.body?.length ?? 0), 0));
  const into = new Uint8Array(bytes);
  const numbers = new Float64Array(rows.length * ROW_FIELDS);
  const names = new Map<string, number>();
  const runs: Page['runs'] = new Map();
  let offset = 0;
  rows.forEach((row, index) => {
    if (row.runs) runs.set(index, row.runs);
    // One that the disk has cut is left out: nothing but zeros is no header, so that its lines are lost and said to be.
    if (row.header.length >= CHUNK_HEADER_BYTES) into.set(row.header.subarray(0, CHUNK_HEADER_BYTES), offset);
    if (row.body) into.set(row.body, offset + CHUNK_HEADER_BYTES);
    numbers.set(
      [
        row.firstLine,
        row.position,
        row.count,
        offset,
        row.body?.length ?? -1,
        nameIndex(names, row.task),
        nameIndex(names, row.run),
      ],
      index * ROW_FIELDS,
    );
    offset += CHUNK_HEADER_BYTES + (row.body?.length ?? 0);
  });
  return { rows: numbers, names: [...names.keys()], bytes, runs, trimmed };
}

function nameIndex(names: Map<string, number>, name: string): number {
  let index = names.get(name);
  if (index === undefined) names.set(name, (index = names.size));
  return index;
}

/** The chunks and gaps of a page. Their headers and bodies share its one buffer. */
export function unpackPage(page: Page): Stored[] {
  const stored: Stored[] = page.trimmed ? [{ kind: 'gap', ...page.trimmed, reason: 'trimmed' }] : [];
  for (let at = 0; at < page.rows.length; at += ROW_FIELDS) {
    const [firstLine, position, count, offset, bodyBytes, task, run] = page.rows.subarray(at, at + ROW_FIELDS);
    const place = { task: page.names[task], run: page.names[run], firstLine, position, count };
    const runs = page.runs.get(at / ROW_FIELDS);
    const header = Buffer.from(page.bytes, offset, CHUNK_HEADER_BYTES);
    const body = bodyBytes < 0 ? undefined : Buffer.from(page.bytes, offset + CHUNK_HEADER_BYTES, bodyBytes);
    stored.push(storedOf({ ...place, header, ...(body && { body }), ...(runs && { runs }) }));
  }
  return stored;
}

/** What a row holds: a chunk or a gap. */
export function storedOf({ header, body, runs, ...place }: PageRow): Stored {
  if (header[3] === CODEC_GAP) {
    const known = headerOf({ header });
    return { kind: 'gap', ...place, reason: known?.reason ?? 'corrupt', ...(known && { time: known.minTime }) };
  }
  return { kind: 'chunk', ...place, ...(runs && { runs }), header, ...(body && { body }) };
}

export function unpackWalked(page: WalkedPage): Walked {
  const stored = unpackPage(page).map((one): PlacedStored => {
    if (one.kind === 'chunk') return one;
    const { run: _run, time: _time, position = 0, ...gap } = one;
    return gap.reason === 'trimmed' ? { ...gap, position } : { ...one, position };
  });
  return { stored, nextPosition: page.nextPosition };
}
