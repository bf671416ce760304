import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClaimError, grantsOf, subjectOf } from './claims.ts';

const rows: [object, string[]][] = [
  [{ scope: 'read' }, ['read']],
  [{ scope: 'openid  read ingest' }, ['ingest', 'read']],
  [{ scope: ['read', 'email', 7] }, ['read']],
  [{ scopes: ['ingest'] }, ['ingest']],
  [{ permissions: ['keruta:admin', 'other:read'] }, ['admin']],
  [{ scope: 'read', permissions: ['keruta:read'] }, ['read']],
  [{ scope: 'READ readonly' }, []],
  [{ scope: 7 }, []],
  [{}, []],
];
for (const [claims, scopes] of rows) {
  test(`${JSON.stringify(claims)} grants ${scopes.join(' and ') || 'nothing'}`, () => {
    const grants = grantsOf({ ...claims });
    assert.deepEqual(
      grants.map(({ scope }) => scope),
      scopes,
    );
    assert.ok(grants.every(({ tasks, labels }) => tasks === undefined && labels === undefined));
  });
}

test('tasks and labels bind each scope', () => {
  const labels = { team: 'web' };
  assert.deepEqual(grantsOf({ scope: 'read ingest', tasks: 'b-*', labels }), [
    { scope: 'ingest', tasks: ['b-*'], labels },
    { scope: 'read', tasks: ['b-*'], labels },
  ]);
  assert.deepEqual(grantsOf({ scope: 'read', tasks: [] }), [{ scope: 'read', tasks: [], labels: undefined }]);
});

for (const binding of [
  { tasks: 7 },
  { tasks: null },
  { tasks: ['a', 7] },
  { labels: null },
  { labels: 'a=b' },
  { labels: { a: 1 } },
]) {
  test(`a binding that can't be understood is not none: ${JSON.stringify(binding)}`, () => {
    assert.throws(() => grantsOf({ scope: 'read', ...binding }), ClaimError);
  });
}

test('a subject is fit for a log line', () => {
  assert.equal(subjectOf({ sub: 'alice@example.com' }), 'jwt:alice@example.com');
  assert.equal(subjectOf({ sub: 'a\nb ü' }), 'jwt:a?b??');
  assert.equal(subjectOf({ sub: 'x'.repeat(1000) }).length, 132);
  for (const claims of [{}, { sub: '' }, { sub: 7 }]) assert.equal(subjectOf(claims), 'jwt');
});
