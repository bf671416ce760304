import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { LEVELS, type Level } from '../shared/line.ts';
import { compileFilter, type FilterSpec } from './filter.ts';
import type { Page } from './page.ts';
import { openReading, T0, TestRun, type Reading } from './reading.fixture.ts';
import { openSqliteStore } from './store/sqlite.ts';

const { signal } = new AbortController();

/** A line of a page: its number, `+` where it is context, and its text. */
async function taken(page: Page): Promise<string[]> {
  const lines: string[] = [];
  for await (const { block, matches, first, end, context } of page.lines()) {
    const read = block.lines();
    assert.ok(read);
    const indices = matches ?? Array.from({ length: end - first }, (_, i) => first + i);
    for (const index of indices) {
      const text = read.text.toString('utf8', read.starts[index], read.starts[index + 1] - 1);
      lines.push(`${block.firstLine + index}${context ? '+' : ''} ${text}`);
    }
  }
  return lines;
}

interface Written {
  /** By line number from 1; undefined where it is missing. */
  lines: ({ text: string; level: Level; time: number; metadata?: string } | undefined)[];
}

/** Chunks of lines, with gaps between some of them. */
async function write(reading: Reading, task: string, chunks: readonly (number | 'gap')[]): Promise<Written> {
  const run = await new TestRun(reading, task).open();
  const lines: Written['lines'] = [];
  for (const [at, chunk] of chunks.entries()) {
    if (chunk === 'gap') {
      await run.gap(2, at % 2 === 0 ? 'dropped' : 'rejected');
      lines.push(undefined, undefined);
      continue;
    }
    const written = Array.from({ length: chunk }, (_, i) => {
      const n = lines.length + i + 1;
      const metadata = n % 3 === 0 ? { metadata: `{"n":${n % 2}}` } : {};
      return { text: `text ${n % 7}`, level: LEVELS[(n * 7) % 4], time: T0 + ((n * 13) % 20), ...metadata };
    });
    await run.write(...written);
    lines.push(...written);
  }
  return { lines };
}

const SPECS: { spec: FilterSpec; keep: (line: NonNullable<Written['lines'][number]>) => boolean }[] = [
  { spec: {}, keep: () => true },
  { spec: { levels: ['WARN'] }, keep: ({ level }) => level === 'WARN' },
  { spec: { from: T0 + 5, to: T0 + 12 }, keep: ({ time }) => time >= T0 + 5 && time <= T0 + 12 },
  { spec: { text: ['T 3', 't 5'] }, keep: ({ text }) => /t [35]/.test(text) },
  { spec: { meta: { n: '1' } }, keep: ({ metadata }) => metadata === '{"n":1}' },
  { spec: { text: ['nowhere'] }, keep: () => false },
];

/** What a page is, said in the plainest way. */
function plainPage(
  { lines }: Written,
  of: { keep: (typeof SPECS)[number]['keep']; offset: number; size: number; order: 'asc' | 'desc'; context: number },
): { total: number; content: string[] } {
  const hits = lines.flatMap((line, at) => (line !== undefined && of.keep(line) ? [at + 1] : []));
  if (of.order === 'desc') hits.reverse();
  const shown = new Set(hits.slice(of.offset, of.offset + of.size));
  const near = (number: number): boolean =>
    [...shown].some((hit) => Math.abs(hit - number) <= of.context && lines[number - 1] !== undefined);
  const numbers = lines.flatMap((_, at) => (near(at + 1) ? [at + 1] : []));
  if (of.order === 'desc') numbers.reverse();
  const content = numbers.map((number) => `${number}${shown.has(number) ? '' : '+'} ${lines[number - 1]?.text ?? ''}`);
  return { total: hits.length, content };
}

