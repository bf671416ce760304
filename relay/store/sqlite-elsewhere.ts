import { openForReading } from './sqlite-schema.ts';
import { Reads } from './sqlite-reads.ts';
import type { StoreReads } from './store.ts';

/** A connection of its own for a thread that reads a store's file: see `readsElsewhere` of the store. */
export function openReads(path: unknown): StoreReads {
  const db = openForReading(path as string);
  // It reads from one end to the other, and needs nothing twice.
  db.pragma(`cache_size = -${CACHE_KIB}`);
  const reads = new Reads(db);
  return {
    read: answer((read) => reads.stored(read)),
    runs: answer((task, only) => reads.runs(task, only)),
    close: () => {
      db.close();
    },
  };
}

/** What SQLite says at once, also that it can't, as a promise. */
function answer<Args extends unknown[], Result>(ask: (...args: Args) => Result): (...args: Args) => Promise<Result> {
  return (...args) => new Promise((resolve) => resolve(ask(...args)));
}

const CACHE_KIB = 4 * 1024;
