import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { renderBatch } from './api/keruta/render.ts';
import { linesJson } from './api/keruta/shape.ts';
import { compileFilter } from './filter.ts';
import { Reader } from './reader.ts';
import { openSqliteStore } from './store/sqlite.ts';
import { Tail } from './tail.ts';
import { TestRun } from './reading.fixture.ts';

export interface ReadingBench {
  /** Lines a second. */
  decoded: number;
  searched: number;
  searchedByRegex: number;
  rendered: number;
  /** ms for a page of 100 lines anywhere, the median and the slowest but one in a hundred. */
  pageP50: number;
  pageP99: number;
}

/** Reads a task of 400,000 lines of about 115 bytes from a real store; about two seconds. */
export async function benchReading(): Promise<ReadingBench> {
  const folder = await mkdtemp(join(tmpdir(), 'keruta-bench-'));
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  try {
    const run = await new TestRun({ store }, 't').open();
    for (let chunk = 0; chunk < CHUNKS; chunk++) {
      await run.write(...Array.from({ length: CHUNK_LINES }, (_, i) => lineText(chunk * CHUNK_LINES + i)));
    }
    const reader = new Reader({ store, tail: new Tail({ store }) });
    const cursors = reader.cursors();
    const read = async (spec: Parameters<typeof compileFilter>[0], render = false): Promise<number> => {
      const { signal } = new AbortController();
      const started = performance.now();
      const filter = compileFilter(spec);
      const style = { key: filter.key, task: 't', batch: true, cursors };
      for await (const batch of reader.follow('t', { from: 1, filter, untilHead: true, signal })) {
        if (render) renderBatch(batch, style);
      }
      return (CHUNKS * CHUNK_LINES * 1000) / (performance.now() - started);
    };
    const decoded = await read({});
    const searched = await read({ text: ['Needle'] });
    const searchedByRegex = await read({ regex: 'item \\d+99 ' });
    const rendered = await read({}, true);
    const task = await store.task('t');
    if (task === undefined) throw new Error('the task is gone');
    const times: number[] = [];
    for (let i = 0; i < PAGES; i++) {
      const started = performance.now();
      const offset = (i * 7919 * 100) % (CHUNKS * CHUNK_LINES);
      const { signal } = new AbortController();
      const page = await reader.page(task, { filter: compileFilter(), offset, size: 100, signal });
      for await (const lines of page.lines()) linesJson(lines, { cursors });
      times.push(performance.now() - started);
    }
    times.sort((a, b) => a - b);
    return {
      ...{ decoded, searched, searchedByRegex, rendered },
      pageP50: times[PAGES >> 1],
      pageP99: times[Math.floor(PAGES * 0.99)],
    };
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
}

function lineText(n: number): string {
  return `2026-01-02 03:04:05.678 [INFO] com.example.Worker - processed item ${n} in ${n % 97} ms status=ok user=alice@example.com`;
}

const CHUNK_LINES = 2000;
const CHUNKS = 200;
const PAGES = 200;
