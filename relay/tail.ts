import { bytesOf, endLine, ownSegment, toSegment, type Segment } from './block.ts';
import { Shares } from './shares.ts';
import { Sliding } from './sliding.ts';
import type { Store, Stored, Wants } from './store/store.ts';

/**
 * The ends of the logs that are being read: what was appended lately stays in memory, decoded and rendered once for
 * all who follow the task. Appends fill it (`stored`); what it does not have is read from the store, once for all who
 * ask for the same at the same time. Tasks that nobody reads take no memory.
 *
 * Appends that other relays made never pass by here, so it serves only an unbroken range whose line numbers it knows.
 */
export class Tail {
  /** Told of what `forget` is told, and without a task of what `forgetTrimmed` is. */
  onForget: (task?: string, throughLine?: number) => void = () => undefined;
  readonly #store: Store;
  readonly #maxBytes: number;
  readonly #maxTaskBytes: number;
  /** The task that was touched last stands last. */
  readonly #tasks = new Map<string, TaskTail>();
  #bytes = 0;

  constructor(options: { store: Store; maxBytes?: number; maxTaskBytes?: number }) {
    this.#store = options.store;
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
    this.#maxTaskBytes = options.maxTaskBytes ?? MAX_TASK_BYTES;
  }

  /** Memory held for all tasks, about. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Notes what a committed append has stored. To be called before readers are woken, so that they find it. */
  stored(stored: Stored): void {
    this.#tasks.get(stored.task)?.append(stored);
  }

  /** Lines of a task at or below `throughLine` were trimmed: they are not handed out any more. */
  forget(task: string, throughLine: number): void {
    this.#tasks.get(task)?.forget(throughLine);
    this.onForget(task, throughLine);
  }

