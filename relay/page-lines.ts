import type { GapEvent, LinesEvent } from './cursor.ts';
import type { HitRange } from './page-find.ts';
import type { PageSource } from './page.ts';

/** Lines of one block that follow each other on a page; with `desc`, `matches` names them from the last to the first. */
export interface PageLines extends LinesEvent {
  /** Whether they only stand around matching lines. */
  context: boolean;
}

interface LinesOptions {
  /** In ascending order, disjoint. */
  hits: readonly HitRange[];
  order?: 'asc' | 'desc';
  context?: number;
  /** Told of lines of the page that are missing. */
  onGap: (gap: GapEvent) => void;
  signal: AbortSignal;
}

/** Reads the lines of a page in order, block by block, as they are taken. */
export async function* pageLines(
  source: PageSource,
  { hits, order = 'asc', context = 0, onGap, signal }: LinesOptions,
): AsyncGenerator<PageLines, void, undefined> {
  const stretches = stretchesOf(piecesOf(hits, { context, end: source.record.nextLine }));
  const read = (stretch: Stretch): AsyncGenerator<PageLines, void, undefined> =>
    readStretch(source, { stretch, onGap, signal });
  if (order === 'asc') for (const stretch of stretches) yield* read(stretch);
  else yield* backward(stretches, read);
}

/** Line numbers [first, end) that are on the page, all of them hits or all context. */
interface Piece extends HitRange {
  context: boolean;
}

/** Lines that are read in one go: [from, through], of which `pieces` are on the page. */
interface Stretch {
  from: number;
  through: number;
  pieces: readonly Piece[];
}

/** The hits and what stands around them, each line once. */
function piecesOf(hits: readonly HitRange[], { context, end }: { context: number; end: number }): Piece[] {
  const pieces: Piece[] = [];
  const addContext = (first: number, behind: number): void => {
    if (first < behind) pieces.push({ first, end: behind, blockFirst: first, blockEnd: behind, context: true });
  };
  let at = 1;
  hits.forEach((hit, index) => {
    addContext(Math.max(at, hit.first - context), hit.first);
    pieces.push({ ...hit, context: false });
    at = Math.min(hit.end + context, hits.at(index + 1)?.first ?? end, end);
    addContext(hit.end, at);
    at = Math.max(at, hit.end);
  });
  return pieces;
}

/** Joins what lies in the same or neighbouring blocks, so that each of these is read once and no other is. */
function stretchesOf(pieces: readonly Piece[]): Stretch[] {
  const stretches: (Stretch & { pieces: Piece[] })[] = [];
  let blockEnd = 0;
  for (const piece of pieces) {
    const last = stretches.at(-1);
    if (last !== undefined && (piece.blockFirst <= blockEnd || piece.first === last.through + 1)) {
      last.pieces.push(piece);
      last.through = piece.end - 1;
    } else {
      stretches.push({ from: piece.first, through: piece.end - 1, pieces: [piece] });
    }
    blockEnd = Math.max(blockEnd, piece.blockEnd);
  }
  return stretches;
}

async function* readStretch(
  source: PageSource,
  { stretch, onGap, signal }: { stretch: Stretch; onGap: (gap: GapEvent) => void; signal: AbortSignal },
): AsyncGenerator<PageLines, void, undefined> {
  const { from, through, pieces } = stretch;
  let at = 0;
  for await (const batch of source.follow({ from, through, readBytes: READ_BYTES, signal })) {
    signal.throwIfAborted();
    for (const event of batch.events) {
      if (event.type === 'gap') onGap(event);
      if (event.type !== 'lines') continue;
      const behind = event.block.firstLine + event.end;
      while (at < pieces.length && pieces[at].end <= event.block.firstLine + event.first) at++;
      let next = at;
      while (next < pieces.length && pieces[next].first < behind) next++;
      yield* cut(event, pieces.slice(at, next));
    }
  }
}

/** The parts of an event that are on the page: one for hits or context that no other kind of line parts. */
function* cut(event: LinesEvent, pieces: readonly Piece[]): Generator<PageLines> {
  const { block } = event;
  let indices: number[] = [];
  for (const [at, piece] of pieces.entries()) {
    const first = Math.max(event.first, piece.first - block.firstLine);
    const end = Math.min(event.end, piece.end - block.firstLine);
    for (let index = first; index < end; index++) indices.push(index);
    if (pieces.at(at + 1)?.context === piece.context) continue;
    yield { ...event, matches: Uint32Array.from(indices), context: piece.context };
    indices = [];
  }
}

/**
 * The same from the last line to the first. A store is read forward, so what is read is kept for a moment; where that is
 * too much, its first part is let go and read again when its turn comes.
 */
async function* backward(
  stretches: readonly Stretch[],
  read: (stretch: Stretch) => AsyncGenerator<PageLines, void, undefined>,
): AsyncGenerator<PageLines, void, undefined> {
  const left = [...stretches];
  for (let stretch = left.pop(); stretch !== undefined; stretch = left.pop()) {
    const kept = new Kept();
    for await (const lines of read(stretch)) {
      for (const dropped of kept.add(lines)) left.push({ ...stretch, ...extent(dropped) });
    }
    for (let lines = kept.takeLast(); lines !== undefined; lines = kept.takeLast()) {
      yield { ...lines, matches: lines.matches?.toReversed() };
    }
  }
}

/** Lines in memory, and about how much of it they take. */
class Kept {
  readonly #lines: { lines: PageLines; bytes: number }[] = [];
  #bytes = 0;

  /** Returns what was let go for them, the oldest first. */
  add(lines: PageLines): PageLines[] {
    const bytes = this.#lines.at(-1)?.lines.block === lines.block ? 0 : lines.block.bytes;
    this.#lines.push({ lines, bytes });
    this.#bytes += bytes;
    const dropped: PageLines[] = [];
    while (this.#bytes > KEPT_BYTES && this.#lines.length > 1) {
      const [first, second] = this.#lines;
      this.#lines.shift();
      dropped.push(first.lines);
      if (second.lines.block === first.lines.block) second.bytes += first.bytes;
      else this.#bytes -= first.bytes;
    }
    return dropped;
  }

  takeLast(): PageLines | undefined {
    return this.#lines.pop()?.lines;
  }
}

function extent({ block, first, end, matches }: PageLines): { from: number; through: number } {
  return {
    from: block.firstLine + (matches?.at(0) ?? first),
    through: block.firstLine + (matches?.at(-1) ?? end - 1),
  };
}

/** A page is in one full chunk, or some small ones. */
const READ_BYTES = 32 * 1024;
/** A few full chunks, decoded. */
const KEPT_BYTES = 4 * 1024 * 1024;
