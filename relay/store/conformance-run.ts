import { CHUNK_HEADER_BYTES, ChunkError, encodeGap, readHeader, readStoredHeader } from '../../shared/chunk.ts';
import type { GapReason } from '../../shared/gap-reasons.ts';
import { encodeLines } from '../../shared/columns.ts';
import { advanceDigest, EMPTY_DIGEST } from '../../shared/digest.ts';
import { kindOf } from '../../shared/line.ts';
import { newUlid } from '../../shared/ulid.ts';
import { decodeStored } from './decode.ts';
import type { AppendOutcome, EndOutcome, EndRun, OpenRun, Read, Store, Stored } from './store.ts';

/** A hello of a new run. */
export function openRun(task: string, said: Partial<OpenRun> = {}): OpenRun {
  const given = { workerId: 'worker', labels: {}, agentVersion: '1', startedAt: 1, ackedSeq: 0, now: 1 };
  return { task, run: newUlid(1), ...given, ...said };
}

/** A writer for tests: counts as an agent does. */
export class TestRun {
  task: string;
  readonly run: string;
  readonly hello: OpenRun;
  readonly fence: number;
  readonly #store: Store;
  #seq = 0;
  #lines = 0;
  #bytes = 0;
  digest = EMPTY_DIGEST;

  private constructor(store: Store, hello: OpenRun, fence: number) {
    this.#store = store;
    this.hello = hello;
    this.task = hello.task;
    this.run = hello.run;
    this.fence = fence;
  }

  static async open(store: Store, task: string, said: Partial<OpenRun> = {}): Promise<TestRun> {
    const hello = openRun(task, said);
    return new TestRun(store, hello, (await store.open(hello)).fence);
  }

  /** The same run under a new fence, at the same place. */
  async reopened(): Promise<TestRun> {
    const again = new TestRun(this.#store, this.hello, (await this.#store.open(this.hello)).fence);
    again.#seq = this.#seq;
    again.#lines = this.#lines;
    again.#bytes = this.#bytes;
    again.digest = this.digest;
    return again;
  }

  /** Takes `count` seqs. */
  next(count: number): number {
    this.#seq += count;
    return this.#seq - count;
  }

  /** The next lines of the run, as a chunk. */
  chunk(...texts: string[]): Buffer {
    const chunk = this.chunkFrom(this.next(texts.length), ...texts);
    this.#lines += texts.length;
    this.#bytes += readHeader(chunk).textBytes;
    this.digest = advanceDigest(this.digest, readHeader(chunk));
    return chunk;
  }

  chunkFrom(firstSeq: number, ...texts: string[]): Buffer {
    const kind = kindOf('stdout', 'INFO');
    return encodeLines(
      this.run,
      firstSeq,
      texts.map((text) => ({ time: 1000, kind, text: Buffer.from(text) })),
    );
  }

  append(bytes: Buffer, now = 1): Promise<AppendOutcome> {
    return this.#store.append({ task: this.task, run: this.run, fence: this.fence, bytes, now });
  }

  lines(...texts: string[]): Promise<AppendOutcome> {
    return this.append(this.chunk(...texts));
  }

  gap(count: number, reason: GapReason): Promise<AppendOutcome> {
    const gap = encodeGap({ run: this.run, firstSeq: this.next(count), count, reason, time: 1000 });
    this.digest = advanceDigest(this.digest, readHeader(gap));
    return this.append(gap);
  }

  seen(now: number, nextSeq?: number): Promise<void> {
    return this.#store.seen({ task: this.task, run: this.run, fence: this.fence, nextSeq, now });
  }

  end(said: Partial<EndRun> = {}): Promise<EndOutcome> {
    const { task, run, fence, digest } = this;
    const counted = { nextSeq: this.#seq, lines: this.#lines, bytes: this.#bytes, digest };
    const exited = { exitCode: 0, signal: null, reason: 'exited', endedAt: 10, now: 10 } as const;
    return this.#store.end({ task, run, fence, ...counted, ...exited, ...said });
  }
}

/** What else than the text is asked of a walk over lines. */
interface WalkOptions {
  /** What stands for the lines of a chunk that can't be read. Without it such a chunk is an error. */
  unreadable?: string;
}

/** Every line from a place on, as "number text"; each line of a gap as "number reason". Reads in small steps. */
export async function linesOf(store: Store, from: Read['from'], options: WalkOptions = {}): Promise<string[]> {
  return (await walk(store, from, options)).map(({ number, text }) => `${number} ${text}`);
}

/** Whose each line is, as "number run". */
export async function runsOf(store: Store, from: Read['from']): Promise<string[]> {
  return (await walk(store, from)).map(({ number, run }) => `${number} ${run}`);
}

interface Walked {
  number: number;
  text: string;
  run: string;
}

async function walk(store: Store, from: Read['from'], options: WalkOptions = {}): Promise<Walked[]> {
  const lines: Walked[] = [];
  let next = 'task' in from ? Math.max(1, from.line) : from.position;
  for (;;) {
    const place = 'task' in from ? { task: from.task, line: next } : { position: next };
    const read = await store.read({ from: place, maxBytes: 400 });
    if (read.length === 0) return lines;
    for (const stored of read) {
      const first = 'task' in from ? stored.firstLine : (stored.position ?? NaN);
      if (first > next && 'task' in from) throw new Error(`a hole: ${first} follows, ${next} was expected`);
      // Only the first one of a read may begin before: it may have been merged since the read before.
      if ((first < next && stored !== read[0]) || first + stored.count <= next)
        throw new Error(`${first} came again, ${next} was expected`);
      const [texts, runs] = [textsOf(stored, options), runsIn(stored)];
      for (let i = Math.max(0, next - first); i < stored.count; i++) {
        lines.push({ number: first + i, text: texts(i), run: runs(i) });
      }
      next = first + stored.count;
    }
  }
}

function runsIn(stored: Stored): (index: number) => string {
  const runs = 'runs' in stored ? stored.runs : undefined;
  if (!runs) return () => String(stored.run);
  const each = runs.flatMap(({ run, count }) => new Array<string>(count).fill(run));
  if (each.length !== stored.count || each[0] !== stored.run) throw new Error('the runs do not add up');
  return (index) => each[index];
}

/** The text of the line with an index in a chunk, or a gap's reason. */
export function textsOf(stored: Stored, { unreadable }: WalkOptions = {}): (index: number) => string {
  if (stored.kind === 'gap')
    return () => (unreadable !== undefined && stored.reason === 'corrupt' ? unreadable : stored.reason);
  const header = readStoredHeader(stored.header);
  if (header.count !== stored.count) throw new Error('the header counts otherwise than the store');
  if (header.run !== stored.run || stored.header.length !== CHUNK_HEADER_BYTES)
    throw new Error('the header is not the chunk’s');
  const { body } = stored;
  if (!body) throw new Error('a chunk came without its body');
  try {
    const { text, starts, kinds, times, metadata } = decodeStored(header, { header: stored.header, body });
    return (index) => {
      const more = [kinds[index], times[index], metadata?.[index] ?? ''].join('/');
      return `${text.toString('utf8', starts[index], starts[index + 1] - 1)}${more === DEFAULT_LINE ? '' : ` ${more}`}`;
    };
  } catch (error) {
    if (!(error instanceof ChunkError) || unreadable === undefined) throw error;
    return () => unreadable;
  }
}

/** What `TestRun.chunk` gives each line besides its text; of others it is shown. */
const DEFAULT_LINE = `${kindOf('stdout', 'INFO')}/1000/`;
