import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { KerutaError } from '../../../shared/errors.ts';
import { openReading, T0, TestRun, type TestLine } from '../../reading.fixture.ts';
import { OttoFilter, queryFilter } from './filter.ts';

const LINES: TestLine[] = [
  { text: 'Alpha starts', level: 'DEBUG', time: T0 },
  { text: 'beta runs', level: 'INFO', source: 'stderr', time: T0 + 1000 },
  { text: 'gamma, delta', level: 'WARN', source: 'agent', time: T0 + 2000 },
  { text: 'omega fails', level: 'ERROR', time: T0 + 3000 },
];
const [A, B, C, D] = LINES.map((line) => (typeof line === 'string' ? line : line.text));
const at = (ms: number): string => new Date(T0 + ms).toISOString();

const FILTERS: [given: unknown, shown: string[]][] = [
  [undefined, [A, B, C, D]],
  [null, [A, B, C, D]],
  [{}, [A, B, C, D]],
  [{ levels: [], sources: [], keywords: [], workerIds: [], taskIds: [] }, [A, B, C, D]],
  [{ levels: ['ERROR'] }, [D]],
  [{ levels: ['error', 'Debug'] }, [A, D]],
  [{ levels: ['warning'] }, [C]],
  [{ levels: 'warn,error' }, [C, D]],
  [{ sources: ['STDERR'] }, [B]],
  [{ sources: ['stdout', 'agent'] }, [A, C, D]],
  [{ keywords: ['ALPHA'] }, [A]],
  [{ keywords: ['alpha', 'OMEGA'] }, [A, D]],
  [{ keywords: ['', 'beta'] }, [B]],
  [{ keywords: 'beta,omega' }, [B, D]],
  [{ keywords: ['gamma, delta'] }, [C]],
  [{ startTime: at(1000) }, [B, C, D]],
  [{ endTime: at(1000) }, [A, B]],
  [{ startTime: at(1000), endTime: at(2000) }, [B, C]],
  [{ startTime: T0 + 3000 }, [D]],
  [{ startTime: at(3000), endTime: at(0) }, []],
  [{ levels: ['ERROR'], keywords: ['beta'] }, []],
  [{ levels: ['INFO'], sources: ['stderr'], keywords: ['run'], startTime: at(0), endTime: at(9000) }, [B]],
  [{ workerIds: ['test'] }, [A, B, C, D]],
  [{ workerIds: ['other', 'test'] }, [A, B, C, D]],
  [{ workerIds: ['other'] }, []],
  [{ taskIds: ['t'] }, [A, B, C, D]],
  [{ taskIds: ['x', 't'] }, [A, B, C, D]],
  [{ taskIds: ['x'] }, []],
  [{ unknown: ['x'], level: 'ERROR' }, [A, B, C, D]],
];

test('a filter lets through what it names, and no more', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  await run.write(...LINES);
  for (const [given, shown] of FILTERS) {
    const seen: string[] = [];
    const filter = new OttoFilter(given).on('t');
    const signal = new AbortController().signal;
    for await (const { events } of reading.reader.follow('t', { from: 1, filter, untilHead: true, signal })) {
      for (const event of events) {
        if (event.type !== 'lines') continue;
        const { text, starts } = event.block.lines() ?? assert.fail('the lines can be read');
        const indices = event.matches ?? Array.from({ length: event.end - event.first }, (_, i) => event.first + i);
        for (const i of indices) seen.push(text.toString('utf8', starts[i], starts[i + 1] - 1));
      }
    }
    assert.deepEqual(seen, shown, JSON.stringify(given));
  }
});