test('every page has the lines that a plain reading of it has, with their neighbours, in its order', async (t) => {
  const reading = await openReading(t);
  let tasks = 0;
  const chunks = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constant('gap' as const)), { maxLength: 12 });
  const page = fc.record({
    spec: fc.constantFrom(...SPECS),
    offset: fc.integer({ min: 0, max: 30 }),
    size: fc.integer({ min: 1, max: 20 }),
    order: fc.constantFrom('asc' as const, 'desc' as const),
    context: fc.integer({ min: 0, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(chunks, fc.array(page, { minLength: 1, maxLength: 8 }), async (given, pages) => {
      const task = `t${++tasks}`;
      const written = await write(reading, task, given);
      const record = await reading.store.task(task);
      assert.ok(record);
      for (const { spec, ...options } of pages) {
        const filter = compileFilter(spec.spec);
        const found = await reading.reader.page(record, { ...options, filter, signal });
        const wanted = plainPage(written, { ...options, keep: spec.keep });
        assert.deepEqual({ total: found.total, content: await taken(found) }, wanted);
      }
    }),
    { numRuns: 40 },
  );
});

test('a page from the newest line on that is too large to be kept is read in parts, each line once', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  const lines = 48;
  for (let n = 1; n <= lines; n++) await run.write(`${n} ${'x'.repeat(256 * 1024)}`);
  const record = await reading.store.task('t');
  assert.ok(record);
  const page = await reading.reader.page(record, {
    filter: compileFilter(),
    offset: 0,
    size: lines,
    order: 'desc',
    signal,
  });
  const numbers = (await taken(page)).map((line) => Number(line.split(' ')[0]));
  assert.deepEqual(
    numbers,
    Array.from({ length: lines }, (_, i) => lines - i),
  );
});

test('lines that are trimmed between finding and taking them are a gap on the page', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  await run.write('1', '2');
  await run.write('3', '4');
  await run.write('5');
  const record = await reading.store.task('t');
  assert.ok(record);
  const page = await reading.reader.page(record, { filter: compileFilter(), offset: 1, size: 3, signal });
  await reading.store.trim('t', 2);
  assert.deepEqual(await taken(page), ['3 3', '4 4']);
  assert.deepEqual(page.gaps, [{ type: 'gap', fromLine: 2, toLine: 2, reason: 'trimmed' }]);
});

test('whoever has gone does not wait for a search, and does not start one', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  for (let n = 0; n < 200; n++) await run.write(`line ${n}`);
  const record = await reading.store.task('t');
  assert.ok(record);
  const filter = compileFilter({ text: ['line'] });
  const gone = new AbortController();
  const searches = Array.from({ length: 10 }, () => reading.reader.count(record, { filter, signal: gone.signal }));
  const stays = reading.reader.count(record, { filter, signal });
  gone.abort(new Error('gone'));
  for (const search of await Promise.allSettled(searches)) {
    assert.ok(search.status === 'rejected' && search.reason === gone.signal.reason);
  }
  assert.equal(await stays, 200);
});

test('searches beyond what may wait are refused at once, and those that wait are answered', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  await run.write('line');
  const record = await reading.store.task('t');
  assert.ok(record);
  const filter = compileFilter({ text: ['line'] });
  const searches = Array.from({ length: 110 }, () => reading.reader.count(record, { filter, signal }));
  const settled = await Promise.allSettled(searches);
  const answered = settled.filter((one) => one.status === 'fulfilled' && one.value === 1).length;
  const refused = settled.filter(
    (one) => one.status === 'rejected' && (one.reason as { code?: string }).code === 'OVERLOADED',
  ).length;
  assert.deepEqual([answered, refused], [102, 8]);
});

test('a stream gives what is there, as it is taken, and ends', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  await run.write('1', '2', '3');
  await run.gap(1);
  await run.write('5 x', '6', '7 x');
  const record = await reading.store.task('t');
  assert.ok(record);
  await run.write('8 x');
  const found: string[] = [];
  const filter = compileFilter({ text: ['x', '2'] });
  for await (const batch of reading.reader.stream(record, { filter, from: 2, signal })) {
    for (const event of batch.events) {
      if (event.type === 'gap') found.push(`gap ${event.fromLine}`);
      if (event.type === 'lines')
        found.push(...Array.from(event.matches ?? [], (i) => String(event.block.firstLine + i)));
    }
  }
  assert.deepEqual(found, ['2', 'gap 4', '5', '7']);
});

