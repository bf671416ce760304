import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { compileFilter, type Filter, type FilterSpec } from '../filter.ts';
import { openReading, TestRun, type Reading } from '../reading.fixture.ts';
import { RunFacts } from '../run-facts.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { StoreWatch } from '../store-watch.ts';
import type { Store } from '../store/store.ts';
import { Searches, type SearchOptions } from './searches.ts';

/** A store of which nobody else can read, as one in memory: it is searched in this thread. */
class OwnStore extends StoreWatch {
  override readsElsewhere(): undefined {
    return undefined;
  }
}

function searchesOf(t: TestContext, store: Store): Searches {
  const searches = new Searches({ store, facts: new RunFacts({ store }) });
  t.after(() => searches.close());
  return searches;
}

const CHUNK_LINES = 1000;

/** Chunks of lines `<number> <a word>`; every hundredth chunk is a gap instead. */
async function write(run: TestRun, { from, chunks }: { from: number; chunks: number }): Promise<void> {
  for (let first = from; first < from + chunks * CHUNK_LINES; first += CHUNK_LINES) {
    await run.write(...Array.from({ length: CHUNK_LINES }, (_, i) => textOf(first + i)));
  }
}

function textOf(line: number): string {
  return `${line} ${line % 7 === 0 ? 'Seven' : line % 1009 === 0 ? 'rare' : 'common'}`;
}

const SPECS: { spec: FilterSpec; keep: (line: number) => boolean }[] = [
  { spec: { text: ['nowhere'] }, keep: () => false },
  { spec: { text: ['RARE'] }, keep: (line) => textOf(line).includes('rare') },
  { spec: { text: ['sEVEN', '99 common'] }, keep: (line) => /Seven|99 common/.test(textOf(line)) },
  { spec: { text: [' '] }, keep: () => true },
  { spec: { regex: '^\\d*5 rare' }, keep: (line) => /^\d*5 rare/.test(textOf(line)) },
  { spec: { text: ['seven'], workers: ['test'] }, keep: (line) => line % 7 === 0 },
];

interface Seen {
  hits: number[];
  /** Lines that are missing. */
  lost: Set<number>;
  count: number;
}

/** What a search finds, which has to be in order and each line once. */
async function see(searches: Searches, options: Omit<SearchOptions, 'signal'>): Promise<Seen> {
  const seen: Seen = { hits: [], lost: new Set(), count: 0 };
  const { signal } = new AbortController();
  let next = options.from;
  for await (const { events, nextLine } of searches.search({ ...options, signal })) {
    let at = next;
    for (const event of events) {
      const first = event.type === 'gap' ? event.fromLine : event.first;
      assert.ok(first >= at && first < nextLine, `line ${first}, searched from ${next} before ${nextLine}`);
      if (event.type === 'gap') {
        for (let line = event.fromLine; line <= event.toLine; line++) seen.lost.add(line);
        at = event.toLine + 1;
        continue;
      }
      seen.count += event.count;
      const { blockFirst, matches } = event;
      const indices = matches ?? Array.from({ length: event.count }, (_, i) => event.first - blockFirst + i);
      for (const index of indices) seen.hits.push(blockFirst + index);
      at = (seen.hits.at(-1) ?? 0) + 1;
    }
    next = nextLine;
  }
  assert.equal(next, options.through + 1);
  return seen;
}

function hitsOf(keep: (line: number) => boolean, { from, through }: { from: number; through: number }): number[] {
  return Array.from({ length: through - from + 1 }, (_, i) => from + i).filter(keep);
}

