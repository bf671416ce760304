import { RE2JS } from 're2js';
import { FLAG_METADATA, type ChunkHeader } from '../shared/chunk.ts';
import type { Lines } from '../shared/columns.ts';
import { KerutaError } from '../shared/errors.ts';
import { LEVELS, pairOf, PAIRS, SOURCES, type Level, type Source } from '../shared/line.ts';
import { requiredLiteral } from '../shared/literal.ts';
import { metadataMatcher } from './metadata.ts';
import type { StoredChunk, Wants } from './store/store.ts';
import { TextSearch } from './text-search.ts';

/** Which lines a reader wants. What is absent, or an empty list, excludes nothing; all that is there must hold. */
export interface FilterSpec {
  levels?: readonly Level[];
  sources?: readonly Source[];
  /** ms since 1970, inclusive. */
  from?: number;
  to?: number;
  /** Any of them, as a substring, ASCII case folded. */
  text?: readonly string[];
  /** RE2 syntax, matched anywhere in the line; case matters unless it says (?i). */
  regex?: string;
  /** Run ids. */
  runs?: readonly string[];
  /** Ids of workers: lines of their runs. */
  workers?: readonly string[];
  /** Metadata by key, see `metadataMatcher`. */
  meta?: Readonly<Record<string, string>>;
}

/** Whose lines a chunk holds, where they are not all of its header's run. */
type Runs = StoredChunk['runs'];

/** Indices of the matching lines in order; undefined: all lines of the range. */
export type Matches = Uint32Array | undefined;

export interface Filter {
  /** What it was compiled from. */
  spec: FilterSpec;
  /** The same text for filters that let the same lines through. */
  key: string;
  /** What the store may rule out by headers alone. */
  wants: Wants | undefined;
  /** If levels and sources alone decide: their pairs, bit `source * 4 + level`. */
  pairsOnly: number | undefined;
  /** Whether text is looked at, so that every body must be read. */
  searches: boolean;
  /**
   * Only of a filter by workers, which can't know by itself whose runs they are: the same filter for what is of these
   * runs. It is that one that is to be asked the rest; see `filterFor` in run-facts.ts.
   */
  ofRuns: ((runs: Iterable<string>, workerOf: (run: string) => string | undefined) => Filter) | undefined;
  /** How many bytes of text may be searched without a pause. */
  sliceBytes: number;
  /** What a chunk's header says of its lines. */
  judge(header: ChunkHeader, runs?: Runs): Verdict;
  /** How many lines match by the header's counts; right unless `judge` says `search`. */
  countIn(header: ChunkHeader, runs?: Runs): number;
  /** Searches the lines [first, end) of a chunk that `judge` left open. */
  match(lines: Lines, first: number, end: number, runs?: Runs): Matches;
  /** Whether a gap of this run and time (ms) is the reader's business; gaps ignore all else. */
  showsGap(run: string | undefined, time: number | undefined): boolean;
}

/** `counted`: the header's counts say how many match, its body must say which. `search`: the body must say both. */
export type Verdict = 'none' | 'all' | 'counted' | 'search';

/** Throws a KerutaError INVALID_INPUT if the regular expression is none. */
export function compileFilter(spec: FilterSpec = {}): Filter {
  const compiled = compile(spec);
  const runs = spec.runs?.length ? new Set(spec.runs) : undefined;
  if (!spec.workers?.length) return filterOf(compiled, runs);
  const workers = new Set(spec.workers);
  // Of no run: nobody knows yet whose worker's they are.
  const unresolved = filterOf(compiled, new Set());
  return {
    ...unresolved,
    ...{ judge: unknownWorkers, countIn: unknownWorkers, match: unknownWorkers, showsGap: unknownWorkers },
    ofRuns: (ofRuns, workerOf) => {
      const wanted = [...ofRuns].filter((run) => runs?.has(run) !== false && workers.has(workerOf(run) ?? ''));
      return filterOf(compiled, new Set(wanted));
    },
  };
}

/** What of a filter does not depend on runs. */
type Compiled = ReturnType<typeof compile>;

function compile(spec: FilterSpec) {
  const pairs = pairsOf(spec);
  const { from = -Infinity, to = Infinity } = spec;
  const meta = Object.keys(spec.meta ?? {}).length > 0 ? spec.meta : undefined;
  return {
    ...{ spec, pairs, from, to, meta },
    needles: compileTexts(spec.text ?? []),
    regex: spec.regex ? compileRegex(spec.regex) : undefined,
    hasMeta: meta && metadataMatcher(meta),
    key: keyOf({ pairs, from, to, spec }),
  };
}

