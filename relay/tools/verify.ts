import type Database from 'better-sqlite3';
import { CHUNK_HEADER_BYTES, CODEC_GAP, readStoredHeader } from '../../shared/chunk.ts';
import { decodePieces, type Piece } from '../store/pieces.ts';
import { openSnapshot } from './store-file.ts';
import { checkChunk, type VerifiedRow } from './verify-chunk.ts';
import { PositionAudit } from './verify-positions.ts';
import { TaskAudit, type RunRow, type TaskFinding, type TaskRow } from './verify-task.ts';

export interface Finding extends TaskFinding {
  task?: string;
}

export interface VerifyOptions {
  /** The store's file; a relay may be writing to it. */
  path: string;
  /** Only this task. */
  task?: string;
  /** Headers and counts only: no body is read. */
  quick?: boolean;
  /** More are counted, and not told. */
  maxFindings?: number;
  onFinding: (finding: Finding) => void;
  onProgress?: (doneChunks: number, totalChunks: number) => void;
}

export interface Verified {
  tasks: number;
  runs: number;
  chunks: number;
  lines: number;
  findings: number;
}

/**
 * Checks that a store holds what it says: every chunk by itself, the lines of each task without holes, and all counts
 * against their sum. Repairs nothing. Throws an Error if there is no store, or no such task.
 */
export function verifyStore(options: VerifyOptions): Verified {
  const db = openSnapshot(options.path);
  try {
    return new Verification(db, options).run();
  } finally {
    db.close();
  }
}

class Verification {
  readonly #db: Database.Database;
  readonly #options: VerifyOptions;
  readonly #done: Verified = { tasks: 0, runs: 0, chunks: 0, lines: 0, findings: 0 };
  #totalChunks = 0;

  constructor(db: Database.Database, options: VerifyOptions) {
    this.#db = db;
    this.#options = options;
  }

  run(): Verified {
    const { task, quick } = this.#options;
    const wanted = task === undefined ? undefined : this.#taskId(task);
    this.#guarded(() => this.#countChunks(wanted));
    if (wanted === undefined) {
      this.#guarded(() => this.#checkFile(quick ? 'quick_check' : 'integrity_check'));
      this.#guarded(() => this.#checkPositions());
      this.#guarded(() => this.#checkOrphans());
    }
    this.#guarded(() => this.#checkTasks(wanted));
    return this.#done;
  }

