import { ChunkError, readStoredHeader, type ChunkHeader } from '../shared/chunk.ts';
import type { Lines } from '../shared/columns.ts';
import type { Matches } from './filter.ts';
import { decodeStored } from './store/decode.ts';
import { alone, ownCopy } from './store/own-bytes.ts';
import type { Stored, StoredChunk, StoredGap } from './store/store.ts';

/** What a reader walks over: consecutive lines of a task, there or missing. */
export type Segment = Block | StoredGap;

export function toSegment(stored: Stored): Segment {
  return stored.kind === 'gap' ? stored : new Block(stored);
}

/** As `toSegment`, of what is to be kept: with bytes of its own, and the same for all who keep the same object. */
export function ownSegment(stored: Stored): Segment {
  let segment = owned.get(stored);
  if (segment === undefined) owned.set(stored, (segment = toSegment(ownBytes(stored))));
  return segment;
}

const owned = new WeakMap<Stored, Segment>();

/**
 * A chunk may be a slice of what a socket read at once, or of a page from the store: keeping it would keep all of that,
 * uncounted. Only what makes up most of its memory is kept as it is.
 */
function ownBytes(stored: Stored): Stored {
  if (stored.kind === 'gap' || stored.body === undefined) return stored;
  const { header, body } = stored;
  if (body.length > MAX_COPIED_BYTES && 2 * body.length > body.buffer.byteLength) return stored;
  const bytes = ownCopy(header, body);
  return { ...stored, header: bytes.subarray(0, header.length), body: bytes.subarray(header.length) };
}

/** Memory that a segment takes, about. */
export function bytesOf(segment: Segment): number {
  return segment.kind === 'block' ? segment.bytes : GAP_BYTES;
}

/** The line behind a segment's last one. */
export function endLine(segment: Segment): number {
  return segment.firstLine + segment.count;
}

/**
 * A stored chunk in memory, shared by all who read it: its header is read once, its body decoded at most once, and what
 * an API makes of it is kept with it.
 */
export class Block {
  readonly kind = 'block';
  readonly task: string;
  /** Of all its lines, or where `runs` is there, of the first of them. */
  readonly run: string;
  /** Only where lines of several runs were merged: whose they are, in order. Their counts add up to `count`. */
  readonly runs: readonly { run: string; count: number }[] | undefined;
  readonly firstLine: number;
  /** Of its first line. Only what was read by position or just appended has its lines at consecutive ones. */
  readonly position: number;
  readonly count: number;
  /** Undefined if it can't be read: the lines are lost. */
  readonly header: ChunkHeader | undefined;
  /** About how much memory this takes; grows as it is decoded and rendered. */
  bytes: number;
  readonly #storedHeader: Buffer;
  readonly #body: Buffer | undefined;
  #lines: Lines | undefined;
  #broken: boolean;
  #runEnds: Uint32Array | undefined;
  /** Those who keep it: mostly one, or two. */
  #keepers: readonly Keeper[] = [];
  readonly #matches = new Map<string, Matches>();
  readonly #rendered = new Map<string, Buffer>();

  constructor(stored: StoredChunk) {
    this.task = stored.task;
    this.run = stored.run;
    this.runs = stored.runs;
    this.firstLine = stored.firstLine;
    this.position = stored.position;
    this.count = stored.count;
    this.#storedHeader = stored.header;
    this.#body = stored.body;
    this.header = unlessBroken(() => readStoredHeader(stored.header));
    if (this.header?.count !== stored.count) this.header = undefined;
    this.#broken = this.header === undefined;
    this.bytes = OVERHEAD_BYTES + (stored.body?.length ?? 0) + BYTES_PER_RUN * (stored.runs?.length ?? 0);
  }

  /** The runs whose lines it has. */
  get runIds(): string[] {
    return this.runs?.map(({ run }) => run) ?? [this.run];
  }

  /** The run of the line with this index in the block. */
  runAt(index: number): string {
    if (this.runs === undefined) return this.run;
    this.#runEnds ??= endsOf(this.runs);
    const ends = this.#runEnds;
    let at = 0;
    let behind = ends.length;
    while (behind - at > 1) {
      const middle = (at + behind) >>> 1;
      if (ends[middle - 1] <= index) at = middle;
      else behind = middle;
    }
    return this.runs[at].run;
  }

  /** Whether the store sent the body along. */
  get hasBody(): boolean {
    return this.#body !== undefined;
  }

  /** The lines, or undefined if what is stored can't be read: then they are lost. Throws if there is no body. */
  lines(): Lines | undefined {
    if (this.#lines !== undefined || this.#broken || this.header === undefined) return this.#lines;
    const { header } = this;
    const body = this.#body;
    if (body === undefined) throw new Error(`line ${this.firstLine} of ${this.task} was read without its body`);
    this.#lines = unlessBroken(() => decodeStored(header, { header: this.#storedHeader, body }));
    this.#broken = this.#lines === undefined;
    this.#grow(header.rawBytes + BYTES_PER_LINE * header.count);
    return this.#lines;
  }

  /** What a search of the whole block found, done once for all readers with filters of the same `key`. */
  matches(key: string, search: () => Matches): Matches {
    if (this.#matches.has(key)) return this.#matches.get(key);
    const matches = search();
    this.#matches.set(key, matches);
    this.#grow(OVERHEAD_BYTES + (matches?.byteLength ?? 0));
    return matches;
  }

  /** What an API writes for the whole block, made once for all viewers whose `key` is the same. */
  rendered(key: string, render: () => Buffer): Buffer {
    let bytes = this.#rendered.get(key);
    if (bytes === undefined) {
      bytes = alone(render());
      this.#rendered.set(key, bytes);
      this.#grow(OVERHEAD_BYTES + bytes.length);
    }
    return bytes;
  }

  /** Tells of growth from now on, until `letGo`. */
  keep(keeper: Keeper): void {
    this.#keepers = [...this.#keepers, keeper];
  }

  letGo(keeper: Keeper): void {
    this.#keepers = this.#keepers.filter((one) => one !== keeper);
  }

  #grow(bytes: number): void {
    this.bytes += bytes;
    for (const keeper of this.#keepers) keeper.grew(bytes);
  }
}

/** Whoever counts the memory of the blocks that it keeps. */
export interface Keeper {
  grew(bytes: number): void;
}

/** For each part, the index behind its last line. */
function endsOf(runs: readonly { count: number }[]): Uint32Array {
  const ends = new Uint32Array(runs.length);
  let end = 0;
  runs.forEach(({ count }, index) => (ends[index] = end += count));
  return ends;
}

/** What `read` returns, or undefined if it throws a ChunkError. */
function unlessBroken<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ChunkError) return undefined;
    throw error;
  }
}

const MAX_COPIED_BYTES = 16 * 1024;
const GAP_BYTES = 256;
/** Objects and headers. */
const OVERHEAD_BYTES = 512;
/** A time and a start. */
const BYTES_PER_LINE = 12;
/** An object of two members. */
const BYTES_PER_RUN = 64;
