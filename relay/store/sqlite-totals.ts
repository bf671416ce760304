import type Database from 'better-sqlite3';

interface TotalsRow {
  epoch: string;
  generation: number;
  nextPosition: number;
  change: number;
  chunks: number;
  bytes: number;
}

/** The one row that counts for the whole store, as an object that is read and written back. */
export class Totals {
  epoch = '';
  generation = 0;
  nextPosition = 0;
  /** Counts what changes a task's revision. */
  change = 0;
  chunks = 0;
  /** Of chunks with lines. */
  bytes = 0;
  readonly #sql;
  #saved: TotalsRow | undefined;

  constructor(db: Database.Database) {
    this.#sql = {
      load: db.prepare<[], TotalsRow>(
        'SELECT epoch, generation, next_position AS nextPosition, change, chunks, bytes FROM store',
      ),
      save: db.prepare(
        'UPDATE store SET epoch = ?, generation = ?, next_position = ?, change = ?, chunks = ?, bytes = ?',
      ),
    };
  }

  load(): void {
    this.#saved = this.#sql.load.get();
    Object.assign(this, this.#saved);
  }

  /** Writes what has changed. */
  save(): void {
    const now = this.copy();
    const saved = this.#saved;
    if (
      now.nextPosition === saved?.nextPosition &&
      now.change === saved.change &&
      now.chunks === saved.chunks &&
      now.bytes === saved.bytes &&
      now.generation === saved.generation
    )
      return;
    this.#sql.save.run(now.epoch, now.generation, now.nextPosition, now.change, now.chunks, now.bytes);
    this.#saved = now;
  }

  copy(): TotalsRow {
    const { epoch, generation, nextPosition, change, chunks, bytes } = this;
    return { epoch, generation, nextPosition, change, chunks, bytes };
  }

  restore(copy: TotalsRow): void {
    Object.assign(this, copy);
  }
}
