import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { CHUNK_HEADER_BYTES, readHeader } from '../shared/chunk.ts';
import { decodeLines, decompress, encodeLines, type LineInput } from '../shared/columns.ts';
import { KerutaError } from '../shared/errors.ts';
import { kindOf, LEVELS, levelOf, SOURCES, sourceOf } from '../shared/line.ts';
import { newUlid } from '../shared/ulid.ts';
import { compileFilter, type FilterSpec } from './filter.ts';
import { wantsBody } from './store/wants.ts';

const RUN = newUlid(1);
const OTHER_RUN = newUlid(2);

/** What a filter means, said in the plainest way. */
function matchesPlainly(spec: FilterSpec, line: LineInput): boolean {
  const text = Buffer.from(line.text).toString();
  const fold = (of: string): string => of.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return (
    (!spec.levels?.length || spec.levels.includes(levelOf(line.kind))) &&
    (!spec.sources?.length || spec.sources.includes(sourceOf(line.kind))) &&
    (!spec.runs?.length || spec.runs.includes(RUN)) &&
    line.time >= (spec.from ?? -Infinity) &&
    line.time <= (spec.to ?? Infinity) &&
    (!spec.text?.length || spec.text.some((one) => fold(text).includes(fold(one)))) &&
    (spec.regex === undefined || new RegExp(spec.regex, 'u').test(text))
  );
}

/** Few different characters, so that hits, near misses and hits across line ends are frequent. */
const text = fc.string({
  unit: fc.constantFrom('a', 'A', 'b', 'B', 'é', 'É', '[', '{', '@', '`', '\n', '語', 'z', 'Z'),
  maxLength: 12,
});
const line = fc.record({
  time: fc.integer({ min: 100, max: 110 }),
  kind: fc
    .tuple(fc.constantFrom(...SOURCES), fc.constantFrom(...LEVELS))
    .map(([source, level]) => kindOf(source, level)),
  text: text.map((one) => Buffer.from(one)),
});
const spec: fc.Arbitrary<FilterSpec> = fc.record(
  {
    levels: fc.subarray([...LEVELS]),
    sources: fc.subarray([...SOURCES]),
    from: fc.integer({ min: 98, max: 112 }),
    to: fc.integer({ min: 98, max: 112 }),
    text: fc.array(
      text.filter((one) => one.length < 4),
      { maxLength: 3 },
    ),
    regex: fc.constantFrom(
      'a',
      'ab',
      'a|b',
      '^a',
      'Z$',
      'a.b',
      '[ab]+é',
      'ba?b',
      '\\[',
      'b\\n',
      '(a|b)語',
      'aB+z',
      '語{2}',
      '',
    ),
    runs: fc.subarray([RUN, OTHER_RUN]),
  },
  { requiredKeys: [] },
);

test('a filter finds what a plain reading of it finds, in whole chunks and in parts', () => {
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 40 }), spec, fc.nat(), fc.nat(), (input, given, a, b) => {
      const chunk = encodeLines(RUN, 0, input);
      const header = readHeader(chunk);
      const lines = decodeLines(header, decompress(header, chunk.subarray(CHUNK_HEADER_BYTES)));
      const filter = compileFilter(given);
      const wanted = input.flatMap((one, index) => (matchesPlainly(given, one) ? [index] : []));
      const verdict = filter.judge(header);
      if (verdict === 'none') assert.deepEqual(wanted, []);
      if (verdict === 'all') assert.equal(wanted.length, input.length);
      if (verdict !== 'search') assert.equal(filter.countIn(header), wanted.length);
      if (wanted.length > 0) assert.ok(wantsBody(filter.wants, header));
      if (given.runs?.length && !given.runs.includes(RUN)) return;
      const [first, end] = [
        Math.min(a % input.length, b % input.length),
        Math.max(a % input.length, b % input.length) + 1,
      ];
      for (const [from, to] of [
        [0, input.length],
        [first, end],
      ]) {
        const found = filter.match(lines, from, to) ?? Array.from({ length: to - from }, (_, i) => from + i);
        assert.deepEqual(
          Array.from(found),
          wanted.filter((index) => index >= from && index < to),
        );
      }
    }),
    { numRuns: 2000 },
  );
});

