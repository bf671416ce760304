import { ChunkError, CODEC_GAP, readStoredHeader, type ChunkHeader } from '../../shared/chunk.ts';
import { decodeStored } from '../store/decode.ts';
import { decodePieces, type Piece } from '../store/pieces.ts';

/** A chunk's row and what belongs to it. */
export interface VerifiedRow {
  position: number;
  firstLine: number;
  count: number;
  run: number;
  /** The run's name, null if there is no such run. */
  runName: string | null;
  minTime: number | null;
  maxTime: number | null;
  level: number;
  runs: number;
  header: Buffer;
  bodyBytes: number | null;
  /** Null where bodies are not looked at, and of gaps. */
  body: Buffer | null;
  pieces: Buffer | null;
  lastPosition: number | null;
}

export interface CheckedChunk {
  /** Absent if it can't be read. */
  header: ChunkHeader | undefined;
  /** Whose lines they are and where; of the row, if there are none that can be read. */
  pieces: readonly Piece[];
  /** What is wrong with it, a clause each. */
  problems: string[];
}

/** Looks at one chunk by itself: its header, its body if there is one, its row. */
export function checkChunk(row: VerifiedRow): CheckedChunk {
  const problems: string[] = [];
  const header = attempt(problems, 'the header', () => readStoredHeader(row.header));
  const pieces = piecesOf(row, header, problems);
  if (header === undefined) return { header, pieces, problems };
  compareRow(row, header, problems);
  if (header.codec === CODEC_GAP) {
    if (row.bodyBytes !== null) problems.push('it is a gap and has a body');
    return { header, pieces, problems };
  }
  if (row.bodyBytes !== header.bodyBytes) {
    problems.push(`the header says a body of ${header.bodyBytes} bytes, there are ${row.bodyBytes ?? 0}`);
  } else if (row.body !== null) {
    const { body } = row;
    attempt(problems, 'the body', () => decodeStored(header, { header: row.header, body }));
  }
  return { header, pieces, problems };
}

function compareRow(row: VerifiedRow, header: ChunkHeader, problems: string[]): void {
  const gap = header.codec === CODEC_GAP;
  const differ = (what: string, inRow: unknown, inHeader: unknown): void => {
    if (inRow !== inHeader) problems.push(`the header says ${what} ${String(inHeader)}, its row ${String(inRow)}`);
  };
  differ('count', row.count, header.count);
  differ('run', row.runName, header.run);
  differ('earliest time', row.minTime, gap ? null : header.minTime);
  differ('latest time', row.maxTime, gap ? null : header.maxTime);
}

function piecesOf(row: VerifiedRow, header: ChunkHeader | undefined, problems: string[]): readonly Piece[] {
  const whole = [{ run: row.run, seq: header?.firstSeq ?? 0, position: row.position, count: row.count }];
  if (row.runs === 0) {
    if (row.pieces !== null) problems.push('it has pieces, and its row says that it was never merged');
    return whole;
  }
  const bytes = row.pieces;
  const pieces =
    bytes === null
      ? void problems.push('it was merged, and its pieces are gone')
      : attempt(problems, 'the list of pieces', () => decodePieces(bytes));
  if (pieces === undefined || pieces.length === 0) return whole;
  const count = pieces.reduce((sum, piece) => sum + piece.count, 0);
  if (count !== row.count) problems.push(`its pieces hold ${count} lines, its row says ${row.count}`);
  const [first, last] = [pieces[0], pieces[pieces.length - 1]];
  if (first.position !== row.position || first.run !== row.run || (header && first.seq !== header.firstSeq)) {
    problems.push('its first piece is not where its row says it begins');
  }
  if (last.position + last.count - 1 !== row.lastPosition) problems.push('its last piece is not where it should end');
  const runs = new Set(pieces.map((piece) => piece.run)).size;
  if (runs !== row.runs) problems.push(`its pieces are of ${runs} runs, its row says ${row.runs}`);
  return pieces;
}

/** What `read` returns; a failure becomes a problem. */
function attempt<T>(problems: string[], what: string, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    problems.push(
      `${what} can't be read: ${error instanceof ChunkError ? `${error.field} ${detail(error)}` : error.message}`,
    );
    return undefined;
  }
}

function detail({ message, field }: ChunkError): string {
  return message.slice(`bad chunk: ${field} `.length);
}
