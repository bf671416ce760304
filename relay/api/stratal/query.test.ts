import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { askedPlace, first, readDay, readPaging, readType, type Query } from './query.ts';

const PAGINGS: { query: Query; limit: number; offset: number }[] = [
  { query: {}, limit: 100, offset: 0 },
  { query: { limit: '1', offset: '7' }, limit: 1, offset: 7 },
  { query: { limit: '1000' }, limit: 1000, offset: 0 },
  { query: { limit: '1001' }, limit: 100, offset: 0 },
  { query: { limit: '0', offset: '-1' }, limit: 100, offset: 0 },
  { query: { limit: '', offset: '' }, limit: 100, offset: 0 },
  { query: { limit: 'ten', offset: '1.5' }, limit: 100, offset: 0 },
  { query: { limit: '1e2', offset: '0x10' }, limit: 100, offset: 0 },
  { query: { limit: ['5', '6'], offset: ['1', '2'] }, limit: 5, offset: 1 },
  { query: { limit: '9'.repeat(400), offset: '9'.repeat(400) }, limit: 100, offset: 0 },
];
describe('paging, where nonsense counts as not given', () => {
  for (const { query, ...paging } of PAGINGS) {
    test(JSON.stringify(query).slice(0, 60), () => assert.deepEqual(readPaging(query), paging));
  }
});

test('a day is the whole of it in UTC', () => {
  const { from, to } = readDay('2024-02-29');
  assert.deepEqual(
    [from, to].map((time) => new Date(time).toISOString()),
    ['2024-02-29T00:00:00.000Z', '2024-02-29T23:59:59.999Z'],
  );
});

for (const text of [
  '2026-02-29',
  '2026-02-30',
  '2026-13-01',
  '2026-1-2',
  '20260102',
  'today',
  '2026-01-02T00:00:00Z',
]) {
  test(`${text} is no day`, () => {
    assert.throws(() => readDay(text), { code: 'INVALID_INPUT', message: /must be a day, YYYY-MM-DD$/ });
  });
}

test('there are three types of logs', () => {
  assert.deepEqual(['system', 'job', 'task'].map(readType), ['system', 'job', 'task']);
  for (const text of ['', 'System', 'toString']) {
    assert.throws(() => readType(text), { message: "Invalid log type. Must be 'system', 'job', or 'task'" });
  }
});

test('of what is given twice the first counts, and what is empty is not given', () => {
  assert.deepEqual(
    [first({ a: ['1', '2'] }, 'a'), first({ a: '' }, 'a'), first({ a: ['', '2'] }, 'a'), first({}, 'a')],
    ['1', undefined, undefined, undefined],
  );
  assert.deepEqual(
    [askedPlace({ cursor: 'c', from: 'start' }), askedPlace({ cursor: '', from: 'start' }), askedPlace({})],
    ['c', 'start', undefined],
  );
});
