import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KerutaError } from '../../shared/errors.ts';
import { levelOf, sourceOf } from '../../shared/line.ts';
import { MAX_METADATA_BYTES, readEntry } from './log-entry.ts';

const NOW = Date.parse('2026-01-02T03:04:05.678Z');

function read(entry: object): { line: string; time: number; metadata: string | undefined } {
  const { kind, text, time, metadata } = readEntry(entry, { now: NOW });
  return { line: `${sourceOf(kind)} ${levelOf(kind)} ${Buffer.from(text).toString()}`, time, metadata };
}

describe('an entry is read', () => {
  const rows: [string, object, string][] = [
    ['with nothing but what must be there', { level: 'INFO', message: 'm' }, 'agent INFO m'],
    ['with its source', { level: 'ERROR', message: 'm', source: 'stderr' }, 'stderr ERROR m'],
    ['in any case', { level: 'warn', message: 'm', source: 'STDOUT' }, 'stdout WARN m'],
    ['with WARNING for WARN', { level: 'Warning', message: 'm' }, 'agent WARN m'],
    ['with FATAL for ERROR', { level: 'FATAL', message: 'm' }, 'agent ERROR m'],
    ['with TRACE for DEBUG', { level: 'trace', message: 'm' }, 'agent DEBUG m'],
    ['with line ends in its message', { level: 'INFO', message: 'a\r\nb\n' }, 'agent INFO a\r\nb\n'],
    ['with an empty message', { level: 'INFO', message: '' }, 'agent INFO '],
    ['with half a character', { level: 'INFO', message: 'a\ud800b' }, 'agent INFO a\ufffdb'],
    [
      'with members that are null',
      { level: 'INFO', message: 'm', source: null, timestamp: null, metadata: null },
      'agent INFO m',
    ],
    ['with members that nobody knows', { level: 'INFO', message: 'm', id: 7, lineNumber: 'x' }, 'agent INFO m'],
  ];
  for (const [what, entry, line] of rows) test(what, () => assert.equal(read(entry).line, line));
});

describe('a timestamp', () => {
  const rows: [string, unknown, string][] = [
    ['absent is now', undefined, '2026-01-02T03:04:05.678Z'],
    ['as ISO 8601', '2026-01-02T03:04:05Z', '2026-01-02T03:04:05.000Z'],
    ['with nanoseconds and an offset', '2026-01-02T12:04:05.123456789+09:00', '2026-01-02T03:04:05.123Z'],
    ['as ms since 1970', 1_700_000_000_000, '2023-11-14T22:13:20.000Z'],
    ['with a part of a ms', 1_700_000_000_000.9, '2023-11-14T22:13:20.000Z'],
    ['from the future', '2099-01-01T00:00:00Z', '2099-01-01T00:00:00.000Z'],
    ['from the first day', 0, '1970-01-01T00:00:00.000Z'],
  ];
  for (const [what, timestamp, time] of rows) {
    test(what, () => assert.equal(new Date(read({ level: 'INFO', message: '', timestamp }).time).toISOString(), time));
  }
});

test('metadata is kept as JSON, and none if it is empty', () => {
  const metadata = JSON.parse('{"a":{"b":[1]},"__proto__":{"x":1}}') as object;
  assert.equal(read({ level: 'INFO', message: '', metadata }).metadata, '{"a":{"b":[1]},"__proto__":{"x":1}}');
  assert.equal(read({ level: 'INFO', message: '', metadata: {} }).metadata, undefined);
});

test('without a level it is INFO where that is allowed', () => {
  const { kind } = readEntry({ message: 'm' }, { now: NOW, levelOptional: true });
  assert.equal(levelOf(kind), 'INFO');
});

describe('an entry is refused', () => {
  const deep = JSON.parse(`{"m":${'['.repeat(100_000)}${']'.repeat(100_000)}}`) as { m: unknown };
  const rows: [string, unknown, RegExp][] = [
    ['that is text', 'hello', /^Entry 3: it is no JSON object\.$/],
    ['that is a list', [], /no JSON object/],
    ['that is null', null, /no JSON object/],
    ['without a message', { level: 'INFO' }, /^Entry 3: message is missing\.$/],
    ['with a message that is a number', { level: 'INFO', message: 1 }, /message is no text/],
    ['without a level', { message: 'm' }, /level is missing/],
    ['with an unknown level', { level: 'LOUD', message: 'm' }, /level is "LOUD"; it may be DEBUG, INFO, WARN, ERROR/],
    ['with a level that is a number', { level: 3, message: 'm' }, /level is 3/],
    ['with a level of the prototype', { level: 'constructor', message: 'm' }, /level is "constructor"/],
    ['with a level that is a list', { level: ['INFO'], message: 'm' }, /level is no text/],
    ['with an endless level', { level: 'x'.repeat(1e6), message: 'm' }, /level is "x{63}…;/],
    [
      'with an unknown source',
      { level: 'INFO', message: 'm', source: 'syslog' },
      /source is "syslog"; it may be stdout, stderr, agent/,
    ],
    [
      'with a timestamp that is no time',
      { level: 'INFO', message: 'm', timestamp: 'yesterday' },
      /timestamp is "yesterday"/,
    ],
    [
      'with a timestamp before 1970',
      { level: 'INFO', message: 'm', timestamp: -1 },
      /timestamp is -1; it must lie between/,
    ],
    ['with a timestamp beyond all dates', { level: 'INFO', message: 'm', timestamp: 1e300 }, /must lie between/],
    ['with a timestamp that is true', { level: 'INFO', message: 'm', timestamp: true }, /timestamp is true/],
    ['with metadata that is a list', { level: 'INFO', message: 'm', metadata: [1] }, /metadata is no JSON object/],
    ['with metadata that is text', { level: 'INFO', message: 'm', metadata: 'x' }, /metadata is no JSON object/],
    [
      'with metadata that is too large',
      { level: 'INFO', message: 'm', metadata: { x: 'y'.repeat(MAX_METADATA_BYTES) } },
      /metadata has 16392 bytes; 16384 are allowed/,
    ],
    [
      'with metadata that is too deep',
      { level: 'INFO', message: 'm', metadata: deep },
      /metadata (is nested too deeply|has \d+ bytes)/,
    ],
  ];
  for (const [what, entry, message] of rows) {
    test(what, () => {
      assert.throws(
        () => readEntry(entry, { now: NOW, name: 'entry 3' }),
        (error: unknown) =>
          error instanceof KerutaError && error.code === 'INVALID_LOG_FORMAT' && message.test(error.message),
      );
    });
  }
});