test('pages by run are exact where lines of several runs were merged into one chunk', async (t) => {
  const reading = await openReading(t);
  const runs = [new TestRun(reading, 't'), new TestRun(reading, 't'), new TestRun(reading, 't')];
  for (const run of runs) await run.open();
  const owners: number[] = [];
  for (let n = 0; n < 60; n++) {
    const owner = (n * 7) % 3;
    const lines = Array.from({ length: 1 + (n % 4) }, (_, i) => ({
      text: `of ${owner}`,
      level: LEVELS[(n + i) % 4],
      time: T0 + n,
    }));
    await runs[owner].write(...lines);
    owners.push(...lines.map(() => owner));
  }
  const handle = await openSqliteStore({ path: reading.path });
  await handle.settle();
  await handle.close();
  const [chunk] = await reading.store.read({ from: { task: 't', line: 1 }, maxBytes: 1 });
  assert.ok(chunk.kind === 'chunk' && chunk.runs !== undefined && chunk.runs.length > 3);

  const record = await reading.store.task('t');
  assert.ok(record);
  for (const wanted of [[0], [2, 1], [0, 1, 2]]) {
    const filter = compileFilter({ runs: wanted.map((owner) => runs[owner].run) });
    const numbers = owners.flatMap((owner, at) => (wanted.includes(owner) ? [at + 1] : []));
    assert.equal(await reading.reader.count(record, { filter, signal }), numbers.length);
    for (const order of ['asc', 'desc'] as const) {
      const sorted = order === 'asc' ? numbers : numbers.toReversed();
      for (let offset = 0; offset < numbers.length + 7; offset += 7) {
        const page = await reading.reader.page(record, { filter, offset, size: 7, order, signal });
        const content = sorted.slice(offset, offset + 7).map((line) => `${line} of ${owners[line - 1]}`);
        assert.deepEqual({ total: page.total, content: await taken(page) }, { total: numbers.length, content });
      }
    }
  }
  const errors = compileFilter({ runs: [runs[1].run], levels: ['ERROR'] });
  const found = await taken(await reading.reader.page(record, { filter: errors, offset: 0, size: 1000, signal }));
  assert.equal(found.length, await reading.reader.count(record, { filter: errors, signal }));
  assert.ok(found.length > 0 && found.every((line) => line.endsWith('of 1')));
});

test('a page from the newest line on is found from the end, wherever matching lines are', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  const errors: number[] = [];
  let line = 1;
  // 60,000 lines, so that several windows are looked at: errors at both ends, few between, and a gap.
  for (let chunk = 0; chunk < 30; chunk++) {
    const lines = Array.from({ length: 2000 }, (_, i) => {
      const error = line + i < 50 || (line + i) % 7000 === 0 || line + i > 60_000;
      if (error) errors.push(line + i);
      return { text: '', level: error ? ('ERROR' as const) : ('INFO' as const) };
    });
    await run.write(...lines);
    line += 2000;
    if (chunk === 20) await run.gap(5);
    if (chunk === 20) line += 5;
  }
  const record = await reading.store.task('t');
  assert.ok(record);
  const filter = compileFilter({ levels: ['ERROR'] });
  const newest = errors.toReversed();
  for (const [offset, size] of [
    [0, 1],
    [0, 5],
    [4, 4],
    [3, 20],
    [10, 1000],
    [0, 1000],
    [errors.length - 1, 1],
    [errors.length, 1],
  ]) {
    const page = await reading.reader.page(record, { filter, offset, size, order: 'desc', signal });
    const content = newest.slice(offset, offset + size).map((number) => `${number} `);
    assert.deepEqual({ total: page.total, content: await taken(page) }, { total: errors.length, content });
  }
  const all = compileFilter();
  const last = await reading.reader.page(record, { filter: all, offset: 0, size: 3, order: 'desc', signal });
  assert.deepEqual([last.total, (await taken(last)).length], [60_000, 3]);
});

test('each gap is on exactly one page, in either order, under every filter that shows it', async (t) => {
  const reading = await openReading(t);
  const written = await write(reading, 't', ['gap', 3, 'gap', 'gap', 5, 2, 'gap', 1, 7, 'gap']);
  const record = await reading.store.task('t');
  assert.ok(record);
  for (const { spec } of SPECS.filter((one) => one.spec.from === undefined)) {
    const filter = compileFilter(spec);
    const places = new Set<string>();
    for (const order of ['asc', 'desc'] as const) {
      for (const size of [1, 2, 5, 100]) {
        const found: string[] = [];
        for (let offset = 0, total = 1; offset < Math.max(1, total); offset += size) {
          const page = await reading.reader.page(record, { filter, offset, size, order, signal });
          await taken(page);
          found.push(...page.gaps.map(({ fromLine, toLine }) => `${fromLine}-${toLine}`));
          ({ total } = page);
        }
        places.add(found.sort().join(' '));
      }
    }
    assert.equal(places.size, 1, [...places].join('\n'));
    const missing = written.lines.filter((line) => line === undefined).length;
    const lines = [...places][0].split(' ').map((place) => place.split('-').map(Number));
    assert.equal(
      lines.reduce((sum, [from, to]) => sum + to - from + 1, 0),
      missing,
    );
  }
});
