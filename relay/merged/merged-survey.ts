import { Block } from '../block.ts';
import type { Filter } from '../filter.ts';
import { filterFor, type RunFacts } from '../run-facts.ts';
import type { Store, StoredChunk } from '../store/store.ts';
import type { KnownTasks } from './known-tasks.ts';
import type { MergedBatch } from './merged-event.ts';
import type { TaskFacts } from './task-facts.ts';

/** Where counts and pages of merged streams come from. */
export interface MergedSource {
  store: Pick<Store, 'walk' | 'task' | 'tasks' | 'nextPosition'>;
  facts: KnownTasks;
  runFacts: RunFacts;
  read: (range: MergedRange) => AsyncGenerator<MergedBatch, void, undefined>;
}

export interface MergedRange {
  group?: string;
  filter: Filter;
  may?: (facts: TaskFacts) => boolean;
  /** Positions: [from, until). */
  from: number;
  until: number;
  signal: AbortSignal;
}

/** Some lines that follow each other in one block, and how many of them match. */
interface Counted {
  position: number;
  count: number;
}

/** Walks over a range of positions and counts, by the headers where these can say. */
export function surveyMerged(source: MergedSource, range: MergedRange): AsyncGenerator<Counted, void, undefined> {
  return range.filter.searches ? search(source, range) : readHeaders(source, range);
}

async function* search({ read }: MergedSource, range: MergedRange): AsyncGenerator<Counted, void, undefined> {
  for await (const { events } of read(range)) {
    range.signal.throwIfAborted();
    for (const event of events) {
      if (event.type !== 'lines') continue;
      const { block, first, end, matches } = event;
      yield { position: block.position + first, count: matches?.length ?? end - first };
    }
  }
}

async function* readHeaders(source: MergedSource, range: MergedRange): AsyncGenerator<Counted, void, undefined> {
  const { group, filter, from, until, signal } = range;
  const wants = { ...filter.wants, headersOnly: true };
  for (let position = from; position < until;) {
    signal.throwIfAborted();
    const walk = { position, maxBytes: HEADERS_BYTES, wants, ...(group !== undefined && { group }) };
    const { stored, nextPosition } = await source.store.walk(walk);
    if (nextPosition <= position) return;
    await source.facts.ensure(stored);
    for (const one of stored) {
      if (one.position >= until) return;
      if (one.kind === 'chunk') yield await countIn(source, range, one);
    }
    position = nextPosition;
  }
}

async function countIn(source: MergedSource, range: MergedRange, chunk: StoredChunk): Promise<Counted> {
  const { facts, runFacts } = source;
  const { filter, may } = range;
  const from = Math.max(range.from, chunk.position);
  const until = Math.min(range.until, chunk.position + chunk.count);
  const { header } = new Block(chunk);
  const task = facts.of(chunk) ?? (await facts.load(chunk));
  if (header === undefined || may?.(task) === false) return { position: from, count: 0 };
  const own = await filterFor([chunk], { filter, task: chunk.task, facts: runFacts });
  const verdict = own.judge(header);
  const whole = until - from === chunk.count;
  if (verdict === 'none') return { position: from, count: 0 };
  if (verdict === 'all') return { position: from, count: until - from };
  if (verdict === 'counted' && whole) return { position: from, count: own.countIn(header) };
  let count = 0;
  for await (const found of search(source, { ...range, from, until })) count += found.count;
  return { position: from, count };
}

/** No bodies come: the store's own limit of chunks holds. */
const HEADERS_BYTES = 1024 * 1024;
