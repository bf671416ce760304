import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KerutaError } from '../../shared/errors.ts';
import { metaOf, readFilter } from './filter-query.ts';

test('metadata comes out of a query string by its prefix', () => {
  assert.deepEqual(metaOf({ 'meta.request': '42', 'meta.a.b': 'x', metadata: 'y', q: 'z' }), {
    request: '42',
    'a.b': 'x',
  });
  assert.equal(metaOf({ q: 'z', meta: 'no prefix' }), undefined);
});

describe('metadata is read from text, numbers and booleans', () => {
  const rows: [given: unknown, read: Record<string, string> | undefined][] = [
    [undefined, undefined],
    [null, undefined],
    [{}, undefined],
    [{ request: '42' }, { request: '42' }],
    [
      { request: 42, ok: true, 'a.b': 'x' },
      { request: '42', ok: 'true', 'a.b': 'x' },
    ],
    [{ empty: '' }, { empty: '' }],
    [{ ['__proto__']: 'own' }, { ['__proto__']: 'own' }],
  ];
  for (const [given, read] of rows) {
    test(given === undefined ? 'nothing' : JSON.stringify(given), () =>
      assert.deepEqual(readFilter({ meta: given }).meta, read),
    );
  }
});

describe('metadata that can’t be read is refused', () => {
  const rows: [given: unknown, message: RegExp][] = [
    ['request=42', /^meta must be an object/],
    [['request'], /^meta must be an object/],
    [42, /^meta must be an object/],
    [{ '': '1' }, /^meta has a value without a key/],
    [{ request: ['1', '2'] }, /^meta\.request may be given once/],
    [{ request: { deep: 1 } }, /^meta\.request must be text/],
    [{ request: null }, /^meta\.request must be text/],
    [{ ['k'.repeat(257)]: '1' }, /^meta has a key of more than 256 characters/],
    [{ 'a.b.c.d.e.f.g.h.i': '1' }, /^meta has a key of more than .* 8 parts/],
    [Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`k${i}`, '1'])), /^meta has more than 20 keys/],
  ];
  for (const [given, message] of rows) {
    test(JSON.stringify(given).slice(0, 60), () => {
      assert.throws(
        () => readFilter({ meta: given }),
        (error) => error instanceof KerutaError && error.code === 'INVALID_INPUT' && message.test(error.message),
      );
    });
  }
});

test('worker ids are taken as they are: they may hold commas', () => {
  const workers = (given: unknown): unknown => readFilter({ workers: given }).workers;
  assert.deepEqual(workers(undefined), []);
  assert.deepEqual(workers('pod-1, the first'), ['pod-1, the first']);
  assert.deepEqual(workers(['a', '', 'b']), ['a', 'b']);
  for (const given of [7, {}, [['a']], Array(101).fill('a')]) {
    assert.throws(
      () => readFilter({ workers: given }, { workers: 'worker' }),
      /^KerutaError: worker (must be|has more)/,
    );
  }
});