  /** Lines of any task may have been trimmed. */
  async forgetTrimmed(): Promise<void> {
    this.onForget();
    for (const task of [...this.#tasks.keys()]) {
      const head = await this.#store.head(task);
      if (head !== undefined) this.forget(task, head.trimmedLine);
    }
  }

  /** What a reader of `task` reads through, until it calls `close`. */
  open(task: string): TailReader {
    const tail = this.#tasks.get(task) ?? new TaskTail(task, this.#store, (bytes) => this.#grew(task, bytes));
    tail.readers++;
    this.#tasks.set(task, tail);
    let open = true;
    return {
      recent: (line) => tail.recent(line),
      read: (read) => tail.read(read),
      endsAt: (line) => tail.endLine === line,
      shares: tail.shares,
      close: () => {
        if (!open) return;
        open = false;
        if (--tail.readers > 0) return;
        this.#tasks.delete(task);
        tail.clear();
      },
    };
  }

  #grew(task: string, bytes: number): void {
    this.#bytes += bytes;
    if (bytes <= 0) return;
    const tail = this.#tasks.get(task);
    if (tail === undefined) return;
    this.#tasks.delete(task);
    this.#tasks.set(task, tail);
    while (tail.bytes > this.#maxTaskBytes && tail.length > 1) tail.dropFirst();
    for (const other of this.#tasks.values()) {
      // The newest of the task that grew just now is what its readers are about to take.
      const kept = other === tail ? 1 : 0;
      while (this.#bytes > this.#maxBytes && other.length > kept) other.dropFirst();
      if (this.#bytes <= this.#maxBytes) break;
    }
  }
}

export interface TailReader {
  /** The segments in memory from `line` on, the first of which holds it; undefined if it is not there. */
  recent(line: number): readonly Segment[] | undefined;
  /** The segments from `line` on as the store gives them; empty at the head. */
  read(read: ReadThrough): Promise<readonly Segment[]>;
  /** Whether `line` is the one that the next append in memory is expected to bring. */
  endsAt(line: number): boolean;
  /** What all readers make alike of what `recent` answers. */
  readonly shares: Shares;
  close(): void;
}

export interface ReadThrough {
  line: number;
  maxBytes: number;
  wants?: Wants;
}

/** One task's: segments without holes between them. */
class TaskTail {
  readers = 0;
  bytes = 0;
  readonly shares = new Shares((bytes) => this.grew(bytes));
  readonly #task: string;
  readonly #store: Store;
  readonly #onGrow: (bytes: number) => void;
  readonly #segments = new Sliding<Segment>(({ firstLine }) => firstLine);
  #trimmedLine = 0;
  readonly #reads = new Map<string, Promise<readonly Segment[]>>();

  constructor(task: string, store: Store, onGrow: (bytes: number) => void) {
    this.#task = task;
    this.#store = store;
    this.#onGrow = onGrow;
  }

  get endLine(): number | undefined {
    const { last } = this.#segments;
    return last && endLine(last);
  }

  append(stored: Stored): void {
    const end = this.endLine;
    if (end !== undefined && stored.firstLine !== end) {
      // Below: it is here already. Above: something is missing in between, and readers get that from the store.
      if (stored.firstLine < end) return;
      this.clear();
    }
    this.#push(ownSegment(stored));
  }

  /** Whole segments go; what is left of one that reaches beyond is read from the store. */
  forget(throughLine: number): void {
    this.shares.clear();
    this.#trimmedLine = Math.max(this.#trimmedLine, throughLine);
    while ((this.#segments.first?.firstLine ?? Infinity) <= throughLine) this.dropFirst();
  }

  recent(line: number): readonly Segment[] | undefined {
    const end = this.endLine;
    if (end === undefined || line >= end) return undefined;
    const segments = this.#segments.from(line, MAX_SEGMENTS);
    return segments.length > 0 ? segments : undefined;
  }

  read({ line, maxBytes, wants }: ReadThrough): Promise<readonly Segment[]> {
    const key = JSON.stringify([line, maxBytes, wants]);
    let reading = this.#reads.get(key);
    if (reading === undefined) {
      reading = this.#fetch({ line, maxBytes, wants }).finally(() => this.#reads.delete(key));
      this.#reads.set(key, reading);
    }
    return reading;
  }

  async #fetch({ line, maxBytes, wants }: ReadThrough): Promise<readonly Segment[]> {
    const stored = await this.#store.read({ from: { task: this.#task, line }, maxBytes, ...(wants && { wants }) });
    const segments = stored.map((one) => (this.readers > 0 ? ownSegment(one) : toSegment(one)));
    const whole = segments.every((segment) => segment.kind === 'gap' || segment.hasBody);
    // What was asked for before a trim may come back after it.
    if (segments.length > 0 && segments[0].firstLine <= this.#trimmedLine) return segments;
    const end = this.endLine;
    if (this.readers > 0 && whole && segments.length > 0 && (end === undefined || end === segments[0].firstLine)) {
      for (const segment of segments) this.#push(segment);
    }
    return segments;
  }

  #push(segment: Segment): void {
    this.shares.clear();
    this.#segments.push(segment);
    if (segment.kind === 'block') segment.keep(this);
    this.grew(bytesOf(segment));
  }

  get length(): number {
    return this.#segments.length;
  }

  /** Forgets the oldest segment. */
  dropFirst(): void {
    this.shares.clear();
    const first = this.#segments.shift();
    if (first !== undefined) this.#letGo(first);
  }

  clear(): void {
    this.shares.clear();
    for (const segment of this.#segments.clear()) this.#letGo(segment);
  }

  #letGo(segment: Segment): void {
    if (segment.kind === 'block') segment.letGo(this);
    this.grew(-bytesOf(segment));
  }

  grew(bytes: number): void {
    this.bytes += bytes;
    this.#onGrow(bytes);
  }
}

const MAX_BYTES = 64 * 1024 * 1024;
/** A few full chunks, decoded and rendered. */
const MAX_TASK_BYTES = 16 * 1024 * 1024;
/** What one reader takes at once. */
const MAX_SEGMENTS = 256;