function filterOf(compiled: Compiled, runs: ReadonlySet<string> | undefined): Filter {
  const { spec, pairs, from, to, needles, regex, meta, hasMeta, key } = compiled;
  const searches = needles.length > 0 || regex !== undefined || meta !== undefined;

  const judge = (header: ChunkHeader, chunkRuns?: Runs): Verdict => {
    const ofRuns = linesOfRuns(runs, header, chunkRuns);
    if (ofRuns === 0) return 'none';
    if (header.maxTime < from || header.minTime > to) return 'none';
    const wanted = countPairs(header.counts, pairs);
    if (wanted === 0) return 'none';
    if (meta !== undefined && (header.flags & FLAG_METADATA) === 0) return 'none';
    if (searches || header.minTime < from || header.maxTime > to) return 'search';
    if (ofRuns < header.count) return wanted === header.count ? 'counted' : 'search';
    return wanted === header.count ? 'all' : 'counted';
  };

  const match = (lines: Lines, first: number, end: number, chunkRuns?: Runs): Matches => {
    const hits = new Hits(first, end);
    // First what finds least and costs least for each line.
    if (needles.length > 0 && !hits.keepMarked(findTexts(lines, first, end, needles))) return NONE;
    if (regex?.literal && !hits.keepMarked(findTexts(lines, first, end, [regex.literal]))) return NONE;
    if (runs !== undefined && chunkRuns !== undefined) hits.keepMarked(markRuns(chunkRuns, { first, end, runs }));
    if (pairs !== ALL_PAIRS) hits.keep((line) => ((pairs >> pairOf(lines.kinds[line])) & 1) === 1);
    if (from !== -Infinity || to !== Infinity)
      hits.keep((line) => lines.times[line] >= from && lines.times[line] <= to);
    if (regex !== undefined) {
      hits.keep((line) =>
        regex.pattern.test(lines.text.toString('utf8', lines.starts[line], lines.starts[line + 1] - 1)),
      );
    }
    if (hasMeta !== undefined) hits.keep((line) => hasMeta(lines, line));
    return hits.result();
  };

  const wants: Wants = {};
  if (pairs !== ALL_PAIRS) wants.pairs = pairs;
  if (from !== -Infinity) wants.from = from;
  if (to !== Infinity) wants.to = to;
  if (meta !== undefined) wants.metadata = true;
  return {
    ...{ spec, key },
    wants: Object.keys(wants).length > 0 ? wants : undefined,
    pairsOnly: searches || runs !== undefined || from !== -Infinity || to !== Infinity ? undefined : pairs,
    searches,
    ofRuns: undefined,
    sliceBytes: regex === undefined && meta === undefined ? TEXT_SLICE_BYTES : SLOW_SLICE_BYTES,
    judge,
    countIn: (header, chunkRuns) => {
      if (judge(header, chunkRuns) === 'none') return 0;
      // Where the lines of some runs only are wanted, they are counted, or their pairs are.
      return Math.min(countPairs(header.counts, pairs), linesOfRuns(runs, header, chunkRuns));
    },
    match,
    showsGap: (run, time) =>
      (run === undefined || runs?.has(run) !== false) && (time === undefined || (time >= from && time <= to)),
  };
}

function unknownWorkers(): never {
  throw new Error('a filter by workers was asked about lines before anybody looked up whose runs they are of');
}

/** How many of a chunk's lines are of the wanted runs. */
function linesOfRuns(wanted: ReadonlySet<string> | undefined, header: ChunkHeader, runs: Runs): number {
  if (wanted === undefined) return header.count;
  if (runs === undefined) return wanted.has(header.run) ? header.count : 0;
  return runs.reduce((lines, { run, count }) => (wanted.has(run) ? lines + count : lines), 0);
}

/** A byte a line of [first, end): 1 if it is of a wanted run. */
function markRuns(
  chunkRuns: NonNullable<Runs>,
  { first, end, runs }: { first: number; end: number; runs: ReadonlySet<string> },
): Uint8Array {
  const marks = new Uint8Array(end - first);
  let from = 0;
  for (const { run, count } of chunkRuns) {
    if (runs.has(run)) marks.fill(1, clamp(from - first, marks.length), clamp(from + count - first, marks.length));
    from += count;
  }
  return marks;
}

function clamp(value: number, most: number): number {
  return Math.max(0, Math.min(value, most));
}

/** How many lines of the given pairs (bit `source * 4 + level`) the counts hold. */
export function countPairs(counts: ArrayLike<number>, pairs: number): number {
  let sum = 0;
  for (let pair = 0; pair < PAIRS; pair++) if (((pairs >> pair) & 1) === 1) sum += counts[pair];
  return sum;
}

/** The pairs that a filter lets through, as bits `source * 4 + level`. */
export function pairsOf({ levels, sources }: FilterSpec): number {
  let pairs = 0;
  SOURCES.forEach((source, sourceIndex) => {
    LEVELS.forEach((level, levelIndex) => {
      const wanted = (!levels?.length || levels.includes(level)) && (!sources?.length || sources.includes(source));
      if (wanted) pairs |= 1 << (sourceIndex * LEVELS.length + levelIndex);
    });
  });
  return pairs;
}