test('a task that is not wanted shows no gaps either', async (t) => {
  const reading = await openReading(t);
  const run = await new TestRun(reading, 't').open();
  await run.gap(3);
  await run.write('x');
  await reading.reader.deleteUntil('t', T0);
  const seen = async (given: unknown): Promise<number> => {
    let count = 0;
    const filter = new OttoFilter(given).on('t');
    const signal = new AbortController().signal;
    for await (const { events } of reading.reader.follow('t', { from: 1, filter, untilHead: true, signal }))
      count += events.length;
    return count;
  };
  assert.equal(await seen({ taskIds: ['x'] }), 0);
  assert.equal(await seen({ taskIds: ['x'], workerIds: ['test'] }), 0);
  assert.ok((await seen({ taskIds: ['t'] })) > 0);
});

test('a filter that lets nothing through is told from one that shows gaps', () => {
  const nothing = new OttoFilter({ taskIds: ['x'] }).on('t');
  assert.notEqual(nothing.key, new OttoFilter({ startTime: 8.64e15 }).on('t').key);
  assert.equal(nothing.key, new OttoFilter({ taskIds: ['y'], levels: ['INFO'] }).on('t').key);
});

describe('a query says the same', () => {
  const rows: [query: Record<string, string | string[]>, given: unknown][] = [
    [{}, {}],
    [{ level: 'error,warn' }, { levels: ['error', 'warn'] }],
    [{ level: ['error', 'warn'] }, { levels: ['error', 'warn'] }],
    [{ level: 'error', levels: 'warn' }, { levels: ['error', 'warn'] }],
    [{ keywords: 'a, b ,,c' }, { keywords: ['a', 'b', 'c'] }],
    [{ workerId: 'w', workerIds: 'v' }, { workerIds: ['w', 'v'] }],
    [{ source: 'stdout', sources: ['STDERR'] }, { sources: ['stdout', 'stderr'] }],
    [
      { startTime: '2026-01-02', endTime: '2026-01-03' },
      { startTime: '2026-01-02', endTime: '2026-01-03' },
    ],
    [{ level: '', keywords: ',', startTime: '' }, {}],
  ];
  for (const [query, given] of rows) {
    test(JSON.stringify(query), () => {
      assert.equal(queryFilter(query).onAll().key, new OttoFilter(given).onAll().key);
    });
  }
  test('a task', () => {
    assert.equal(queryFilter({ taskId: 'a,b' }).showsTask('b'), true);
    assert.equal(queryFilter({ taskIds: ['a', 'b'] }).showsTask('c'), false);
  });
});

describe('a filter that can’t be read is refused', () => {
  const rows: [given: unknown, message: RegExp][] = [
    ['ERROR', /^The filter must be an object/],
    [[], /^The filter must be an object/],
    [1, /^The filter must be an object/],
    [{ levels: ['LOUD'] }, /^levels has "LOUD"/],
    [{ levels: [1] }, /^levels must be text/],
    [{ levels: {} }, /^levels must be text/],
    [{ sources: ['keyboard'] }, /^sources has "keyboard"/],
    [{ keywords: [null] }, /^keywords must be text/],
    [{ keywords: { a: 1 } }, /^keywords must be text/],
    [{ keywords: Array.from({ length: 101 }, () => 'x') }, /^keywords has more than 100/],
    [{ workerIds: Array.from({ length: 101 }, () => 'x') }, /^workerIds has more than 100/],
    [{ taskIds: [['a']] }, /^taskIds must be text/],
    [{ startTime: 'yesterday' }, /^startTime is "yesterday"/],
    [{ startTime: {} }, /^startTime is no text/],
    [{ startTime: JSON.parse(`${'['.repeat(30_000)}${']'.repeat(30_000)}`) as unknown }, /^startTime is no text/],
    [{ endTime: '2026-13-01' }, /^endTime is/],
    [{ endTime: ['2026-01-01', '2026-01-02'] }, /^endTime is/],
  ];
  for (const [given, message] of rows) {
    test(inspect(given).slice(0, 60), () => {
      assert.throws(
        () => new OttoFilter(given),
        (error) => error instanceof KerutaError && error.code === 'INVALID_INPUT' && message.test(error.message),
      );
    });
  }
});