test('no index list is made when every line matches', () => {
  const chunk = encodeLines(RUN, 0, [
    { time: 1, kind: 0, text: Buffer.from('one') },
    { time: 2, kind: 0, text: Buffer.from('two') },
  ]);
  const header = readHeader(chunk);
  const lines = decodeLines(header, chunk.subarray(CHUNK_HEADER_BYTES));
  for (const given of [{}, { text: ['O'] }, { from: 1 }, { regex: 'o' }]) {
    assert.equal(compileFilter(given).match(lines, 0, 2), undefined);
  }
});

test('filters that let the same through have the same key', () => {
  const same: [FilterSpec, FilterSpec][] = [
    [{}, { levels: [], sources: [], text: [''], runs: [] }],
    [{ levels: ['WARN', 'ERROR'] }, { levels: ['ERROR', 'WARN', 'WARN'] }],
    [{ text: ['b', 'a'] }, { text: ['a', 'b', 'b'] }],
    [{ sources: ['stdout', 'stderr', 'agent'] }, {}],
    [{ text: ['a', ''] }, {}],
  ];
  for (const [one, other] of same) assert.equal(compileFilter(one).key, compileFilter(other).key);
  const keys = [
    {},
    { text: ['a'] },
    { regex: 'a' },
    { from: 1 },
    { to: 1 },
    { runs: [RUN] },
    { levels: ['INFO' as const] },
  ].map((given) => compileFilter(given).key);
  assert.equal(new Set(keys).size, keys.length);
});

for (const { what, regex } of [
  { what: 'that is none', regex: '(' },
  { what: 'with a back reference, which takes exponential time', regex: '(a)\\1' },
  { what: 'that repeats repetitions', regex: '((a{100}){100}){100}' },
  { what: 'that is very long', regex: 'a'.repeat(5000) },
]) {
  test(`a regular expression ${what} is refused`, () => {
    assert.throws(
      () => compileFilter({ regex }),
      (error) => error instanceof KerutaError && error.code === 'INVALID_INPUT',
    );
  });
}

test('of a chunk that holds several runs, a filter by run finds exactly those lines', () => {
  const runs = [RUN, OTHER_RUN, newUlid(3)];
  const piece = fc.record({ run: fc.constantFrom(...runs), lines: fc.array(line, { minLength: 1, maxLength: 6 }) });
  const pieces = fc.array(piece, { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(pieces, fc.subarray(runs), spec, fc.nat(), fc.nat(), (given, wanted, rest, a, b) => {
      const input = given.flatMap(({ lines }) => lines);
      const owners = given.flatMap(({ run, lines }) => lines.map(() => run));
      const of = given.map(({ run, lines }) => ({ run, count: lines.length }));
      const chunk = encodeLines(of[0].run, 0, input);
      const header = readHeader(chunk);
      const lines = decodeLines(header, decompress(header, chunk.subarray(CHUNK_HEADER_BYTES)));
      const filter = compileFilter({ ...rest, runs: wanted });
      const hits = input.flatMap((one, index) =>
        (wanted.length === 0 || wanted.includes(owners[index])) && matchesPlainly({ ...rest, runs: [] }, one)
          ? [index]
          : [],
      );
      const verdict = filter.judge(header, of);
      if (verdict === 'none') assert.deepEqual(hits, []);
      if (verdict === 'all') assert.equal(hits.length, input.length);
      if (verdict === 'all' || verdict === 'counted') assert.equal(filter.countIn(header, of), hits.length);
      const [first, end] = [a % input.length, (b % input.length) + 1].sort((x, y) => x - y);
      const found = verdict === 'none' ? [] : filter.match(lines, first, end, of);
      const range = Array.from({ length: end - first }, (_, index) => first + index);
      assert.deepEqual(
        [...(found ?? range)],
        hits.filter((index) => index >= first && index < end),
      );
    }),
    { numRuns: 500 },
  );
});

test('the key of a filter tells metadata apart, whatever the order of its keys', () => {
  const key = (meta: Record<string, string>) => compileFilter({ meta }).key;
  assert.equal(key({ a: '1', b: '2' }), key({ b: '2', a: '1' }));
  assert.equal(key({}), compileFilter().key);
  assert.notEqual(key({ a: '1' }), key({ a: '2' }));
  assert.notEqual(key({ a: '1' }), compileFilter({ text: ['a'] }).key);
});