function keyOf({ pairs, from, to, spec }: { pairs: number; from: number; to: number; spec: FilterSpec }): string {
  // With an empty one, which is in every line, the others exclude nothing.
  const text = spec.text?.includes('') ? [] : [...new Set(spec.text)].sort();
  const meta = Object.entries(spec.meta ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const everything = pairs === ALL_PAIRS && from === -Infinity && to === Infinity && text.length === 0;
  const [runs, workers] = [[...new Set(spec.runs)].sort(), [...new Set(spec.workers)].sort()];
  if (everything && !spec.regex && runs.length + workers.length + meta.length === 0) return '';
  return JSON.stringify([pairs, String(from), String(to), text, spec.regex ?? '', runs, workers, meta]);
}

/** What to look for, and whether in the folded text; those that are not stand first. */
interface Needle {
  bytes: Buffer;
  folded: boolean;
}

function compileTexts(texts: readonly string[]): Needle[] {
  // An empty text is in every line; looking for it among others would hide that.
  if (texts.includes('')) return [];
  const needles = texts.map((text) => {
    const bytes = Buffer.from(text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()));
    return { bytes, folded: /[A-Za-z]/.test(text) };
  });
  return needles.sort((a, b) => Number(a.folded) - Number(b.folded));
}

function compileRegex(source: string): { pattern: RE2JS; literal: Needle | undefined } {
  if (source.length > MAX_REGEX_CHARACTERS) {
    throw new KerutaError('INVALID_INPUT', `The regular expression has more than ${MAX_REGEX_CHARACTERS} characters.`);
  }
  let pattern: RE2JS;
  try {
    pattern = RE2JS.compile(source);
  } catch (error) {
    throw new KerutaError('INVALID_INPUT', `The regular expression can't be read: ${(error as Error).message}.`);
  }
  const literal = requiredLiteral(source);
  return { pattern, literal: literal === '' ? undefined : { bytes: Buffer.from(literal), folded: false } };
}

/**
 * A byte a line of [first, end): 1 if it holds one of the needles; undefined if none does. Searches the text as one
 * block.
 */
function findTexts(lines: Lines, first: number, end: number, needles: readonly Needle[]): Uint8Array | undefined {
  const { starts } = lines;
  const origin = starts[first];
  const search = new TextSearch(lines.text.subarray(origin, starts[end]));
  let marks: Uint8Array | undefined;
  for (const { bytes, folded } of needles) {
    let line = first;
    for (const hit of search.find(bytes, folded)) {
      const at = origin + hit;
      if (at >= starts[line + 1]) line = lineAt(starts, line, end, at);
      // What takes a line end with it is in no line.
      if (at + bytes.length < starts[line + 1]) (marks ??= new Uint8Array(end - first))[line - first] = 1;
    }
  }
  return marks;
}

/** The line in [first, end) whose bytes hold the place `at`. */
function lineAt(starts: Uint32Array, first: number, end: number, at: number): number {
  let low = first;
  let step = 1;
  while (low + step < end && starts[low + step] <= at) {
    low += step;
    step *= 2;
  }
  let high = Math.min(low + step, end);
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (starts[middle] <= at) low = middle;
    else high = middle;
  }
  return low;
}

/** Lines of a range that are still in, narrowed criterion by criterion. */
class Hits {
  readonly #first: number;
  readonly #end: number;
  #lines: Matches;

  constructor(first: number, end: number) {
    this.#first = first;
    this.#end = end;
  }

  keep(wanted: (line: number) => boolean): void {
    if (this.#lines !== undefined) {
      this.#lines = this.#lines.filter(wanted);
      return;
    }
    const kept = new Uint32Array(this.#end - this.#first);
    let count = 0;
    for (let line = this.#first; line < this.#end; line++) if (wanted(line)) kept[count++] = line;
    if (count < kept.length) this.#lines = kept.slice(0, count);
  }

  /** False without marks: then nothing is left. */
  keepMarked(marks: Uint8Array | undefined): boolean {
    if (marks === undefined) return false;
    this.keep((line) => marks[line - this.#first] === 1);
    return true;
  }

  result(): Matches {
    return this.#lines;
  }
}

const NONE = new Uint32Array();
export const ALL_PAIRS = (1 << PAIRS) - 1;
/** Longer ones are mistakes, or attacks on the compiler. */
const MAX_REGEX_CHARACTERS = 4096;
/** About a quarter of a millisecond. */
const TEXT_SLICE_BYTES = 256 * 1024;
/** About a millisecond of a slow expression, or of reading JSON. */
const SLOW_SLICE_BYTES = 64 * 1024;
