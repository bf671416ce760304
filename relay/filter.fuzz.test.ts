import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { CHUNK_HEADER_BYTES, readHeader } from '../shared/chunk.ts';
import { decodeLines, decompress, encodeLines, type LineInput } from '../shared/columns.ts';
import { KerutaError } from '../shared/errors.ts';
import { kindOf, LEVELS, levelOf, SOURCES, sourceOf, type Level, type Source } from '../shared/line.ts';
import { newUlid } from '../shared/ulid.ts';
import { hunt } from '../test/fuzz/hunt.ts';
import { compileFilter, type FilterSpec } from './filter.ts';
import { mergedOf } from './merged/merged.fixture.ts';
import { openReading, TestRun } from './reading.fixture.ts';
import { openSqliteStore } from './store/sqlite.ts';
import { wantsBody } from './store/wants.ts';

const RUNS = [newUlid(1), newUlid(2), newUlid(3)];

/** Bytes that are hard on a search: half characters, ends of lines, letters at the edges of the alphabet. */
const bytes = fc
  .array(
    fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(...'aAbBzZ@[`{ 1é語\n\r�'.split('')).map((one) => Buffer.from(one)) },
      { weight: 1, arbitrary: fc.nat(255).map((one) => Buffer.of(one)) },
    ),
    { maxLength: 14 },
  )
  .map((parts) => Buffer.concat(parts));
const metadata = fc.constantFrom('{"a":1}', '{"a":"1","b":{"c":true}}', '{"a":2}', 'no JSON', '{}');
interface Line extends LineInput {
  run: string;
  kind: number;
}
const line: fc.Arbitrary<Line> = fc
  .tuple(
    fc.integer({ min: 100, max: 110 }),
    fc.constantFrom(...SOURCES),
    fc.constantFrom(...LEVELS),
    bytes,
    fc.constantFrom(...RUNS),
    fc.option(metadata, { freq: 3, nil: undefined }),
  )
  .map(([time, source, level, text, run, meta]) => {
    const given = { time, kind: kindOf(source, level), text, run };
    return meta === undefined ? given : { ...given, metadata: meta };
  });
const regex = fc
  .array(
    fc.constantFrom(
      ...['a', 'A', 'b', 'z', 'é', '語', '.', '\\d', '\\n', '\\r', '[ab]', '[^a]', '(a|b)', '(?i)', '(?s)', '\\b', '^'],
      ...['$', '*', '+', '?', '{2}', '{1,3}', '|', '(', ')', '\\x41', '\\pL', '[[:alpha:]]', '\\Qa.\\E', '�', '@', '`'],
    ),
    { minLength: 1, maxLength: 7 },
  )
  .map((units) => units.join(''))
  .filter(isRegex);
const wanted: fc.Arbitrary<FilterSpec> = fc.record(
  {
    levels: fc.subarray<Level>([...LEVELS]),
    sources: fc.subarray<Source>([...SOURCES]),
    from: fc.integer({ min: 98, max: 112 }),
    to: fc.integer({ min: 98, max: 112 }),
    text: fc.array(
      bytes.map((one) => one.subarray(0, 5).toString()),
      { maxLength: 3 },
    ),
    regex,
    runs: fc.subarray(RUNS),
    meta: fc.constantFrom<Record<string, string>>({}, { a: '1' }, { a: '1', 'b.c': 'true' }, { x: '' }),
  },
  { requiredKeys: [], noNullPrototype: true },
);

/** What a filter means, byte by byte and line by line. */
function matches(spec: FilterSpec, { time, kind, text, metadata: json, run }: Line): boolean {
  const { levels = [], sources = [], text: texts = [], runs = [], meta = {} } = spec;
  const whole = Buffer.from(text);
  return (
    (levels.length === 0 || levels.includes(levelOf(kind))) &&
    (sources.length === 0 || sources.includes(sourceOf(kind))) &&
    (runs.length === 0 || runs.includes(run)) &&
    time >= (spec.from ?? -Infinity) &&
    time <= (spec.to ?? Infinity) &&
    (texts.length === 0 || texts.some((one) => holds(whole, Buffer.from(one)))) &&
    (spec.regex === undefined || RE2JS.compile(spec.regex).test(whole.toString())) &&
    Object.entries(meta).every(([key, value]) => metaOf(json, key) === value)
  );
}

function holds(text: Buffer, needle: Buffer): boolean {
  const fold = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte);
  for (let at = 0; at + needle.length <= text.length; at++)
    if (needle.every((byte, i) => fold(byte) === fold(text[at + i]))) return true;
  return false;
}

function metaOf(json: string | undefined, key: string): string | undefined {
  if (json === undefined || json === 'no JSON') return undefined;
  let value: unknown = JSON.parse(json);
  for (const part of key.split('.')) value = (value as Record<string, unknown> | undefined)?.[part];
  return value === undefined ? undefined : typeof value === 'string' ? value : JSON.stringify(value);
}

function isRegex(source: string): boolean {
  try {
    RE2JS.compile(source);
    return true;
  } catch {
    return false;
  }
}

