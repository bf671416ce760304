import { CHUNK_HEADER_BYTES, CODEC_GAP, type ChunkHeader } from '../../shared/chunk.ts';
import { advanceDigest, EMPTY_DIGEST } from '../../shared/digest.ts';
import { PAIRS } from '../../shared/line.ts';
import { MERGED_ENOUGH } from '../store/merge-plan.ts';
import type { Piece } from '../store/pieces.ts';
import type { CheckedChunk, VerifiedRow } from './verify-chunk.ts';

/** A task's row, as far as it follows from its chunks and runs. */
export interface TaskRow {
  id: number;
  task: string;
  nextLine: number;
  trimmedLine: number;
  lines: number;
  missing: number;
  textBytes: number;
  storedBytes: number;
  minTime: number | null;
  maxTime: number | null;
  counts: string;
  runs: number;
  openRuns: number;
  newestRun: number | null;
}

/** A run's row. */
export interface RunRow {
  id: number;
  run: string;
  nextSeq: number;
  digest: string;
  lines: number;
  missing: number;
  textBytes: number;
  endedAt: number | null;
}

export interface TaskFinding {
  run?: string;
  fromLine?: number;
  toLine?: number;
  /** A clause. */
  problem: string;
}

/** Adds up a task's chunks, which come in the order of their lines, and compares the sums with what its rows say. */
export class TaskAudit {
  readonly #task: TaskRow;
  readonly #runs: Map<number, RunAudit>;
  readonly #report: (finding: TaskFinding) => void;
  readonly #sums = { lines: 0, missing: 0, textBytes: 0, storedBytes: 0, counts: new Array<number>(PAIRS).fill(0) };
  #minTime = Infinity;
  #maxTime = -Infinity;
  #nextLine: number;
  #nextPosition = 0;
  /** Whether a header can't be read: then sums prove nothing. */
  #unread = false;

  constructor(task: TaskRow, runs: readonly RunRow[], report: (finding: TaskFinding) => void) {
    this.#task = task;
    this.#report = report;
    this.#nextLine = task.trimmedLine + 1;
    this.#runs = new Map(runs.map((run) => [run.id, new RunAudit(run)]));
    const trimmed = task.trimmedLine > 0;
    for (const audit of this.#runs.values()) audit.partial = trimmed;
  }

  /** How many there are so far, gaps not counted. */
  get lines(): number {
    return this.#sums.lines;
  }

  add(row: VerifiedRow, { header, pieces, problems }: CheckedChunk): void {
    const place = { fromLine: row.firstLine, toLine: row.firstLine + row.count - 1 };
    for (const problem of problems) this.#report({ ...place, problem });
    this.#followLines(row);
    this.#followPositions(pieces, place);
    if (header === undefined) this.#unread = true;
    else this.#count(header);
    for (const piece of pieces) this.#addPiece(piece, place);
    if (header !== undefined && row.runs <= 1) {
      this.#runs.get(row.run)?.addChunk(header, { asAppended: isAsAppended(row) });
      return;
    }
    for (const { run, count } of pieces) {
      const audit = this.#runs.get(run);
      if (header === undefined) audit?.addUnread();
      else audit?.addPart(count);
    }
  }

  /** To be called behind the last chunk. */
  finish(): void {
    const { nextLine } = this.#task;
    if (this.#nextLine < nextLine) this.#missing(this.#nextLine, nextLine - 1);
    if (this.#nextLine > nextLine) {
      this.#report({ problem: `its next line is ${nextLine}, and there are lines up to ${this.#nextLine - 1}` });
    }
    if (!this.#unread) this.#compareSums();
    this.#compareRuns();
  }

  #followLines({ firstLine, count }: VerifiedRow): void {
    if (firstLine > this.#nextLine) this.#missing(this.#nextLine, firstLine - 1);
    if (firstLine < this.#nextLine) {
      const toLine = Math.min(this.#nextLine, firstLine + count) - 1;
      const trimmed = firstLine <= this.#task.trimmedLine && this.#nextLine === this.#task.trimmedLine + 1;
      const problem = trimmed ? 'they were trimmed and are still there' : 'they are stored twice';
      this.#report({ fromLine: firstLine, toLine, problem });
    }
    this.#nextLine = Math.max(this.#nextLine, firstLine + count);
  }

  #missing(fromLine: number, toLine: number): void {
    this.#report({ fromLine, toLine, problem: 'no chunk holds them' });
  }

  #followPositions(pieces: readonly Piece[], place: { fromLine: number; toLine: number }): void {
    for (const { position, count } of pieces) {
      if (position < this.#nextPosition) {
        this.#report({ ...place, problem: `position ${position} stands behind position ${this.#nextPosition - 1}` });
      }
      this.#nextPosition = position + count;
    }
  }

  #count(header: ChunkHeader): void {
    const sums = this.#sums;
    if (header.codec === CODEC_GAP) {
      sums.missing += header.count;
      return;
    }
    sums.lines += header.count;
    sums.textBytes += header.textBytes;
    sums.storedBytes += CHUNK_HEADER_BYTES + header.bodyBytes;
    header.counts.forEach((lines, pair) => (sums.counts[pair] += lines));
    this.#minTime = Math.min(this.#minTime, header.minTime);
    this.#maxTime = Math.max(this.#maxTime, header.maxTime);
  }

  #addPiece({ run, seq, count }: Piece, place: { fromLine: number; toLine: number }): void {
    const audit = this.#runs.get(run);
    if (audit === undefined) {
      this.#report({ ...place, problem: 'they are of a run that the task does not have' });
      return;
    }
    const expected = audit.follow(seq, count);
    if (expected !== undefined) {
      this.#report({ ...place, run: audit.name, problem: `they begin at its seq ${seq}, which should be ${expected}` });
    }
  }

