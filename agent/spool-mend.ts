import { checkCrc, encodeGap, MAX_GAP_LINES, MAX_LINES } from '../shared/chunk.ts';
import { readRecord, type SpoolRecord } from './spool-record.ts';
import type { Head, Statements } from './spool-schema.ts';

/**
 * Puts the rows of a damaged spool in order, so that what can still be read can be sent; answers whether there was
 * anything to do, ever. Runs within a transaction.
 *
 * A row whose bytes are sound (header, CRC, run) stands where they say, whatever its columns say. Of others the columns
 * stay as far as they fit between sound ones, without the bytes: the relay may have those records, and then they count
 * for the digest (`SpoolFile.rewind` makes gaps of the ones that it has not). Where there is no row, there is a gap.
 * Of what is acknowledged only the columns are looked at.
 */
export function mendRows(sql: Statements, spool: Mending): boolean {
  let plan = planMend(sql.rows.iterate(spool.ackedSeq), spool);
  for (const { key, to } of plan.strays) {
    // What stands there already is as sound.
    if (sql.headsFrom.get(to)?.first_seq === to) sql.remove.run(key, key + 1);
    else sql.place.run(to, key);
  }
  if (plan.strays.length > 0) plan = { ...planMend(sql.rows.iterate(spool.ackedSeq), spool), found: true };
  for (const { key, record, size } of plan.wrong)
    sql.describe.run(record.count, record.lines, record.textBytes, record.crc, size, key);
  for (const key of plan.unreadable) sql.strip.run(key);
  for (const key of plan.surplus) sql.remove.run(key, key + 1);
  for (const { fromSeq, toSeq } of plan.holes) {
    for (let firstSeq = fromSeq; firstSeq < toSeq; firstSeq += MAX_GAP_LINES) {
      const count = Math.min(MAX_GAP_LINES, toSeq - firstSeq);
      const gap = encodeGap({ run: spool.run, firstSeq, count, reason: 'corrupt', time: spool.time });
      sql.insert.run(firstSeq, count, 0, 0, readRecord(gap).crc, gap.length, gap);
    }
  }
  if (plan.found) sql.set.run('damaged', 'true');
  return plan.found || sql.get.get('damaged') !== undefined;
}

/** Whether `bytes` are a whole record of the run that stands at `seq`. */
export function isSound(bytes: Buffer | null, run: string, seq: number): boolean {
  return soundRecord(bytes, run)?.firstSeq === seq;
}

export interface Mending {
  run: string;
  baseSeq: number;
  ackedSeq: number;
  /** ms since 1970, for gaps */
  time: number;
}

/** Rows are named by their keys. */
interface Plan {
  /** Something is damaged. */
  found: boolean;
  /** Sound ones with another's key. */
  strays: { key: number; to: number }[];
  /** Sound ones with wrong columns. */
  wrong: { key: number; record: SpoolRecord; size: number }[];
  /** Their bytes are of no use. */
  unreadable: number[];
  /** They stand where others do. */
  surplus: number[];
  holes: { fromSeq: number; toSeq: number }[];
}

/** A row; without bytes also if they are not to be looked at. */
type Row = Head & { bytes: Buffer | null };

function planMend(rows: Iterable<Row>, { run, baseSeq, ackedSeq }: Mending): Plan {
  const plan: Plan = { found: false, strays: [], wrong: [], unreadable: [], surplus: [], holes: [] };
  /** One past the rows that stay. */
  let end = baseSeq;
  /** Unreadable ones behind that. */
  let doubtful: Row[] = [];

  const keep = (row: Row, count: number): void => {
    if (row.first_seq > end) plan.holes.push({ fromSeq: end, toSeq: row.first_seq });
    end = row.first_seq + count;
  };
  /** Decides about the doubtful ones before `seq`. */
  const settle = (seq: number): void => {
    for (const row of doubtful) {
      const last = seq === Infinity;
      const count = isPlausible(row) ? row.count : last ? 1 : Infinity;
      // Nothing says where the last ones end; what is far behind all others has a wrong key.
      const fits = row.first_seq >= end && row.first_seq + count <= seq && (!last || row.first_seq <= end + MAX_LINES);
      if (!fits || !isPlausible(row)) plan.surplus.push(row.first_seq);
      if (fits && isPlausible(row)) {
        keep(row, count);
        if (row.bytes) plan.unreadable.push(row.first_seq);
      } else if (fits) {
        plan.holes.push({ fromSeq: end, toSeq: row.first_seq + count });
        end = row.first_seq + count;
      }
    }
    plan.found ||= doubtful.length > 0;
    doubtful = [];
  };

  for (const row of rows) {
    const record = soundRecord(row.bytes, run);
    if (record !== undefined && record.firstSeq !== row.first_seq) {
      plan.strays.push({ key: row.first_seq, to: record.firstSeq });
    } else if (row.first_seq < baseSeq) {
      continue;
    } else if (record !== undefined) {
      settle(row.first_seq);
      if (row.first_seq < end) plan.surplus.push(row.first_seq);
      else {
        if (!describes(row, record)) plan.wrong.push({ key: row.first_seq, record, size: row.bytes?.length ?? 0 });
        keep(row, record.count);
      }
    } else if (row.first_seq + row.count > ackedSeq || !isPlausible(row)) {
      doubtful.push(row);
    } else {
      settle(row.first_seq);
      if (row.first_seq < end) plan.surplus.push(row.first_seq);
      else keep(row, row.count);
    }
  }
  settle(Infinity);
  plan.found ||= [plan.strays, plan.wrong, plan.surplus, plan.holes].some((found) => found.length > 0);
  return plan;
}

function soundRecord(bytes: Buffer | null, run: string): SpoolRecord | undefined {
  if (!Buffer.isBuffer(bytes)) return undefined;
  try {
    const record = readRecord(bytes);
    checkCrc(bytes);
    return record.run === run ? record : undefined;
  } catch {
    return undefined;
  }
}

function describes(row: Row, record: SpoolRecord): boolean {
  return (
    row.count === record.count &&
    row.lines === record.lines &&
    row.text_bytes === record.textBytes &&
    row.crc === record.crc &&
    row.size === row.bytes?.length
  );
}

/** Whether the columns may be those of a record. */
function isPlausible({ count, lines, text_bytes: textBytes, crc, size }: Row): boolean {
  const whole = [count, lines, textBytes, crc, size].every((value) => Number.isInteger(value) && value >= 0);
  return whole && count > 0 && (lines === 0 ? count <= MAX_GAP_LINES : lines === count && count <= MAX_LINES);
}