test('a filter lets through what it means, in whole chunks of any runs and in parts of them', () => {
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 25 }), wanted, fc.nat(), fc.nat(), (lines, spec, a, b) => {
      const chunk = encodeLines(lines[0].run, 0, lines);
      const header = readHeader(chunk);
      const decoded = decodeLines(header, decompress(header, chunk.subarray(CHUNK_HEADER_BYTES)));
      const runs = lines.map(({ run }) => ({ run, count: 1 }));
      const filter = compileFilter(spec);
      const hits = lines.flatMap((one, index) => (matches(spec, one) ? [index] : []));
      const verdict = filter.judge(header, runs);
      if (verdict === 'none') assert.deepEqual(hits, []);
      if (verdict === 'all') assert.equal(hits.length, lines.length);
      if (verdict === 'all' || verdict === 'counted') assert.equal(filter.countIn(header, runs), hits.length);
      if (hits.length > 0) assert.ok(wantsBody(filter.wants, header));
      const [first, last] = [a % lines.length, b % lines.length].sort((x, y) => x - y);
      for (const [from, end] of [
        [0, lines.length],
        [first, last + 1],
      ]) {
        const found = filter.match(decoded, from, end, runs) ?? range(from, end);
        assert.deepEqual(
          [...found],
          hits.filter((index) => index >= from && index < end),
        );
      }
    }),
    hunt(2500),
  );
});

test(
  'what readers get through a filter is what it means: in pages from both ends, counted, as streams, merged or not',
  { timeout: 600_000 },
  async (t) => {
    const reading = mergedOf(await openReading(t));
    const { reader, merged, store, path } = reading;
    const { signal } = new AbortController();
    let tasks = 0;
    const chunk = fc.record({
      run: fc.nat(2),
      lines: fc.array(line, { minLength: 1, maxLength: 6 }),
      gap: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(chunk, { minLength: 1, maxLength: 12 }),
        fc.array(fc.tuple(wanted, fc.subarray([0, 1, 2])), { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        async (chunks, specs, settle) => {
          const task = `t${++tasks}`;
          const runs = await Promise.all(
            [0, 1, 2].map((n) => new TestRun(reading, task).open({}, { workerId: `worker ${n}` })),
          );
          /** By number from 1; undefined where it is missing. */
          const all: (Line | undefined)[] = [undefined];
          for (const { run, lines, gap } of chunks) {
            const writer = runs[run];
            if (gap) await writer.gap(2);
            if (gap) all.push(undefined, undefined);
            const own = lines.map((one) => ({ ...one, run: writer.run }));
            await writer.append(encodeLines(writer.run, writer.seq, own));
            all.push(...own);
          }
          if (settle) {
            const handle = await openSqliteStore({ path });
            await handle.settle();
            await handle.close();
          }
          const record = await store.task(task);
          assert.ok(record);
          for (const [{ runs: given = [], ...rest }, workers] of specs) {
            const spec = { ...rest, runs: given.map((run) => runs[RUNS.indexOf(run)].run) };
            const filter = compileFilter({ ...spec, workers: workers.map((n) => `worker ${n}`) });
            const ofWorkers = workers.map((n) => runs[n].run);
            const hits = all.flatMap((one, number) =>
              one && matches(spec, one) && (workers.length === 0 || ofWorkers.includes(one.run)) ? [number] : [],
            );
            assert.equal(await reader.count(record, { filter, signal }), hits.length);
            for (const order of ['asc', 'desc'] as const) {
              const page = await reader.page(record, { filter, offset: 1, size: 4, order, signal });
              const found: number[] = [];
              for await (const { block, matches: some, first, end } of page.lines())
                found.push(...Array.from(some ?? range(first, end), (index) => block.firstLine + index));
              const sorted = order === 'asc' ? hits : hits.toReversed();
              assert.deepEqual([page.total, found], [hits.length, sorted.slice(1, 5)]);
            }
            const streamed: number[] = [];
            for await (const { events } of reader.stream(record, { filter, signal }))
              for (const event of events)
                if (event.type === 'lines')
                  streamed.push(
                    ...Array.from(
                      event.matches ?? range(event.first, event.end),
                      (index) => event.block.firstLine + index,
                    ),
                  );
            assert.deepEqual(streamed, hits);
            const walked: number[] = [];
            for await (const { events } of merged.follow({ group: task, filter, from: 0, untilHead: true, signal }))
              for (const event of events)
                if (event.type === 'lines')
                  walked.push(
                    ...Array.from(
                      event.matches ?? range(event.first, event.end),
                      (index) => event.block.firstLine + index,
                    ),
                  );
            assert.deepEqual(walked, hits);
          }
        },
      ),
      hunt(25),
    );
  },
);

test('any text is a regular expression that is compiled, or refused in a sentence', () => {
  const text = fc.oneof(
    regex,
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.stringMatching(/^[()[\]{}|*+?.\\^$a-z0-9:<>=!-]{1,40}$/),
  );
  fc.assert(
    fc.property(text, bytes, (source, input) => {
      try {
        const filter = compileFilter({ regex: source });
        const chunk = encodeLines(RUNS[0], 0, [{ time: 1, kind: 0, text: input }]);
        const header = readHeader(chunk);
        filter.match(decodeLines(header, decompress(header, chunk.subarray(CHUNK_HEADER_BYTES))), 0, 1);
      } catch (error) {
        assert.ok(error instanceof KerutaError && error.code === 'INVALID_INPUT');
        assert.match(error.message, /^The regular expression .*\.$/s);
      }
    }),
    hunt(2000),
  );
});

function range(from: number, end: number): number[] {
  return Array.from({ length: end - from }, (_, i) => from + i);
}
