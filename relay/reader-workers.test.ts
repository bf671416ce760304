import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { compileFilter, type FilterSpec } from './filter.ts';
import { openReading, TestRun, type Reading } from './reading.fixture.ts';
import { openSqliteStore } from './store/sqlite.ts';
import type { TaskRecord } from './store/store.ts';

/** Lines `n worker` of three workers, one of which has two runs, and a gap of each. */
async function openWorkers(t: TestContext): Promise<{ reading: Reading; lines: string[]; runs: TestRun[] }> {
  const reading = await openReading(t);
  const runs: TestRun[] = [];
  for (const workerId of ['a', 'b', 'a', 'c']) {
    runs.push(await new TestRun(reading, 't').open({}, { workerId }));
  }
  const lines: string[] = [];
  for (let chunk = 0; chunk < 120; chunk++) {
    const at = (chunk * 7 + Math.floor(chunk / 5)) % 4;
    const worker = 'abac'[at];
    if (chunk % 40 === at) {
      await runs[at].gap(1);
      lines.push(`gap ${worker}`);
    }
    const texts = Array.from({ length: 1 + (chunk % 3) }, (_, i) => `${chunk}.${i} ${worker}`);
    await runs[at].write(...texts.map((text) => ({ text, level: chunk % 2 === 0 ? 'INFO' : 'ERROR' }) as const));
    lines.push(...texts);
  }
  return { reading, lines, runs };
}

const FILTERS: [what: string, spec: FilterSpec, keep: (line: string) => boolean][] = [
  ['of one worker', { workers: ['b'] }, (line) => line.endsWith(' b')],
  ['of a worker with two runs', { workers: ['a'] }, (line) => line.endsWith(' a')],
  ['of any of several', { workers: ['b', 'c', 'nobody'] }, (line) => /[bc]$/.test(line)],
  ['of nobody', { workers: ['nobody'] }, () => false],
  ['of a worker, by text', { workers: ['a'], text: ['1.'] }, (line) => /1\..* a$/.test(line) || line === 'gap a'],
  [
    'of a worker, by level',
    { workers: ['c'], levels: ['ERROR'] },
    (line) => line === 'gap c' || (line.endsWith(' c') && Number(line.split('.')[0]) % 2 === 1),
  ],
];

for (const merged of [false, true]) {
  test(`reads and counts the lines of workers, ${merged ? 'merged' : 'as they came'}`, async (t) => {
    const { reading, lines } = await openWorkers(t);
    if (merged) {
      const handle = await openSqliteStore({ path: reading.path });
      await handle.settle();
      await handle.close();
      const stored = await reading.store.read({ from: { task: 't', line: 1 }, maxBytes: 1024 * 1024 });
      assert.ok(stored.some((one) => one.kind === 'chunk' && (one.runs?.length ?? 0) > 3));
    }
    const numbered = lines.map((line, index) => ({ line, number: index + 1 }));
    const { reader } = reading;
    const record = (await reading.store.task('t')) as TaskRecord;
    const { signal } = t;
    for (const [what, spec, keep] of FILTERS) {
      const filter = compileFilter(spec);
      const wanted = numbered.filter(({ line }) => keep(line));
      const texts = wanted.filter(({ line }) => !line.startsWith('gap'));
      const found: string[] = [];
      for await (const { events } of reader.follow('t', { filter, from: 1, untilHead: true, signal })) {
        for (const event of events) {
          if (event.type === 'gap') found.push(lines[event.fromLine - 1]);
          if (event.type !== 'lines') continue;
          const indices = event.matches ?? Array.from({ length: event.end - event.first }, (_, i) => event.first + i);
          for (const index of indices) found.push(lines[event.block.firstLine + index - 1]);
        }
      }
      assert.deepEqual(
        found,
        wanted.map(({ line }) => line),
        what,
      );
      assert.equal(await reader.count(record, { filter, signal }), texts.length, what);
      for (const order of ['asc', 'desc'] as const) {
        const inOrder = order === 'asc' ? texts : texts.toReversed();
        for (const offset of [0, 10]) {
          const page = await reader.page(record, { filter, size: 5, offset, order, signal });
          assert.equal(page.total, texts.length, what);
          const onPage: number[] = [];
          for await (const { block, matches } of page.lines()) {
            onPage.push(...Array.from(matches ?? [], (index) => block.firstLine + index));
          }
          const expected = inOrder.slice(offset, offset + 5).map(({ number }) => number);
          assert.deepEqual(onPage, expected, `${what}, ${order} from ${offset}`);
        }
      }
      const before = lines.length + 1;
      const place = await reader.placeBefore('t', { before, count: 3, filter, signal });
      assert.equal(place, texts.at(-3)?.number ?? 1, what);
    }
  });
}

test('a worker that joins while its lines are followed is found', async (t) => {
  const reading = await openReading(t);
  const first = await new TestRun(reading, 't').open({}, { workerId: 'a' });
  await first.write('1 a');
  const filter = compileFilter({ workers: ['b'] });
  const following = reading.reader.follow('t', { filter, from: 1, signal: t.signal });
  const found: number[] = [];
  const until = async (line: number): Promise<void> => {
    for (;;) {
      const { value } = await following.next();
      for (const event of value?.events ?? []) {
        if (event.type !== 'lines') continue;
        for (let index = event.first; index < event.end; index++) found.push(event.block.firstLine + index);
      }
      if (value === undefined || value.nextLine >= line) return;
    }
  };
  await until(2);
  const second = await new TestRun(reading, 't').open({}, { workerId: 'b' });
  await first.write('2 a');
  await second.write('3 b');
  await until(4);
  // A retry of the same worker is another run.
  const third = await new TestRun(reading, 't').open({}, { workerId: 'b' });
  await third.write('4 b');
  await first.write('5 a');
  await until(6);
  assert.deepEqual(found, [3, 4]);
  await following.return();
});

test('a filter by workers that nobody has told whose runs they are does not guess', async (t) => {
  const { reading } = await openWorkers(t);
  const [stored] = await reading.store.read({ from: { task: 't', line: 1 }, maxBytes: 1 });
  const filter = compileFilter({ workers: ['a'] });
  assert.throws(() => filter.showsGap(stored.run, 0), /before anybody looked up/);
  assert.equal(filter.pairsOnly, undefined);
});

test('the key of a filter tells workers apart, and from runs', () => {
  const key = (spec: FilterSpec): string => compileFilter(spec).key;
  assert.equal(key({ workers: ['a', 'b'] }), key({ workers: ['b', 'a', 'a'] }));
  assert.equal(key({ workers: [] }), '');
  assert.equal(new Set([key({ workers: ['a'] }), key({ workers: ['b'] }), key({ runs: ['a'] }), '']).size, 4);
  const filter = compileFilter({ workers: ['a'], text: ['x'] });
  assert.equal(filter.ofRuns?.(['r'], () => 'a').key, filter.key);
});
