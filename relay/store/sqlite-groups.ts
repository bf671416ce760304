import type Database from 'better-sqlite3';
import { encodeGap } from '../../shared/chunk.ts';
import type { PageRow } from './sqlite-page.ts';
import type { Entry, PositionLimits, PositionReads, WalkedRows } from './sqlite-positions.ts';

interface GroupTask {
  id: number;
  task: string;
  nextLine: number;
  trimmedLine: number;
  trimmedPosition: number;
}

interface ChunkRow {
  position: number;
  firstLine: number;
  count: number;
  header: Buffer;
  runs: number;
  run: string;
}

/**
 * Reads the tasks of one group in the order of positions. Both lines and positions of a task only grow, so each task
 * is read by its own index: what others have written meanwhile is not even looked at. Only where too many tasks of the
 * group are ahead, the store is read in stretches, and others' lines are left out; where these are long, they are passed
 * over.
 */
export class GroupReads {
  readonly #positions: PositionReads;
  readonly #sql;

  constructor(db: Database.Database, positions: PositionReads) {
    this.#positions = positions;
    const columns = 'id, task, next_line AS nextLine, trimmed_line AS trimmedLine, trimmed_position AS trimmedPosition';
    this.#sql = {
      tasks: db.prepare<[string, number, string, number], GroupTask>(
        `SELECT ${columns} FROM task WHERE pipeline = ? AND end_position > ?
           UNION ALL SELECT ${columns} FROM task WHERE task = ? AND pipeline IS NULL AND end_position > ?`,
      ),
      holder: db.prepare<[number, number], { position: number; firstLine: number }>(
        `SELECT position, first_line AS firstLine FROM chunk WHERE task = ? AND first_line <= ?
           ORDER BY first_line DESC LIMIT 1`,
      ),
      chunks: db.prepare<[number, number], ChunkRow>(
        `SELECT chunk.position, chunk.first_line AS firstLine, chunk.count, chunk.header, chunk.runs, run.run
           FROM chunk JOIN run ON run.id = chunk.run WHERE chunk.task = ? AND chunk.first_line >= ?
           ORDER BY chunk.first_line`,
      ),
    };
  }

  /** Within one read transaction. */
  walk(group: string, position: number, limits: PositionLimits): WalkedRows {
    const head = this.#positions.head();
    if (position >= head) return { rows: [], nextPosition: position };
    const from = Math.max(0, position);
    const tasks = this.#sql.tasks.all(group, from, group, from);
    this.#positions.begin(from);
    const range = { from, head, limit: limits.wants?.headersOnly === true ? limits.maxChunks : ENOUGH_ENTRIES };
    const { entries, until } =
      tasks.length > MANY_TASKS ? this.#scan({ name: group, tasks }, range) : this.#merge(tasks, range);
    const found: (Entry | Trimmed)[] = [...entries];
    for (const task of tasks) if (task.trimmedPosition >= from) found.push(trimmedOf(task));
    const inOrder = found.filter((entry) => entry.position < until).sort((a, b) => a.position - b.position);
    const rows: PageRow[] = this.#positions.rows(inOrder.slice(0, limits.maxChunks), limits);
    return { rows, nextPosition: rows.length < inOrder.length ? inOrder[rows.length].position : until };
  }

  /** Of few tasks: the first of what each of them has. Jumps over what others have, however much it is. */
  #merge(tasks: readonly GroupTask[], { from, head, limit }: Range): Found {
    const most = Math.max(MIN_ENTRIES, Math.floor(limit / Math.max(1, tasks.length)));
    let until = head;
    const entries = tasks.flatMap((task) => {
      const found = this.#entriesOf(task, from, most);
      if (found.length === most) until = Math.min(until, endOf(found[most - 1]));
      return found;
    });
    return { entries, until };
  }

  /** Of many: what is theirs of a stretch of the store. */
  #scan({ name, tasks }: { name: string; tasks: readonly GroupTask[] }, { from, head, limit }: Range): Found {
    const to = Math.min(head, from + SCANNED_POSITIONS);
    const only = { name, tasks: new Set(tasks.map(({ task }) => task)) };
    const entries = this.#positions.ofGroup(only, { from, to, limit });
    const last = entries.at(-1);
    if (last === undefined) return { entries, until: this.#firstBehind(tasks, { from: to, head }) };
    const end = endOf(last);
    return { entries, until: entries.length === limit ? end : Math.max(to, end) };
  }

  /** Where to look next after a stretch without anything: none of the tasks has anything before it. */
  #firstBehind(tasks: readonly GroupTask[], { from, head }: { from: number; head: number }): number {
    if (tasks.length > MAX_LOOKED_UP) return from;
    const firsts = tasks.flatMap((task) => this.#entriesOf(task, from, 1));
    return firsts.reduce((first, { position }) => Math.min(first, Math.max(from, position)), head);
  }

  /** The first chunks and pieces of a task that reach to a position or behind it. */
  #entriesOf(task: GroupTask, from: number, most: number): Entry[] {
    const entries: Entry[] = [];
    for (const { runs, ...row } of this.#sql.chunks.iterate(task.id, this.#startLine(task, from))) {
      if (runs === 0) {
        if (row.position + row.count > from) entries.push({ kind: 'plain', task: task.task, ...row });
      } else {
        const { position, firstLine, count } = row;
        const pieces = this.#positions.pieces({ position, firstLine, count, task: task.task }, { from, most });
        for (const piece of pieces) entries.push(piece);
      }
      if (entries.length >= most) break;
    }
    return entries.slice(0, most);
  }

  /** The first line of the task's last chunk that begins at or before a position; without one, that of its first. */
  #startLine({ id, nextLine, trimmedLine }: GroupTask, from: number): number {
    let best = trimmedLine + 1;
    // Whoever follows is at the end.
    let middle = nextLine - 1;
    for (let [low, high] = [best, middle]; low <= high; middle = Math.floor((low + high) / 2)) {
      const chunk = this.#sql.holder.get(id, middle);
      if (chunk === undefined || chunk.position <= from) {
        best = chunk?.firstLine ?? best;
        low = middle + 1;
      } else {
        high = chunk.firstLine - 1;
      }
    }
    return best;
  }
}

interface Range {
  from: number;
  head: number;
  limit: number;
}

/** Everything of the group below `until` is among the entries, and perhaps more. */
interface Found {
  entries: readonly Entry[];
  until: number;
}

type Trimmed = { kind: 'trimmed'; position: number } & PageRow;

function trimmedOf({ task, trimmedLine, trimmedPosition: position }: GroupTask): Trimmed {
  const header = encodeGap({ run: NO_RUN, firstSeq: 0, count: 1, reason: 'trimmed', time: 0 });
  return { kind: 'trimmed', task, run: NO_RUN, firstLine: trimmedLine, position, count: 1, header };
}

function endOf(entry: Entry): number {
  return entry.position + (entry.kind === 'piece' ? entry.piece.count : entry.count);
}

/** To look for the place of each of more tasks would take longer than to look at what lies there. */
const MANY_TASKS = 64;
const SCANNED_POSITIONS = 65_536;
/** After an empty stretch: no more of them than are looked up in the time that it took. */
const MAX_LOOKED_UP = 2048;
/** Entries that are worth a read, where bodies come along: each is a page of the file. */
const ENOUGH_ENTRIES = 512;
const MIN_ENTRIES = 16;
const NO_RUN = '0'.repeat(26);
