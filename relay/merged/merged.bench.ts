import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TestRun } from '../reading.fixture.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { MergedReader } from './merged-reader.ts';

export interface MergedBench {
  /** Lines handed out a second of CPU time of this process, to readers of everything. */
  deliveredPerCpuSecond: number;
  /** CPU-microseconds that one reader of a quiet group costs for each thousand appends of others. */
  quietMicros: number;
  /** Lines a second that one reader of everything reads of what is stored; and of a group of a tenth of it. */
  history: number;
  groupHistory: number;
}

/** Merged streams with many readers over a real store; some seconds. */
export async function benchMerged(): Promise<MergedBench> {
  const folder = await mkdtemp(join(tmpdir(), 'keruta-bench-'));
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  try {
    const merged = new MergedReader({ store });
    const runs = await Promise.all(
      Array.from({ length: TASKS }, (_, task) =>
        new TestRun({ store, tail: merged }, `task-${task}`).open({}, { pipelineId: `p${task}` }),
      ),
    );
    const flood = async (appends: number): Promise<number> => {
      const before = process.cpuUsage();
      for (let i = 0; i < appends; i += TASKS) {
        await Promise.all(runs.map((run) => run.write(...LINES)));
        await delay(PAUSE_MS);
      }
      const { user, system } = process.cpuUsage(before);
      return user + system;
    };
    const follow = async (count: number, group?: string): Promise<() => Promise<void>> => {
      const stop = new AbortController();
      const from = await merged.place('now');
      const following = Array.from({ length: count }, async () => {
        const batches = merged.follow({ from, signal: stop.signal, ...(group !== undefined && { group }) });
        try {
          for await (const { events } of batches) for (const event of events) if (event.type === 'lines') seen++;
        } catch (error) {
          if (!stop.signal.aborted) throw error;
        }
      });
      return async () => {
        stop.abort();
        await Promise.all(following);
      };
    };
    let seen = 0;
    const alone = await flood(APPENDS);
    const leaveAll = await follow(READERS);
    const withReaders = await flood(APPENDS);
    await leaveAll();
    const delivered = READERS * APPENDS * LINES.length;
    if (seen < 0.99 * READERS * APPENDS) throw new Error(`only ${seen} of ${READERS * APPENDS} chunks were delivered`);
    const leaveQuiet = await follow(READERS, 'quiet');
    const withQuiet = await flood(APPENDS);
    await leaveQuiet();

    const read = async (group?: string): Promise<number> => {
      const { signal } = new AbortController();
      const started = performance.now();
      let lines = 0;
      const options = { from: 0, untilHead: true, signal, ...(group !== undefined && { group }) };
      for await (const { events } of merged.follow(options)) {
        for (const event of events) if (event.type === 'lines') lines += event.end - event.first;
      }
      return (lines * 1000) / (performance.now() - started);
    };
    return {
      deliveredPerCpuSecond: (delivered / Math.max(1, withReaders - alone)) * 1e6,
      quietMicros: (Math.max(0, withQuiet - alone) / READERS / APPENDS) * 1000,
      history: await read(),
      groupHistory: await read('p3'),
    };
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
}

const TASKS = 10;
const READERS = 200;
const APPENDS = 1000;
const PAUSE_MS = 5;
const LINES = Array.from(
  { length: 20 },
  (_, i) => `2026-01-02 03:04:05.678 [INFO] com.example.Worker - item ${i} done`,
);

if (import.meta.main) console.table(await benchMerged());
