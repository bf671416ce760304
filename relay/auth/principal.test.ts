import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Principal, type Grant, type Scope, type Subject } from './principal.ts';

const t = (task: string, labels?: Record<string, string>): Subject => ({ task, labels });

const rows: [Grant[], Scope, Subject, 'may' | 'may not'][] = [
  [[{ scope: 'read' }], 'read', t('any'), 'may'],
  [[{ scope: 'read' }], 'ingest', t('any'), 'may not'],
  [[{ scope: 'read' }], 'admin', t('any'), 'may not'],
  [[{ scope: 'admin' }], 'ingest', t('any'), 'may'],
  [[], 'read', t('any'), 'may not'],
  [[{ scope: 'read', tasks: [] }], 'read', t('any'), 'may not'],
  [[{ scope: 'read', tasks: ['build-*'] }], 'read', t('build-1'), 'may'],
  [[{ scope: 'read', tasks: ['build-*'] }], 'read', t('build-'), 'may'],
  [[{ scope: 'read', tasks: ['build-*'] }], 'read', t('rebuild-1'), 'may not'],
  [[{ scope: 'read', tasks: ['build'] }], 'read', t('build-1'), 'may not'],
  [[{ scope: 'read', tasks: ['*-eu-*-db'] }], 'read', t('a-eu-1-db'), 'may'],
  [[{ scope: 'read', tasks: ['*-eu-*-db'] }], 'read', t('a-eu-db'), 'may not'],
  [[{ scope: 'read', tasks: ['a*a'] }], 'read', t('a'), 'may not'],
  [[{ scope: 'read', tasks: ['.*'] }], 'read', t('x'), 'may not'],
  [[{ scope: 'read', tasks: ['x', 'y'] }], 'read', t('y'), 'may'],
  [[{ scope: 'read', labels: { team: 'web' } }], 'read', t('x', { team: 'web', tier: '1' }), 'may'],
  [[{ scope: 'read', labels: { team: 'web' } }], 'read', t('x', { team: 'db' }), 'may not'],
  [[{ scope: 'read', labels: { team: 'web' } }], 'read', t('x'), 'may not'],
  [[{ scope: 'read', labels: { constructor: 'x' } }], 'read', t('x', {}), 'may not'],
  [[{ scope: 'read', tasks: ['x'], labels: { team: 'web' } }], 'read', t('y', { team: 'web' }), 'may not'],
  [
    [
      { scope: 'ingest', tasks: ['a'] },
      { scope: 'read', tasks: ['b'] },
    ],
    'read',
    t('a'),
    'may not',
  ],
];

for (const [grants, scope, subject, answer] of rows) {
  test(`${JSON.stringify(grants)} ${answer} ${scope} ${JSON.stringify(subject)}`, () => {
    const principal = new Principal('p', grants);
    assert.equal(principal.may(scope, subject), answer === 'may');
    if (answer === 'may') principal.require(scope, subject);
    else assert.throws(() => principal.require(scope, subject), { code: 'FORBIDDEN' });
  });
}

test('what is for all tasks takes a grant that is bound to nothing', () => {
  new Principal('p', [{ scope: 'admin' }]).require('read');
  for (const bound of [{ tasks: ['*'] }, { labels: {} }]) {
    assert.throws(() => new Principal('p', [{ scope: 'admin', ...bound }]).require('admin'), { code: 'FORBIDDEN' });
  }
});

test('where labels are not known yet, they may still turn out right', () => {
  const principal = new Principal('p', [{ scope: 'ingest', tasks: ['b-*'], labels: { team: 'web' } }]);
  principal.requireIfLabelled('ingest', 'b-1');
  assert.throws(() => principal.requireIfLabelled('ingest', 'c-1'), { code: 'FORBIDDEN' });
  assert.throws(() => principal.requireIfLabelled('read', 'b-1'), { code: 'FORBIDDEN' });
});

test('a pattern of many stars takes no more time than its length', () => {
  const principal = new Principal('p', [{ scope: 'read', tasks: ['*a'.repeat(500) + '*b'] }]);
  assert.equal(principal.may('read', { task: 'a'.repeat(256) }), false);
});
