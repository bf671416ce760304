import { bytesOf, ownSegment, toSegment, type Block } from '../block.ts';
import { Shares } from '../shares.ts';
import { Sliding } from '../sliding.ts';
import type { Store, Stored, StoredGap, Wants } from '../store/store.ts';
import type { KnownTasks } from './known-tasks.ts';

/** What a merged cursor walks over. */
export type PlacedSegment = Block | (StoredGap & { position: number });

/** Segments in order, and where to go on: below `nextPosition` there is nothing else that was asked for. */
export interface Stretch {
  segments: readonly PlacedSegment[];
  nextPosition: number;
}

/**
 * What was appended to the store lately, over all tasks, decoded and rendered once for all who follow merged streams.
 * Appends fill it (`stored`); what it does not have is read from the store, once for all who ask for the same at the
 * same time. While nobody follows, it is empty.
 *
 * It serves only an unbroken range of positions. Appends of several runs may be told slightly out of order: they wait
 * for those before them, up to a bound.
 */
export class MergedTail {
  bytes = 0;
  /** What all readers make alike of what is here. */
  readonly shares = new Shares((bytes) => this.grew(bytes));
  readonly #store: Pick<Store, 'walk'>;
  readonly #facts: KnownTasks;
  readonly #maxBytes: number;
  #readers = 0;
  readonly #segments = new Sliding<PlacedSegment>(({ position }) => position);
  /** By positions: what came before its turn, and its bytes. */
  readonly #early = new Map<number, Stored & { position: number }>();
  #earlyBytes = 0;
  /** Behind the last segment of each group, and of those whose group was not known when they came. */
  readonly #groupEnds = new Map<string, number>();
  #unknownEnd = 0;
  /** Counts what was forgotten. */
  #age = 0;
  readonly #reads = new Map<string, Promise<Stretch>>();

  constructor(options: { store: Pick<Store, 'walk'>; facts: KnownTasks; maxBytes?: number }) {
    this.#store = options.store;
    this.#facts = options.facts;
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
  }

  /** The position that the next append in memory is expected to have; undefined while nothing is there. */
  get end(): number | undefined {
    const { last } = this.#segments;
    return last && last.position + last.count;
  }

