import assert from 'node:assert/strict';
import { test } from 'node:test';
import { levelOf, sourceOf } from '../../../../shared/line.ts';
import { lineOfEntry, pipelineOf } from './entry.ts';
import type { LogEntryMessage } from './messages.ts';

const NOW = Date.parse('2026-03-04T05:06:07.000Z');
const MOMENT = Date.parse('2026-01-02T03:04:05.123Z');

const BARE: LogEntryMessage = {
  worker_id: 'w',
  task_id: 't',
  timestamp: '',
  level: '',
  source: '',
  message: 'm',
  metadata: {},
};

const ENTRIES: { what: string; entry: Partial<LogEntryMessage>; line: object }[] = [
  { what: 'nothing but a message', entry: {}, line: {} },
  { what: 'a level in small letters', entry: { level: 'error' }, line: { level: 'ERROR' } },
  { what: 'a level by another name', entry: { level: 'Warning' }, line: { level: 'WARN' } },
  { what: 'FATAL', entry: { level: 'FATAL' }, line: { level: 'ERROR' } },
  { what: 'an unknown level', entry: { level: 'NOTICE' }, line: { metadata: { level: 'NOTICE' } } },
  { what: 'stderr', entry: { source: 'STDERR' }, line: { source: 'stderr' } },
  { what: 'a foreign source', entry: { source: 'sidecar' }, line: { metadata: { source: 'sidecar' } } },
  {
    what: 'a foreign source beside metadata',
    entry: { source: 'sidecar', metadata: { k: 'v' } },
    line: { metadata: { source: 'sidecar', k: 'v' } },
  },
  {
    what: 'a foreign source where the metadata say another',
    entry: { source: 'sidecar', metadata: { source: 'mine' } },
    line: { metadata: { source: 'mine' } },
  },
  { what: 'a time with nanoseconds', entry: { timestamp: '2026-01-02T03:04:05.123456789Z' }, line: { time: MOMENT } },
  { what: 'a time of another zone', entry: { timestamp: '2026-01-02T12:04:05.123+09:00' }, line: { time: MOMENT } },
  { what: 'no time at all', entry: { timestamp: 'soon' }, line: { metadata: { timestamp: 'soon' } } },
  {
    what: 'a time before 1970',
    entry: { timestamp: '1969-12-31T23:59:59Z' },
    line: { metadata: { timestamp: '1969-12-31T23:59:59Z' } },
  },
  { what: 'several lines in one', entry: { message: 'a\nb' }, line: { text: 'a\nb' } },
];

for (const { what, entry, line } of ENTRIES) {
  test(`an entry with ${what}`, () => {
    const found = lineOfEntry({ ...BARE, ...entry }, NOW);
    assert.ok(typeof found !== 'string');
    const { time, kind, text, metadata } = found;
    const shown = {
      ...{ time, level: levelOf(kind), source: sourceOf(kind), text: Buffer.from(text).toString() },
      ...(metadata !== undefined && { metadata: JSON.parse(metadata) as unknown }),
    };
    assert.deepEqual(shown, { time: NOW, level: 'INFO', source: 'stdout', text: 'm', ...line });
  });
}

test('metadata that are too large are refused in words', () => {
  const found = lineOfEntry({ ...BARE, metadata: { k: 'v'.repeat(16 * 1024) } }, NOW);
  assert.equal(found, 'The metadata has 16392 bytes; 16384 are allowed');
});

test('a pipeline is found by each of its names', () => {
  for (const name of ['pipeline_id', 'pipelineId', 'pipeline-id']) assert.equal(pipelineOf({ [name]: 'p' }), 'p');
  assert.equal(pipelineOf({ pipeline: 'p', pipeline_id: '' }), undefined);
});
