import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { crc32 } from 'node:zlib';
import { CODEC_PLAIN, encodeChunk } from '../../shared/chunk.ts';
import { encodeLines } from '../../shared/columns.ts';
import { kindOf, PAIRS, pairOf } from '../../shared/line.ts';
import { newUlid } from '../../shared/ulid.ts';
import { openSqliteStore } from './sqlite.ts';
import type { Store } from './store.ts';

export interface StoreFigures {
  chunks: number;
  lines: number;
  seconds: number;
  linesPerSecond: number;
  chunksPerSecond: number;
  megabytesPerSecond: number;
  /** CPU of the whole process, its workers and the copying of a chunk included. */
  cpuMicrosPerChunk: number;
  ackP50Ms: number;
  ackP99Ms: number;
  loopDelayP99Ms: number;
}

/** Full chunks (28 KB that hold 2,280 lines, as logs compress) from 50 agents, four under way each, for `ms`. */
export function benchFlood(ms = 2500): Promise<StoreFigures> {
  const lines = 2280;
  return bench(50, 4, ms, Infinity, (run) => fullChunk(run, lines), lines);
}

/** 20,000 single-line chunks a second from 1,000 agents, for `ms`. */
export function benchTrickle(ms = 2500, perSecond = 20_000): Promise<StoreFigures> {
  const text = Buffer.from(
    '2026-01-02 03:04:05 INFO request served in 12 ms, status 200, 1,234 bytes sent to 10.0.0.1',
  );
  const line = { time: Date.now(), kind: kindOf('stdout', 'INFO'), text };
  return bench(1000, 0, ms, perSecond, (run) => encodeLines(run, 0, [line]), 1);
}

/** A run's first chunk; the others are copies with another first seq. */
type Make = (run: string) => Buffer;

async function bench(
  agents: number,
  depth: number,
  ms: number,
  perSecond: number,
  make: Make,
  lines: number,
): Promise<StoreFigures> {
  const folder = await mkdtemp(join(tmpdir(), 'keruta-store-'));
  const store = await openSqliteStore({ path: join(folder, 'store.db') });
  try {
    const writers = await Promise.all(
      Array.from({ length: agents }, (_, index) => openWriter(store, index, make, lines)),
    );
    const acks: number[] = [];
    let bytes = 0;
    const append = async (writer: Writer): Promise<void> => {
      const chunk = writer.next();
      bytes += chunk.length;
      const start = performance.now();
      await writer.append(chunk);
      acks.push(performance.now() - start);
    };
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const cpu = process.cpuUsage();
    const start = performance.now();
    if (depth > 0) {
      const loop = async (writer: Writer): Promise<void> => {
        while (performance.now() - start < ms) await append(writer);
      };
      await Promise.all(writers.flatMap((writer) => Array.from({ length: depth }, () => loop(writer))));
    } else {
      await paced(ms, perSecond, (index) => append(writers[index % agents]));
    }
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    delay.disable();
    acks.sort((a, b) => a - b);
    const chunks = acks.length;
    return {
      chunks,
      lines: chunks * lines,
      seconds,
      linesPerSecond: (chunks * lines) / seconds,
      chunksPerSecond: chunks / seconds,
      megabytesPerSecond: bytes / seconds / 1e6,
      cpuMicrosPerChunk: (user + system) / chunks,
      ackP50Ms: acks[Math.floor(chunks * 0.5)],
      ackP99Ms: acks[Math.floor(chunks * 0.99)],
      loopDelayP99Ms: delay.percentile(99) / 1e6,
    };
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
}

/** Calls `start` at an even rate for `ms`, and resolves when all that it returned has. */
async function paced(ms: number, perSecond: number, start: (index: number) => Promise<void>): Promise<void> {
  const begin = performance.now();
  const started: Promise<void>[] = [];
  while (performance.now() - begin < ms) {
    const due = ((performance.now() - begin) / 1000) * perSecond;
    while (started.length < due) started.push(start(started.length));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(started);
}

interface Writer {
  next: () => Buffer;
  append: (bytes: Buffer) => Promise<void>;
}

async function openWriter(store: Store, index: number, make: Make, lines: number): Promise<Writer> {
  const now = Date.now();
  const run = newUlid(now);
  const task = `task-${index}`;
  const hello = { task, run, workerId: 'bench', labels: {}, agentVersion: 'bench', startedAt: now, ackedSeq: 0, now };
  const { fence } = await store.open(hello);
  const first = make(run);
  let seq = 0;
  return {
    next: () => {
      const chunk = Buffer.from(first);
      chunk.writeUIntLE(seq, 24, 6);
      seq += lines;
      // Small ones are merged, which takes sound ones; the store itself leaves the checksum of large ones to its caller.
      if (lines === 1) chunk.writeUInt32LE(crc32(chunk.subarray(8)), 4);
      return chunk;
    },
    append: async (bytes) => {
      const { outcome } = await store.append({ task, run, fence, bytes, now: Date.now() });
      if (outcome !== 'stored') throw new Error(`the append was not stored: ${outcome}`);
    },
  };
}

/** The store never reads bodies, so any will do. */
const body = Buffer.alloc(28_000 - 92, 0xa5);

function fullChunk(run: string, count: number): Buffer {
  const counts = new Uint16Array(PAIRS);
  counts[pairOf(kindOf('stdout', 'INFO'))] = count;
  const time = Date.now();
  const fields = { run, firstSeq: 0, count, flags: 0, minTime: time, maxTime: time, textBytes: 7 * count, counts };
  return encodeChunk(fields, CODEC_PLAIN, body.length, body);
}

if (import.meta.main) {
  console.table({ flood: await benchFlood(), trickle: await benchTrickle() });
}