  /** Somebody reads, until the answer is called. */
  open(): () => void {
    this.#readers++;
    let open = true;
    return () => {
      if (!open) return;
      open = false;
      if (--this.#readers === 0) this.#clear();
    };
  }

  /** See `MergedReader.stored`. */
  stored(stored: Stored): void {
    if (this.#readers === 0 || stored.position === undefined) return;
    const placed = stored as Stored & { position: number };
    const end = this.end;
    if (end !== undefined && placed.position < end) return;
    if (end === undefined || placed.position === end) this.#append(placed);
    else this.#keepEarly(placed);
    this.#appendEarly();
    if (this.#early.size <= MAX_EARLY && this.#earlyBytes <= MAX_EARLY_BYTES) return;
    // What is between was appended by others. It is read from the store; here goes on what came behind it.
    const first = Math.min(...this.#early.keys());
    this.#dropAll();
    this.#append(this.#early.get(first) as Stored & { position: number });
    this.#appendEarly();
  }

  #keepEarly(placed: Stored & { position: number }): void {
    this.#dropEarly(placed.position);
    this.#early.set(placed.position, placed);
    this.#earlyBytes += memoryOf(placed);
  }

  #dropEarly(position: number): void {
    const placed = this.#early.get(position);
    if (placed === undefined) return;
    this.#early.delete(position);
    this.#earlyBytes -= memoryOf(placed);
  }

  /** Lines of a task at or below `throughLine`, or of any task, were trimmed: they are not handed out any more. */
  forget(task?: string, throughLine = Infinity): void {
    this.#age++;
    this.shares.clear();
    const held = [...this.#segments.all(), ...this.#early.values()];
    const trimmed = task === undefined || held.some((one) => one.task === task && one.firstLine <= throughLine);
    if (trimmed) this.#clear();
  }

  /** Whether it is known that the group has nothing at a position or behind it, up to the end of what is here. */
  isQuiet(group: string, position: number): boolean {
    return this.#holds(position) && position >= this.#unknownEnd && position >= (this.#groupEnds.get(group) ?? 0);
  }

  /** What is in memory from a position on; undefined if the position is not. */
  async recent(position: number, group?: string): Promise<Stretch | undefined> {
    const stretch = this.#maybe(position, group);
    if (stretch === undefined || group === undefined) return stretch;
    const { segments, nextPosition } = stretch;
    await this.#facts.ensure(segments);
    return { segments: segments.filter((segment) => this.#facts.group(segment) === group), nextPosition };
  }

  /** As `recent`, also undefined if nothing fresh is known of a task whose lines these may be. */
  recentKnown(position: number, group?: string): Stretch | undefined {
    const stretch = this.#maybe(position, group);
    return stretch?.segments.every((segment) => this.#facts.of(segment) !== undefined) ? stretch : undefined;
  }

  /** With what may be the group's. */
  #maybe(position: number, group: string | undefined): Stretch | undefined {
    if (!this.#holds(position)) return undefined;
    const segments = this.#segments.from(position, group === undefined ? MAX_SEGMENTS : MAX_SCANNED);
    const last = segments[segments.length - 1];
    const nextPosition = last.position + last.count;
    if (group === undefined) return { segments, nextPosition };
    const maybe = segments.filter((segment) => (this.#facts.group(segment) ?? group) === group);
    return { segments: maybe, nextPosition };
  }

  /** What the store has from a position on; `alone`: as it is now, not as somebody else has asked for already. */
  read({ alone = false, ...read }: ReadThrough & { alone?: boolean }): Promise<Stretch> {
    if (alone) return this.#fetch(read);
    const key = JSON.stringify([read.position, read.group, read.maxBytes, read.wants]);
    let reading = this.#reads.get(key);
    if (reading === undefined) {
      reading = this.#fetch(read).finally(() => this.#reads.delete(key));
      this.#reads.set(key, reading);
    }
    return reading;
  }

  async #fetch(read: ReadThrough): Promise<Stretch> {
    const age = this.#age;
    const { stored, nextPosition } = await this.#store.walk(read);
    const keep = read.group === undefined && this.#readers > 0;
    const segments = stored.map((one) => (keep ? ownSegment(one) : toSegment(one)) as PlacedSegment);
    const follows = this.end === undefined || this.end === segments.at(0)?.position;
    const whole = segments.every((one, index) => {
      const unbroken = index === 0 || segments[index - 1].position + segments[index - 1].count === one.position;
      return unbroken && (one.kind === 'gap' || one.hasBody);
    });
    if (keep && this.#readers > 0 && follows && whole && age === this.#age) {
      for (const segment of segments) this.#push(segment);
      this.#appendEarly();
    }
    return { segments, nextPosition };
  }

  #holds(position: number): boolean {
    const { first } = this.#segments;
    const { end } = this;
    return first !== undefined && end !== undefined && first.position <= position && position < end;
  }

  #append(stored: Stored & { position: number }): void {
    this.#push(ownSegment(stored) as PlacedSegment);
  }

  #appendEarly(): void {
    if (this.#early.size === 0) return;
    for (let end = this.end; end !== undefined; end = this.end) {
      const next = this.#early.get(end);
      if (next === undefined) break;
      this.#dropEarly(end);
      this.#append(next);
    }
    const { end = 0 } = this;
    for (const position of this.#early.keys()) if (position < end) this.#dropEarly(position);
  }

  #push(segment: PlacedSegment): void {
    this.shares.clear();
    this.#segments.push(segment);
    if (segment.kind === 'block') segment.keep(this);
    const end = segment.position + segment.count;
    const group = this.#facts.group(segment);
    if (group === undefined) this.#unknownEnd = end;
    else this.#groupEnds.set(group, end);
    if (this.#groupEnds.size > MAX_GROUPS) {
      this.#groupEnds.clear();
      this.#unknownEnd = end;
    }
    this.grew(bytesOf(segment));
  }

  /** A block that is kept has grown. */
  grew(bytes: number): void {
    this.bytes += bytes;
    if (bytes <= 0) return;
    // The newest is what readers are about to take.
    while (this.bytes > this.#maxBytes && this.#segments.length > 1) this.#dropFirst();
  }

  #dropFirst(): void {
    this.shares.clear();
    const first = this.#segments.shift();
    if (first !== undefined) this.#letGo(first);
  }

  #letGo(segment: PlacedSegment): void {
    if (segment.kind === 'block') segment.letGo(this);
    this.bytes -= bytesOf(segment);
  }

  #clear(): void {
    this.#dropAll();
    this.#early.clear();
    this.#earlyBytes = 0;
  }

  #dropAll(): void {
    this.shares.clear();
    for (const segment of this.#segments.clear()) this.#letGo(segment);
    this.#groupEnds.clear();
    this.#unknownEnd = 0;
  }
}

/** What it keeps from being let go: it may be a slice of what a socket read at once, but others are of the same. */
function memoryOf(stored: Stored): number {
  return stored.kind === 'gap' ? 0 : (stored.body?.length ?? 0);
}

export interface ReadThrough {
  position: number;
  group?: string;
  maxBytes: number;
  wants?: Wants;
}

const MAX_BYTES = 64 * 1024 * 1024;
/** What one reader takes at once; what one that wants a group looks at. */
const MAX_SEGMENTS = 256;
const MAX_SCANNED = 4096;
/** Runs whose appends overtake each other, by far. */
const MAX_EARLY = 1024;
const MAX_EARLY_BYTES = 16 * 1024 * 1024;
const MAX_GROUPS = 16_384;