  /** What SQLite itself can't read is a finding like any other; what follows may still be readable. */
  #guarded(check: () => void): void {
    try {
      check();
    } catch (error) {
      const { code, message } = error as Error & { code?: unknown };
      if (typeof code !== 'string' || !/^SQLITE_(CORRUPT|NOTADB|IOERR)/.test(code)) throw error;
      this.#find({ problem: `the file can't be read: ${message} (${code})` });
    }
  }

  #find(finding: Finding): void {
    const { onFinding, maxFindings = Infinity } = this.#options;
    if (++this.#done.findings <= maxFindings) onFinding(finding);
  }

  #taskId(task: string): number {
    const id = this.#db.prepare<[string], number>('SELECT id FROM task WHERE task = ?').pluck().get(task);
    if (id === undefined) throw new Error(`there is no task ${JSON.stringify(task)} in ${this.#options.path}`);
    return id;
  }

  #countChunks(wanted: number | undefined): void {
    this.#totalChunks =
      this.#db
        .prepare<[{ wanted: number | null }], number>(
          'SELECT count(*) FROM chunk WHERE @wanted IS NULL OR task = @wanted',
        )
        .pluck()
        .get({ wanted: wanted ?? null }) ?? 0;
    this.#options.onProgress?.(0, this.#totalChunks);
  }

  /** SQLite's own check: every page, every index. */
  #checkFile(check: 'quick_check' | 'integrity_check'): void {
    const found = this.#db.pragma(check) as Record<string, string>[];
    for (const row of found) {
      const [said] = Object.values(row);
      if (said !== 'ok') this.#find({ problem: `the file is damaged: ${said.replaceAll(/\s+/g, ' ')}` });
    }
  }

  #checkPositions(): void {
    const audit = new PositionAudit((position) => this.#find({ problem: `position ${position} was given twice` }));
    let chunks = 0;
    let bytes = 0;
    let unread = false;
    const rows = this.#db.prepare<[], PositionRow>(
      `SELECT chunk.position, chunk.run, chunk.count, chunk.header, merged.pieces
         FROM chunk LEFT JOIN merged ON merged.position = chunk.position ORDER BY chunk.position`,
    );
    for (const row of rows.iterate()) {
      audit.add(piecesOf(row));
      chunks++;
      const header = unlessBroken(() => readStoredHeader(row.header));
      if (header === undefined) unread = true;
      else if (header.codec !== CODEC_GAP) bytes += CHUNK_HEADER_BYTES + header.bodyBytes;
    }
    const next = audit.finish();
    const store = this.#db
      .prepare<[], StoreRow>('SELECT next_position AS nextPosition, chunks, bytes FROM store')
      .get();
    if (store === undefined) {
      this.#find({ problem: 'the row that counts for the whole store is gone' });
      return;
    }
    if (store.nextPosition < next) {
      this.#find({ problem: `the store's next position is ${store.nextPosition}, and ${next - 1} is taken` });
    }
    if (store.chunks !== chunks) {
      this.#find({ problem: `the store says ${store.chunks} chunks, there are ${chunks}` });
    }
    if (store.bytes !== bytes && !unread) {
      this.#find({ problem: `the store says ${store.bytes} bytes of chunks, there are ${bytes}` });
    }
  }

  /** What belongs to something that is gone. */
  #checkOrphans(): void {
    const orphans: { sql: string; what: string }[] = [
      { sql: 'chunk WHERE task NOT IN (SELECT id FROM task)', what: 'chunks of tasks that are not there' },
      { sql: 'run WHERE task NOT IN (SELECT id FROM task)', what: 'runs of tasks that are not there' },
      { sql: 'run WHERE id NOT IN (SELECT run FROM run_info)', what: 'runs of which nothing more is known' },
      { sql: 'merged WHERE position NOT IN (SELECT position FROM chunk)', what: 'lists of pieces without a chunk' },
    ];
    for (const { sql, what } of orphans) {
      const count = this.#db.prepare<[], number>(`SELECT count(*) FROM ${sql}`).pluck().get() ?? 0;
      if (count > 0) this.#find({ problem: `there are ${count} ${what}` });
    }
  }

  #checkTasks(wanted: number | undefined): void {
    const tasks = this.#db.prepare<[{ wanted: number | null }], TaskRow>(
      `SELECT id, task, next_line AS nextLine, trimmed_line AS trimmedLine, lines, missing, text_bytes AS textBytes,
         stored_bytes AS storedBytes, min_time AS minTime, max_time AS maxTime, counts, runs, open_runs AS openRuns,
         newest_run AS newestRun FROM task WHERE @wanted IS NULL OR id = @wanted ORDER BY id`,
    );
    const runs = this.#db.prepare<[number], RunRow>(
      `SELECT id, run, next_seq AS nextSeq, digest, lines, missing, text_bytes AS textBytes, ended_at AS endedAt
         FROM run WHERE task = ? ORDER BY id`,
    );
    const chunks = this.#db.prepare<[number], VerifiedRow>(
      `SELECT chunk.position, chunk.first_line AS firstLine, chunk.count, chunk.run, run.run AS runName,
         chunk.min_time AS minTime, chunk.max_time AS maxTime, chunk.level, chunk.runs, chunk.header,
         length(chunk.body) AS bodyBytes, ${this.#options.quick ? 'NULL' : 'chunk.body'} AS body,
         merged.pieces, merged.last_position AS lastPosition
         FROM chunk LEFT JOIN run ON run.id = chunk.run LEFT JOIN merged ON merged.position = chunk.position
         WHERE chunk.task = ? ORDER BY chunk.first_line`,
    );
    for (const task of tasks.iterate({ wanted: wanted ?? null })) {
      const ofTask = runs.all(task.id);
      const audit = new TaskAudit(task, ofTask, (finding) => this.#find({ task: task.task, ...finding }));
      this.#guarded(() => {
        for (const row of chunks.iterate(task.id)) {
          audit.add(row, checkChunk(row));
          this.#done.chunks++;
          this.#options.onProgress?.(this.#done.chunks, this.#totalChunks);
        }
        audit.finish();
      });
      this.#done.tasks++;
      this.#done.runs += ofTask.length;
      this.#done.lines += audit.lines;
    }
  }
}

interface PositionRow {
  position: number;
  run: number;
  count: number;
  header: Buffer;
  pieces: Buffer | null;
}

interface StoreRow {
  nextPosition: number;
  chunks: number;
  bytes: number;
}

/** What can't be read is reported with its chunk; here its row stands for it. */
function piecesOf({ position, run, count, pieces }: PositionRow): readonly Piece[] {
  const read = pieces === null ? undefined : unlessBroken(() => decodePieces(pieces));
  return read?.at(0)?.position === position ? read : [{ run, seq: 0, position, count }];
}

function unlessBroken<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}
