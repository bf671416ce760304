import { CHUNK_HEADER_BYTES } from '../../shared/chunk.ts';
import { Block } from '../block.ts';
import { joinLines } from '../store/join.ts';
import type { MergedEvent, MergedGap, MergedLines } from './merged-event.ts';

/**
 * A page as it is being found. It holds the lines that are on it and not the blocks that they were found in, so that a
 * page of a rare text is no larger than another.
 */
export class PageEvents {
  readonly events: MergedEvent[] = [];
  /** Bytes of text of the lines that are on it. */
  textBytes = 0;
  readonly #skip: number;
  readonly #size: number;
  readonly #toEnd: boolean;
  /** Another line came behind the last one. */
  #another = false;
  #passed = 0;
  #gaps = 0;

  /**
   * Passes over `skip` matching lines, and takes the next `size`, with the gaps ahead of and between them; `toEnd`: and
   * with those behind them, up to the next line.
   */
  constructor({ skip, size, toEnd }: { skip: number; size: number; toEnd: boolean }) {
    this.#skip = skip;
    this.#size = size;
    this.#toEnd = toEnd;
  }

  /** Whether nothing more goes on it. */
  get over(): boolean {
    return this.#full && (this.#another || !this.#toEnd);
  }

  /** Whether no line is on it. */
  get empty(): boolean {
    return this.#passed <= this.#skip;
  }

  add(events: readonly MergedEvent[]): void {
    for (const event of events) {
      if (this.over) return;
      if (event.type === 'gap' && this.#passed >= this.#skip) this.#addGap(event);
      if (event.type === 'lines') this.#addLines(event);
    }
  }

  /** From the last line to the first; a `lines` event has its lines in `matches` then, the newest first. */
  newestFirst(): MergedEvent[] {
    return this.events.toReversed().map((event) => {
      if (event.type !== 'lines') return event;
      const { first, end, matches } = event;
      return { ...event, matches: (matches ?? indices(first, end)).toReversed() };
    });
  }

  get #full(): boolean {
    return this.#passed >= this.#skip + this.#size;
  }

  #addLines(event: MergedLines): void {
    const { first, end, matches } = event;
    this.#another = this.#full;
    const lines = matches ?? indices(first, end);
    const taken = lines.subarray(
      Math.max(0, this.#skip - this.#passed),
      Math.max(0, this.#skip + this.#size - this.#passed),
    );
    this.#passed += lines.length;
    if (taken.length === 0) return;
    this.textBytes += textBytesOf(event.block, taken);
    this.events.push(...cut(event, taken));
  }

  /** Of very many, the last one stands for the rest: from where to where something is missing. */
  #addGap(gap: MergedGap): void {
    const last = this.events.at(-1);
    if (++this.#gaps <= MAX_GAPS || last?.type !== 'gap') this.events.push(gap);
    else {
      const { type, fromPosition, reason } = last;
      this.events[this.events.length - 1] = { type, fromPosition, toPosition: gap.toPosition, reason };
    }
  }
}

/** The taken lines in blocks of their own, unless they are most of their block. */
function* cut(event: MergedLines, taken: Uint32Array): Generator<MergedLines> {
  const { block, task } = event;
  if (2 * taken.length > block.count) {
    yield { ...event, matches: taken };
    return;
  }
  for (let at = 0; at < taken.length;) {
    const first = taken[at];
    let end = first + 1;
    while (++at < taken.length && taken[at] === end) end++;
    yield { type: 'lines', task, block: partOf(block, first, end), first: 0, end: end - first, matches: undefined };
  }
}

/** The lines [first, end) of a block that was decoded. */
function partOf(block: Block, first: number, end: number): Block {
  const lines = block.lines();
  if (lines === undefined) throw new Error(`line ${block.firstLine + first} of ${block.task} was found unread`);
  const run = block.runAt(first);
  const firstSeq = (block.header?.firstSeq ?? 0) + first;
  const bytes = joinLines({ run, firstSeq, plain: true }, [{ lines, first, end }]);
  const place = { task: block.task, run, firstLine: block.firstLine + first, position: block.position + first };
  const [header, body] = [bytes.subarray(0, CHUNK_HEADER_BYTES), bytes.subarray(CHUNK_HEADER_BYTES)];
  return new Block({ kind: 'chunk', ...place, count: end - first, header, body });
}

function textBytesOf(block: Block, taken: Uint32Array): number {
  const { starts } = block.lines() ?? { starts: new Uint32Array() };
  return taken.reduce((bytes, index) => bytes + starts[index + 1] - starts[index], 0);
}

function indices(first: number, end: number): Uint32Array {
  return Uint32Array.from({ length: end - first }, (_, index) => first + index);
}

/** Beside at most a thousand lines. */
const MAX_GAPS = 1000;