  #compareSums(): void {
    const task = this.#task;
    const { lines, missing, textBytes, storedBytes, counts } = this.#sums;
    this.#compare('lines', task.lines, lines);
    this.#compare('missing lines', task.missing, missing);
    this.#compare('bytes of text', task.textBytes, textBytes);
    this.#compare('bytes of chunks', task.storedBytes, storedBytes);
    this.#compare('lines per source and level', task.counts, JSON.stringify(counts));
    this.#compareTimes();
  }

  /** A trim dates the task when it has done its last step; until then its times may span more. */
  #compareTimes(): void {
    const { minTime, maxTime, trimmedLine } = this.#task;
    const [earliest, latest] = this.#sums.lines === 0 ? [null, null] : [this.#minTime, this.#maxTime];
    if (minTime === earliest && maxTime === latest) return;
    const spans = (minTime ?? Infinity) <= this.#minTime && (maxTime ?? -Infinity) >= this.#maxTime;
    if (trimmedLine > 0 && spans) return;
    this.#compare('the times', `${String(minTime)} to ${String(maxTime)}`, `${String(earliest)} to ${String(latest)}`);
  }

  #compare(what: string, said: unknown, is: unknown): void {
    if (said === is) return;
    this.#report({ problem: `it says ${what}: ${String(said)}; its chunks say ${String(is)}` });
  }

  #compareRuns(): void {
    const task = this.#task;
    const audits = [...this.#runs.values()];
    const open = audits.filter((audit) => audit.open).length;
    if (task.runs !== audits.length) this.#report({ problem: `it says ${task.runs} runs, there are ${audits.length}` });
    if (task.openRuns !== open) this.#report({ problem: `it says ${task.openRuns} open runs, there are ${open}` });
    if (task.newestRun !== null && !this.#runs.has(task.newestRun)) this.#report({ problem: 'its newest run is gone' });
    for (const audit of audits) for (const problem of audit.problems()) this.#report({ run: audit.name, problem });
  }
}

/** Whether its bytes are those that its writer made: merging leaves its mark, and a large chunk is never merged. */
function isAsAppended({ runs, level }: VerifiedRow): boolean {
  return runs === 0 && (level === 0 || level === MERGED_ENOUGH);
}

/** What the chunks say of one run. */
class RunAudit {
  /** Whether lines of it may have been trimmed. */
  partial = false;
  readonly #row: RunRow;
  /** Undefined until something of it came. */
  #nextSeq: number | undefined;
  #lines = 0;
  #missing = 0;
  #textBytes = 0;
  #digest: string | undefined = EMPTY_DIGEST;
  /** Whether its lines share chunks with other runs': then only lines can be told apart. */
  #mixed = false;
  #unread = false;

  constructor(row: RunRow) {
    this.#row = row;
  }

  get name(): string {
    return this.#row.run;
  }

  get open(): boolean {
    return this.#row.endedAt === null;
  }

  /** Answers the seq that was to come, if that is another. */
  follow(seq: number, count: number): number | undefined {
    // What was trimmed may have taken the first ones.
    const expected = this.#nextSeq ?? (this.partial ? seq : 0);
    this.#nextSeq = seq + count;
    return expected === seq ? undefined : expected;
  }

  addChunk(header: ChunkHeader, { asAppended }: { asAppended: boolean }): void {
    if (header.codec === CODEC_GAP) this.#missing += header.count;
    else {
      this.#lines += header.count;
      this.#textBytes += header.textBytes;
    }
    if (asAppended && this.#digest !== undefined) this.#digest = advanceDigest(this.#digest, header);
    else this.#digest = undefined;
  }

  /** Something of which it is not known what it is. */
  addUnread(): void {
    this.#unread = true;
  }

  /** So many lines of a chunk that holds other runs' too. Gaps are never merged. */
  addPart(lines: number): void {
    this.#lines += lines;
    this.#mixed = true;
    this.#digest = undefined;
  }

  problems(): string[] {
    const row = this.#row;
    const problems: string[] = [];
    const nextSeq = this.#nextSeq ?? (this.partial ? row.nextSeq : 0);
    if (nextSeq !== row.nextSeq) problems.push(`its next seq is ${row.nextSeq}, its chunks end at ${nextSeq}`);
    if (this.partial || this.#unread || nextSeq !== row.nextSeq) return problems;
    const compare = (what: string, said: number, is: number): void => {
      if (said !== is) problems.push(`it says ${what}: ${said}; its chunks say ${is}`);
    };
    compare('lines', row.lines, this.#lines);
    compare('missing lines', row.missing, this.#missing);
    if (!this.#mixed) compare('bytes of text', row.textBytes, this.#textBytes);
    if (this.#digest !== undefined && this.#digest !== row.digest) {
      problems.push(`its digest is ${row.digest}, its chunks give ${this.#digest}`);
    }
    return problems;
  }
}
