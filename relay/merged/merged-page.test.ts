import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { compileFilter, type FilterSpec } from '../filter.ts';
import { T0, type TestRun } from '../reading.fixture.ts';
import type { SqliteStore } from '../store/sqlite.ts';
import type { MergedReading } from './merged.fixture.ts';
import { openMerged, readAll, shown } from './merged.fixture.ts';

const signal = new AbortController().signal;

/** 600 lines of three tasks, two of them in a pipeline, with gaps; half of it merged. */
async function fill(on: MergedReading): Promise<void> {
  const runs: TestRun[] = [await on.open('t', 'p'), await on.open('u', 'p'), await on.open('alone')];
  for (let i = 0; i < 100; i++) {
    for (const [index, run] of runs.entries()) {
      const level = i % 10 === index ? 'ERROR' : 'INFO';
      await run.write(
        { text: `line ${i}`, level, time: T0 + i },
        { text: i % 25 === 0 ? 'rare' : 'usual', time: T0 + i },
      );
      if (i % 40 === 7) await run.gap(2);
    }
    if (i === 50) await (on.store as SqliteStore).settle();
  }
}

async function page(
  { merged }: MergedReading,
  options: Partial<Parameters<MergedReading['merged']['page']>[0]>,
): Promise<{ total: number; events: string[] }> {
  const { total, events } = await merged.page({ offset: 0, size: 10, signal, ...options });
  return { total, events: shown(events) };
}

const isLine = (event: string): boolean => /^\d+ /.test(event);

describe('a page', () => {
  let on: MergedReading;
  let close: () => Promise<void>;
  before(async () => {
    on = await openMerged({ after: (end) => (close = end) });
    await fill(on);
  });
  after(() => close());

  const filters: [string, FilterSpec][] = [
    ['everything', {}],
    ['errors', { levels: ['ERROR'] }],
    ['a rare text', { text: ['rare'] }],
    ['a time', { from: T0 + 33, to: T0 + 66 }],
    ['an expression that is nowhere', { regex: '^nowhere$' }],
  ];
  for (const group of [undefined, 'p', 'alone', 'nobody']) {
    for (const [what, spec] of filters) {
      test(
        `of ${what} in ${group ?? 'all tasks'} is a part of the whole, from both ends`,
        { timeout: 60_000 },
        async () => {
          const filter = compileFilter(spec);
          const of = { filter, ...(group !== undefined && { group }) };
          const all = await readAll(on.merged, of);
          const lines = all.filter(isLine);
          for (const size of [7, 100]) {
            for (const offset of [0, 1, 93, lines.length - 3, lines.length, lines.length + 5]) {
              if (offset < 0) continue;
              const asc = await page(on, { ...of, offset, size });
              assert.equal(asc.total, lines.length);
              assert.deepEqual(asc.events.filter(isLine), lines.slice(offset, offset + size));
              const desc = await page(on, { ...of, offset, size, order: 'desc' });
              assert.equal(desc.total, lines.length);
              assert.deepEqual(desc.events.filter(isLine), lines.toReversed().slice(offset, offset + size));
            }
          }
          for (const order of ['asc', 'desc'] as const) {
            const pages: string[] = [];
            for (let offset = 0; offset === 0 || offset < lines.length; offset += 50) {
              pages.push(...(await page(on, { ...of, offset, size: 50, order })).events);
            }
            assert.deepEqual(pages, order === 'asc' ? all : all.toReversed());
          }
        },
      );
    }
  }

  test('shows only tasks that may be read', async () => {
    const may = ({ task }: { task: string }): boolean => task !== 't';
    const all = (await readAll(on.merged)).filter((event) => !event.includes(' t '));
    const lines = all.filter(isLine);
    const { total, events } = await page(on, { may, offset: 20, size: 30 });
    assert.equal(total, lines.length);
    assert.deepEqual(events.filter(isLine), lines.slice(20, 50));
  });

  test('holds little more than its lines, however many are in the chunks that they were found in', async () => {
    const { events } = await on.merged.page({ offset: 0, size: 50, filter: compileFilter({ text: ['rare'] }), signal });
    for (const event of events) if (event.type === 'lines') assert.ok(event.block.count <= 2);
  });

  test('says that too many wait', async () => {
    const filter = compileFilter({ text: ['rare'] });
    const asked = Array.from({ length: 110 }, () => on.merged.page({ offset: 0, size: 1, filter, signal }));
    const answers = await Promise.allSettled(asked);
    const refused = answers.filter((one) => one.status === 'rejected').map((one) => one.reason as { code: string });
    assert.ok(refused.length > 0 && refused.length < 110);
    for (const { code } of refused) assert.equal(code, 'OVERLOADED');
  });

  test('rejects with the reason of its signal', async () => {
    await assert.rejects(on.merged.page({ offset: 0, size: 1, signal: AbortSignal.abort(new Error('gone')) }), /gone/);
  });
});
