import type { MergedEvent } from '../events.ts';
import type { Level, Source } from '../../shared/line.ts';

/** A row of the viewer: a line, or a remark that stands between lines and that no filter hides. */
export type Row = LineRow | NoteRow;

export interface LineRow {
  kind: 'line';
  /** Never the same for two rows. */
  key: number;
  timestamp: string;
  level: Level;
  source: Source;
  /** The task's name, or else its id. */
  task: string;
  message: string;
}

export interface NoteRow {
  kind: 'note';
  key: number;
  text: string;
}

export interface RowFilter {
  level: Level | 'all';
  source: Source | 'all';
  /** A part of the message or of the task's name, in any case. */
  text: string;
}

/** The last rows of a stream, so many at most. Each change makes a new list; rows that stay are the same objects. */
export class LogWindow {
  readonly #limit: number;
  #rows: readonly Row[] = [];
  #key = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get rows(): readonly Row[] {
    return this.#rows;
  }

  add(events: readonly MergedEvent[]): void {
    const rows: Row[] = [];
    for (const event of events) {
      const row = this.#rowOf(event);
      if (row !== undefined) rows.push(row);
    }
    if (rows.length === 0) return;
    const all = [...this.#rows, ...rows];
    this.#rows = all.slice(Math.max(0, all.length - this.#limit));
  }

  clear(): void {
    this.#rows = [];
  }

  #rowOf(event: MergedEvent): Row | undefined {
    if (event.type === 'log') {
      const { timestamp, level, source, message, taskId, taskName: task = taskId } = event;
      return { kind: 'line', key: this.#key++, timestamp, level, source, task, message };
    }
    if (event.type === 'gap') {
      const { lines, reason } = event;
      const text = `${lines === 1 ? '1 line is' : `${lines} lines are`} missing (${reason})`;
      return { kind: 'note', key: this.#key++, text };
    }
    if (event.type !== 'reset') return undefined;
    return {
      kind: 'note',
      key: this.#key++,
      text: "The relay's store was replaced: lines may be missing or come again",
    };
  }
}

/** The rows that a filter lets through. */
export function shownRows(rows: readonly Row[], { level, source, text }: RowFilter): readonly Row[] {
  const wanted = text.toLowerCase();
  return rows.filter(
    (row) =>
      row.kind === 'note' ||
      ((level === 'all' || row.level === level) &&
        (source === 'all' || row.source === source) &&
        (wanted === '' || row.message.toLowerCase().includes(wanted) || row.task.toLowerCase().includes(wanted))),
  );
}

export function countLines(rows: readonly Row[]): number {
  return rows.reduce((count, row) => count + (row.kind === 'line' ? 1 : 0), 0);
}
