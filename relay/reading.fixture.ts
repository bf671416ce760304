import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { encodeGap, CHUNK_HEADER_BYTES, readHeader } from '../shared/chunk.ts';
import type { GapReason } from '../shared/gap-reasons.ts';
import { encodeLines } from '../shared/columns.ts';
import { advanceDigest, EMPTY_DIGEST } from '../shared/digest.ts';
import { kindOf, type Level, type Source } from '../shared/line.ts';
import { newUlid } from '../shared/ulid.ts';
import { Reader } from './reader.ts';
import { openSqliteStore } from './store/sqlite.ts';
import type { Store } from './store/store.ts';
import { Tail } from './tail.ts';

/** A line as tests write it: text, or text with what is not INFO on stdout at a time that does not matter. */
export type TestLine =
  string | { text: string; source?: Source; level?: Level; time?: number; flags?: number; metadata?: string };

/** A relay's reading half over a real store in a temporary folder, gone after the test. */
export async function openReading(t: Lasting): Promise<Reading> {
  const folder = await mkdtemp(join(tmpdir(), 'keruta-reading-'));
  const path = join(folder, 'store.db');
  const store = await openSqliteStore({ path });
  const tail = new Tail({ store });
  const reader = new Reader({ store, tail });
  t.after(async () => {
    await reader.close();
    await store.close();
    await rm(folder, { recursive: true });
  });
  return { path, store, tail, reader };
}

/** A test, or several of them, after which something is to be ended. */
export interface Lasting {
  after(end: () => Promise<void>): void;
}

export interface Reading {
  path: string;
  store: Store;
  tail: Tail;
  reader: Reader;
}

/** The time of lines that don't say. */
export const T0 = Date.parse('2026-01-02T03:04:05.678Z');

let clock = T0;

/** A writer of one run, as ingest would be: appends, then tells the tail (unless it stands for another relay's). */
export class TestRun {
  readonly run = newUlid(Date.now());
  readonly task: string;
  seq = 0;
  lines = 0;
  bytes = 0;
  digest = EMPTY_DIGEST;
  readonly #reading: Pick<Reading, 'store'> & { tail?: Pick<Tail, 'stored'> };
  #fence = 0;
  /** A run opens after what was done before it. */
  readonly #openedAt = (clock += 10_000);

  constructor(reading: Pick<Reading, 'store'> & { tail?: Pick<Tail, 'stored'> }, task: string) {
    this.#reading = reading;
    this.task = task;
  }

  async open(
    labels: Record<string, string> = {},
    more: { pipelineId?: string; workerId?: string } = {},
  ): Promise<this> {
    const opened = await this.#reading.store.open({
      task: this.task,
      run: this.run,
      workerId: 'test',
      labels,
      agentVersion: '0',
      startedAt: this.#openedAt,
      ackedSeq: 0,
      now: this.#openedAt,
      ...more,
    });
    this.#fence = opened.fence;
    return this;
  }

  write(...lines: TestLine[]): Promise<void> {
    return this.append(this.encode(lines));
  }

  /** The next chunk, not appended yet. */
  encode(lines: readonly TestLine[]): Buffer {
    return encodeLines(
      this.run,
      this.seq,
      lines.map((line) => {
        const given = typeof line === 'string' ? { text: line } : line;
        const kind = kindOf(given.source ?? 'stdout', given.level ?? 'INFO') | (given.flags ?? 0);
        const base = { time: given.time ?? T0, kind, text: Buffer.from(given.text) };
        return given.metadata === undefined ? base : { ...base, metadata: given.metadata };
      }),
    );
  }

  gap(count: number, reason: GapReason = 'dropped'): Promise<void> {
    return this.append(encodeGap({ run: this.run, firstSeq: this.seq, count, reason, time: T0 }));
  }

  async append(bytes: Buffer): Promise<void> {
    const header = readHeader(bytes);
    const outcome = await this.#reading.store.append({
      task: this.task,
      run: this.run,
      fence: this.#fence,
      bytes,
      now: this.#openedAt,
    });
    if (outcome.outcome !== 'stored') throw new Error(`append: ${outcome.outcome}`);
    this.seq = outcome.nextSeq;
    this.digest = advanceDigest(this.digest, header);
    const place = {
      task: this.task,
      run: this.run,
      firstLine: outcome.firstLine,
      position: outcome.position,
      count: header.count,
    };
    if (header.reason === undefined) {
      this.lines += header.count;
      this.bytes += header.textBytes;
      this.#reading.tail?.stored({
        kind: 'chunk',
        ...place,
        header: bytes.subarray(0, CHUNK_HEADER_BYTES),
        body: bytes.subarray(CHUNK_HEADER_BYTES),
      });
    } else {
      this.#reading.tail?.stored({ kind: 'gap', ...place, reason: header.reason, time: header.minTime });
    }
  }

  async end(exitCode = 0): Promise<void> {
    const { task, run, seq, lines, bytes, digest } = this;
    const ended = await this.#reading.store.end({
      ...{ task, run, fence: this.#fence, exitCode, signal: null, reason: 'exited' },
      ...{ nextSeq: seq, lines, bytes, digest, endedAt: this.#openedAt + 1000, now: this.#openedAt + 1000 },
    });
    if (ended.outcome !== 'verified') throw new Error(`end: ${ended.outcome}`);
  }
}

/** Resolves when `done` holds, looked at once an event-loop turn. Rejects when that has not come in two minutes. */
export async function until(done: () => boolean): Promise<void> {
  const since = performance.now();
  while (!done()) {
    if (performance.now() - since > PATIENCE_MS) throw new Error(`waited in vain until ${done.toString()}`);
    await turn();
  }
}

/** Whoever waits longer would wait for ever, and keep a core busy. */
const PATIENCE_MS = 120_000;