for (const where of ['in threads', 'in this thread'] as const) {
  test(`a search ${where} finds what a plain reading does, from any line to any other`, async (t) => {
    const reading = await openReading(t);
    const run = await new TestRun(reading, 't').open();
    await write(run, { from: 1, chunks: 40 });
    const store = where === 'in threads' ? reading.store : new OwnStore(reading.store);
    const searches = searchesOf(t, store);
    for (const { spec, keep } of SPECS) {
      const filter = compileFilter(spec);
      for (const [from, through] of [
        [1, 40_000],
        [1234, 38_765],
        [39_999, 40_000],
        [5000, 5000],
      ]) {
        const what = `${JSON.stringify(spec)} from ${from} through ${through}`;
        const { hits, lost } = await see(searches, { task: 't', filter, from, through });
        assert.deepEqual(hits, hitsOf(keep, { from, through }), what);
        assert.equal(lost.size, 0, what);
        const counted = await see(searches, { task: 't', filter, from, through, counts: true });
        assert.equal(counted.count, hits.length, what);
      }
    }
  });
}

test('what is appended, merged and trimmed meanwhile makes no line come twice, and none vanish without a gap', async (t) => {
  const reading = await openReading(t);
  const searches = searchesOf(t, reading.store);
  const [one, two] = [await new TestRun(reading, 't').open(), await new TestRun(reading, 't').open()];
  await write(one, { from: 1, chunks: 30 });
  const merging = await openSqliteStore({ path: reading.path });
  t.after(() => merging.close());
  let written = 30_000;
  let trimmed = 0;
  let over = false;
  const disturb = async (): Promise<void> => {
    for (let round = 0; !over; round++) {
      await write(round % 2 === 0 ? two : one, { from: written + 1, chunks: 2 });
      written += 2 * CHUNK_LINES;
      trimmed += 777;
      await reading.store.trim('t', trimmed);
      await merging.settle();
    }
  };
  const disturbing = disturb();
  for (let round = 0; round < 12; round++) {
    const { spec, keep } = SPECS[round % SPECS.length];
    const range = { from: 1, through: written };
    const { hits, lost } = await see(searches, { task: 't', filter: compileFilter(spec), ...range });
    const wanted = hitsOf(keep, range);
    assert.deepEqual(
      hits,
      wanted.filter((line) => !lost.has(line)),
    );
    assert.ok(Math.max(0, ...lost) <= trimmed, 'nothing is lost that was not trimmed');
  }
  over = true;
  await disturbing;
});

test('a chunk that can not be read is a gap over exactly its lines', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  await write(run, { from: 1, chunks: 1 });
  const broken = run.encode(Array.from({ length: CHUNK_LINES }, (_, i) => textOf(1001 + i)));
  broken[broken.length - 1] ^= 1;
  await run.append(broken);
  await write(run, { from: 2001, chunks: 1 });
  const searches = searchesOf(t, reading.store);
  const options = { task: 't', filter: compileFilter({ text: ['common'] }), from: 1, through: 3000 };
  const { hits, lost } = await see(searches, options);
  assert.deepEqual(
    [...lost],
    hitsOf(() => true, { from: 1001, through: 2000 }),
  );
  const keep = (line: number): boolean => textOf(line).includes('common') && !lost.has(line);
  assert.deepEqual(hits, hitsOf(keep, options));
});

test('whoever breaks off or goes leaves nothing to search, and others are answered', async (t) => {
  const reading: Reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  await write(run, { from: 1, chunks: 40 });
  const searches = searchesOf(t, reading.store);
  const filter: Filter = compileFilter({ text: ['seven'] });
  const range = { task: 't', filter, from: 1, through: 40_000 };
  for (let round = 0; round < 20; round++) {
    const abort = new AbortController();
    const search = searches.search({ ...range, signal: abort.signal });
    const pending = search.next();
    if (round % 2 === 0) await pending;
    const gone = new Error('gone');
    if (round % 3 === 0) {
      await pending;
      await search.return();
      continue;
    }
    abort.abort(gone);
    if (round % 2 === 0) await assert.rejects(search.next(), gone);
    else await assert.rejects(pending, gone);
  }
  assert.equal((await see(searches, range)).hits.length, Math.floor(40_000 / 7));
  await assert.rejects(searches.search({ ...range, signal: AbortSignal.abort(new Error('gone')) }).next(), /gone/);
});
